"""Where to get each raw tree, by the name of its source, and the source names of your own frames."""

from __future__ import annotations

from collections.abc import Mapping

_RELEASED = "the authors of EndoARSS, https://github.com/gkw0010/EndoARSS"
_VQLA = "https://github.com/longbai1006/Surgical-VQLA (EndoVis-18-VQLA and EndoVis-17-VQLA)"

# Source names of your own frames: the folder of the images (or of all files), the folder of the masks, and the labels CSV.
PLAIN, PLAIN_MASKS, PLAIN_LABELS = "plain", "plain_masks", "plain_labels"

CONTACTS: Mapping[str, str] = {
    "esd": _RELEASED,
    "released_mtlendovis": _RELEASED,
    "endovis2018": "https://endovissub2018-roboticscenesegmentation.grand-challenge.org (register, then Downloads)",
    "vqla2018": _VQLA,
    "endovis2017": "https://endovissub2017-roboticinstrumentsegmentation.grand-challenge.org (register, then Data)",
    "vqla2017": _VQLA,
}
