"""Makes results: forgets the old ones first, and records what the new ones were decided by. Rules and commands by hand both come here."""

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
        results: what the block makes, upstream first.
        digests: remembered digests.
        by_rule: as Snakemake does: what was there is deleted first. By hand it stays until it is replaced.
        refreshed: results that were made before and of which the block replaces some files.

    Raises:
        InputError: if what a result is made from is not as it was made, or something is missing at the end.
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
                with suppress(OSError):  # a full disk is why it failed
                    one.restore_done()  # by hand, what was there is there still
        raise
    for one in refreshed:
        if record := earlier[one.done]:
            made[one.done] = one.finish(record, digests)
    for one in results:
        for other in one.upstream:
            if other.done in made and (other.done in begun or other.done in earlier):
                begun[one.done]["upstream"][str(other.done)] = made[other.done]
        if by_rule or one.is_there():  # by hand, reports are made of part of the results, and are then never current
            made[one.done] = one.finish(begun[one.done], digests)


def are_current(results: Sequence[Result], digests: KnownDigests) -> bool:
    """Return whether all results are current; then done.json of each is there again if Snakemake deleted it.

    What was made again upstream may have the same bytes as before: then what follows need not be made again.
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
    """See that what is read is as it was made. Results about the whole study read a little of everything: `verify` checks that."""
    checked = {one.done for one in (*results, *refreshed)}
    for result in (one for one in results if one.name):
        for one in result.upstream:
            record = None if one.done in checked else one.record()
            checked.add(one.done)
            # Pictures are read by what packs them into arrays, and by nobody else.
            folders = one.step != "build_dataset" or result.step == "pack_dataset"
            changed = one.changed_files(record, digests, read=True, folders=folders) if record else []
            if changed:
                raise InputError(
                    f"{changed[0]}: is not as {one.step} made it. Somebody changed it, or the disk did. "
                    f"Delete {one.done}; the next snakemake makes it again."
                )
    digests.save()
