"""Collects MTLEndovis: the EndoVis 2018 frames that EndoVis-18-VQLA annotates. The classes of the masks are instrument types."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pipeline.datasets.annotated import join_annotations
from pipeline.datasets.sample import Collected, CollectRequest, LeftOut, Sample
from pipeline.io.images import Pixels, check_same_size, read_rgb
from pipeline.sources import endovis2018, vqla


def collect(request: CollectRequest) -> Collected:
    """Collect the frames of MTLEndovis from the raw trees `endovis2018` and `vqla2018`.

    Raises:
        InputError: if a tree is absent or has another layout, or if `join_annotations` raises it.
    """
    tree = endovis2018.read_tree(request.roots["endovis2018"], request.scheme)
    annotations = vqla.find_2018(request.roots["vqla2018"])
    surplus = sorted(set(annotations) & vqla.SURPLUS_2018)
    annotation_files = {key: paths for key, paths in annotations.items() if key not in vqla.SURPLUS_2018}

    # Reading a frame needs only this part of the tree. It is sent to another process with every frame, so it must be small.
    tree_without_frames = replace(tree, frames={}, lists=(), unmatched=(), notes={})

    def sample(key: tuple[int, int]) -> Sample:
        frame = tree.frames[key]
        endovis2018.check_annotated(tree, frame)
        return Sample(
            frame_id=frame_id(key),
            source="endovis2018",
            sequence=f"seq_{frame.sequence}",
            read=partial(_read, tree_without_frames, frame),
            files=(*frame.files, *(tree.lists if frame.label else ()), *annotation_files[key]),
            image_file=frame.image,
            flags=("no_type_mask",) if frame.types in endovis2018.RAW_SETS and not frame.masks else (),
        )

    notes = {
        "type_id_schemes": "; ".join(f"{scheme.name} ({scheme.reason})" for scheme in tree.schemes.values()),
        "type_sets": ", ".join(tree.schemes),
        "vqla_editions": "; ".join(vqla.editions_2018(request.roots["vqla2018"], annotations)),
        **tree.notes,
    }
    collected = join_annotations(request, set(tree.frames) - set(surplus), annotation_files, frame_id, sample, notes)
    if surplus:
        reason = (
            "only the first edition of EndoVis-18-VQLA annotates the frame: it is not one of the paper's 1,996 frames"
        )
        collected.left_out.append(LeftOut(reason, tuple(map(frame_id, surplus))))
    return collected


def frame_id(key: tuple[int, int]) -> str:
    """Return the canonical id of a frame given by (sequence, number). The split rule random_by_activity depends on this id."""
    return f"endovis2018_seq{key[0]}_frame{key[1]:03d}"


def _read(tree: endovis2018.Tree2018, frame: endovis2018.Frame2018) -> tuple[Pixels, Pixels]:
    image, mask = read_rgb(frame.image), endovis2018.type_mask(tree, frame)
    check_same_size(image, mask, frame.image, frame.label or frame.annotation or frame.image)
    return image, mask
