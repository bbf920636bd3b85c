"""Protect generated raw trees that several studies share from a study with other settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pipeline.cleaning.studies_in_use import studies_in_use
from pipeline.errors import InputError
from pipeline.io.files import read_json
from pipeline.results.paths import generated_done_file, generated_trees, study_file
from pipeline.study.models import GeneratedTrees, Study


def check_generated_trees(study: Study) -> None:
    """Check that the study does not replace a generated raw tree from which another study in use has results.

    A study that never ran loses nothing, because its run makes the tree again. Call this function after the plan: reading other studies
    loads their components, which count as code of results.

    Raises:
        InputError: if the study would replace such a tree; the message has the keys and values of both studies.
    """
    wanted = study.raw.generate
    trees = {root: _made_with(root) for root in generated_trees(study).values()}
    replaced = {root: made for root, made in trees.items() if made not in (None, wanted)}
    if not replaced:
        return
    with_results = [
        other
        for other in studies_in_use(study).studies
        if other.name != study.name and study_file(other).parent.is_dir()
    ]
    for root, made in replaced.items():
        users = [other for other in with_results if root in generated_trees(other).values()]
        # A study may be in the list twice: as its file, and as the version that ran last. The file may agree with `wanted` now.
        agreeing = {other.name for other in users if other.raw.generate == wanted}
        for other in users:
            if other.raw.generate == made and other.name not in agreeing:
                raise InputError(_refusal(study, other, root))


def _made_with(root: Path) -> GeneratedTrees | None:
    """Return the settings that a tree was made with, or None if there is no complete tree."""
    try:
        made = read_json(generated_done_file(root))
        return GeneratedTrees.model_validate({key: made[key] for key in GeneratedTrees.model_fields if key in made})
    except (InputError, OSError, ValidationError, RecursionError):
        return None


def _refusal(study: Study, other: Study, root: Path) -> str:
    assert study.raw.generate is not None and other.raw.generate is not None
    here, there = study.raw.generate.as_dict(), other.raw.generate.as_dict()
    values = "; ".join(
        f"raw.generate.{key} is {here[key]} in study {study.name!r} and {there[key]} in study {other.name!r}"
        for key in here
        if here[key] != there[key]
    )
    return (
        f"{values}, but both studies use the raw tree {root}, and this run would replace it. Give raw.generate.name another value "
        f"than {study.raw.generate.name!r}, or use equal settings under raw.generate in both studies. If study {other.name!r} is no "
        f"longer needed, delete its file and results/{other.name}."
    )
