"""Generates the synthetic raw trees of a study."""

from __future__ import annotations

from pipeline.errors import InputError
from pipeline.io.files import whole_folder, write_json
from pipeline.io.hashing import sha256_of_tree
from pipeline.results.paths import generated_done_file, generated_trees
from pipeline.sources.synthetic.endovis2017_tree import generate_endovis2017
from pipeline.sources.synthetic.endovis2018_tree import generate_endovis2018
from pipeline.sources.synthetic.released_trees import generate_esd, generate_released_mtlendovis
from pipeline.study.models import Study


def generate_raw(study: Study, tree: str) -> None:
    """Generate the raw tree `tree` (endovis2018, endovis2017, esd or released_mtlendovis) and replace an earlier one.

    Raises:
        InputError: if the study does not generate this tree.
    """
    roots = generated_trees(study)
    if study.raw.generate is None or tree not in roots:
        raise InputError(
            f"study {study.name!r} does not generate a tree {tree!r}; its generated trees: {', '.join(roots) or 'none'}."
        )
    settings = study.raw.generate
    height, width, seed = settings.height, settings.width, settings.seed
    frames, floor = settings.endovis2018_frames, settings.activity_floor
    with whole_folder(roots[tree]) as partial:
        if tree == "endovis2018":
            generate_endovis2018(partial, frames, height, width, seed, floor)
        elif tree == "endovis2017":
            # Raw frames of 2017 are 16:9 including their border.
            generate_endovis2017(partial, round(width * 9 / 16), width, seed + 1, settings.endovis2017_every)
        elif tree == "released_mtlendovis":
            generate_released_mtlendovis(partial, frames, height, width, seed + 3, floor)
        else:
            generate_esd(partial, settings.esd_frames, height, width, seed + 2)
        # The digest makes the completion file change with the content, so that datasets are built again.
        content = {"tree": tree, "synthetic": True, "sha256": sha256_of_tree(partial), **settings.as_dict()}
        write_json(generated_done_file(partial), content)
