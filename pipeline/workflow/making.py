"""Make results: remove the old records first, and record what decided the new results. Rules and commands by hand both use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pipeline.errors import InputError
from pipeline.io.known_digests import KnownDigests
from pipeline.workflow.result import Result, made_upstream


@contextmanager
def making(
    results: Sequence[Result], digests: KnownDigests, by_rule: bool, refreshed: Sequence[Result] = ()
) -> Iterator[None]:
    """Make results in the block.

    Args:
        results: the results that the block makes, upstream first.
        digests: remembered digests.
        by_rule: whether Snakemake makes them; then old files are deleted first. By hand they stay until they are replaced.
        refreshed: results that were made before and of which the block replaces some files.

    Raises:
        InputError: if an input was changed after it was made, or a file is missing at the end.
    """
    made = made_upstream(results)
    _check_upstream(results, digests, refreshed)
    begun = {one.done: one.begin(made) for one in results}
    earlier = {one.done: one.earlier_record() for one in refreshed}
    for one in results:
        one.forget(content=by_rule)
    try:
        yield
    except BaseException:
        for one in results:
            record = one.earlier_record()
            if record and not one.changed_files(record, digests, read=True):
                with suppress(OSError):  # the disk may be full
                    one.restore_done()  # by hand, the old result is still there
        raise
    for one in refreshed:
        if record := earlier[one.done]:
            made[one.done] = one.finish(record, digests)
    for one in results:
        for other in one.upstream:
            if other.done in made and (other.done in begun or other.done in earlier):
                begun[one.done]["upstream"][str(other.done)] = made[other.done]
        if by_rule or one.is_there():  # by hand, reports may be made from some results only, and are then never current
            made[one.done] = one.finish(begun[one.done], digests)


def are_current(results: Sequence[Result], digests: KnownDigests) -> bool:
    """Return whether all results are current. If they are, done.json of each is restored if Snakemake deleted it.

    Inputs that were made again may have the same bytes as before. Then the results need not be made again.
    """
    made = made_upstream(results)
    for one in results:
        record = one.earlier_record()
        if record is not None:
            made[one.done] = record["made"]
    for one in results:
        record = one.earlier_record()
        if record is None or one.why_stale(record, made) or one.changed_files(record, digests, read=True):
            return False
    for one in results:
        one.restore_done()
    digests.save()
    return bool(results)


def _check_upstream(results: Sequence[Result], digests: KnownDigests, refreshed: Sequence[Result]) -> None:
    """Raise InputError if an input was changed after it was made. Inputs of results about the whole study are checked by `verify`."""
    checked = {one.done for one in (*results, *refreshed)}
    for result in (one for one in results if one.name):
        for one in result.upstream:
            record = None if one.done in checked else one.record()
            checked.add(one.done)
            # Only the step that packs images into arrays reads the images themselves.
            folders = one.step != "build_dataset" or result.step == "pack_dataset"
            changed = one.changed_files(record, digests, read=True, folders=folders) if record else []
            if changed:
                raise InputError(
                    f"{changed[0]}: was changed after {one.step} made it. "
                    f"Delete {one.done}; the next snakemake makes it again."
                )
    digests.save()
