"""Where to get each raw tree, by the name of its source, and the source names of your own frames."""

from __future__ import annotations

from collections.abc import Mapping

_RELEASED = "the authors of EndoARSS, https://github.com/gkw0010/EndoARSS"
_VQLA = "https://github.com/longbai1006/Surgical-VQLA (EndoVis-18-VQLA and EndoVis-17-VQLA)"

# Your own frames: the single folder or the folder of images, the folder of masks, the CSV.
PLAIN, PLAIN_MASKS, PLAIN_LABELS = "plain", "plain_masks", "plain_labels"

CONTACTS: Mapping[str, str] = {
    "esd": _RELEASED,
    "released_mtlendovis": _RELEASED,
    "endovis2018": "https://endovissub2018-roboticscenesegmentation.grand-challenge.org (register, then Downloads)",
    "vqla2018": _VQLA,
    "endovis2017": "https://endovissub2017-roboticinstrumentsegmentation.grand-challenge.org (register, then Data)",
    "vqla2017": _VQLA,
}
