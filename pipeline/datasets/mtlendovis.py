"""MTLEndovis: the EndoVis 2018 frames that EndoVis-18-VQLA annotates, with instrument types as masks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pipeline.datasets.annotated import join_annotations
from pipeline.datasets.sample import Collected, LeftOut, Order, Sample
from pipeline.io.images import Pixels, check_same_size, read_rgb
from pipeline.sources import endovis2018, vqla


def collect(order: Order) -> Collected:
    """The frames of MTLEndovis, from the raw trees `endovis2018` and `vqla2018`.

    Raises:
        InputError: if a tree is absent or not in its layout, or no annotated frame has a picture.
    """
    tree = endovis2018.read_tree(order.roots["endovis2018"], order.scheme)
    found = vqla.find_2018(order.roots["vqla2018"])
    surplus = sorted(set(found) & vqla.SURPLUS_2018)
    texts = {key: paths for key, paths in found.items() if key not in vqla.SURPLUS_2018}

    # What reading one frame needs of the tree: small enough to be sent to another process with every frame.
    bare = replace(tree, frames={}, lists=(), loose=(), notes={})

    def sample(key: tuple[int, int]) -> Sample:
        frame = tree.frames[key]
        endovis2018.check_annotated(tree, frame)
        return Sample(
            frame_id=frame_id(key),
            source="endovis2018",
            sequence=f"seq_{frame.sequence}",
            read=partial(_read, bare, frame),
            files=(*frame.files, *(tree.lists if frame.label else ()), *texts[key]),
            image_file=frame.image,
            flags=("no_type_mask",) if frame.types in endovis2018.RAW_SETS and not frame.masks else (),
        )

    notes = {
        "type_id_schemes": "; ".join(f"{scheme.name} ({scheme.reason})" for scheme in tree.schemes.values()),
        "type_sets": ", ".join(tree.schemes),
        "vqla_editions": "; ".join(vqla.editions_2018(order.roots["vqla2018"], found)),
        **tree.notes,
    }
    collected = join_annotations(order, set(tree.frames) - set(surplus), texts, frame_id, sample, notes)
    if surplus:
        reason = "annotated in the first edition of EndoVis-18-VQLA alone: no part of the paper's 1,996 frames"
        collected.left_out.append(LeftOut(reason, tuple(map(frame_id, surplus))))
    return collected


def frame_id(key: tuple[int, int]) -> str:
    """The canonical id of a frame by (sequence, number); the split random_by_activity is drawn by it."""
    return f"endovis2018_seq{key[0]}_frame{key[1]:03d}"


def _read(tree: endovis2018.Tree2018, frame: endovis2018.Frame2018) -> tuple[Pixels, Pixels]:
    image, mask = read_rgb(frame.image), endovis2018.type_mask(tree, frame)
    check_same_size(image, mask, frame.image, frame.label or frame.annotation or frame.image)
    return image, mask
