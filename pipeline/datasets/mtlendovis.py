"""MTLEndovis: the EndoVis 2018 frames that EndoVis-18-VQLA annotates, with instrument types as masks."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.datasets.activities import frame_activity
from pipeline.datasets.sample import Collected, Sample
from pipeline.errors import InputError
from pipeline.images import Pixels, check_same_size, read_rgb
from pipeline.sources import endovis2018, vqla


def collect(endovis2018_root: Path, vqla2018_root: Path, scheme: str = "detect") -> Collected:
    """The frames of MTLEndovis.

    Args:
        endovis2018_root: the four releases, instrument types beside the frames.
        vqla2018_root: the texts of EndoVis-18-VQLA.
        scheme: id scheme of the types; see `endovis2018.read_tree`.

    Raises:
        InputError: if a tree is absent or not in its layout, or no annotated frame has a picture.
    """
    tree = endovis2018.read_tree(endovis2018_root, scheme)
    texts = vqla.find_2018(vqla2018_root)
    samples = []
    for key, text in sorted(texts.items()):
        states = vqla.read_states(text)
        if key in tree.frames and states:
            samples.append(_sample(tree, tree.frames[key], states))
    if not samples:
        raise InputError(
            f"{vqla2018_root}: {len(texts)} annotated frames, none of which has a picture in {endovis2018_root}."
        )
    print(f"{endovis2018_root}: instrument type ids read as {tree.scheme} ({scheme}).", file=sys.stderr)
    return Collected(samples, {"type_id_scheme": tree.scheme})


def _sample(tree: endovis2018.Tree2018, frame: endovis2018.Frame2018, states: tuple[vqla.State, ...]) -> Sample:
    def read() -> tuple[Pixels, Pixels]:
        image, mask = read_rgb(frame.image), endovis2018.type_mask(tree, frame)
        check_same_size(image, mask, frame.image, frame.label)
        return image, mask

    actions = tuple(state.action for state in states)
    return Sample(
        frame_id=f"endovis2018_seq{frame.sequence}_frame{frame.number:03d}",
        source="endovis2018",
        sequence=f"seq_{frame.sequence}",
        read=read,
        activity=frame_activity(actions),
        actions=actions,
    )
