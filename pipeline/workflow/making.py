"""Make results: delete the old records first, and record what decided the new results. Rules and commands by hand use this module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pipeline.errors import InputError
from pipeline.io.known_digests import KnownDigests
from pipeline.workflow.result import Result, upstream_digests


@contextmanager
def making(
    results: Sequence[Result], digests: KnownDigests, by_rule: bool, refreshed: Sequence[Result] = ()
) -> Iterator[None]:
    """Make results in the block.

    Args:
        results: the results that the block makes, upstream first.
        digests: remembered digests.
        by_rule: whether Snakemake runs the block; then old files are deleted first. In a command by hand they stay until they are replaced.
        refreshed: results that were made before; the block replaces some of their files.

    Raises:
        InputError: if an input was changed after it was made, or a file is missing at the end.
    """
    digest_of = upstream_digests(results)
    _check_upstream(results, digests, refreshed)
    new_records = {result.done: result.new_record(digest_of) for result in results}
    earlier_records = {result.done: result.earlier_record() for result in refreshed}
    for result in results:
        result.delete_record(with_files=by_rule)
    try:
        yield
    except BaseException:
        for result in results:
            record = result.earlier_record()
            if record and not result.changed_files(record, digests, read=True):
                with suppress(OSError):  # the disk may be full
                    result.restore_done()  # a command by hand failed, and the old files are unchanged
        raise
    for result in refreshed:
        if record := earlier_records[result.done]:
            digest_of[result.done] = result.finish(record, digests)
    for result in results:
        for upstream in result.upstream:
            if upstream.done in digest_of and (upstream.done in new_records or upstream.done in earlier_records):
                new_records[result.done]["upstream"][str(upstream.done)] = digest_of[upstream.done]
        # A command by hand makes a report from the existing results. If files of the report are missing, the report is not recorded.
        if by_rule or result.is_complete():
            digest_of[result.done] = result.finish(new_records[result.done], digests)


def are_current(results: Sequence[Result], digests: KnownDigests) -> bool:
    """Return whether all results are current. If they are, write each done.json again, because Snakemake may have deleted it.

    A planned result may be current after all, if its inputs were made again with the same bytes as before.
    """
    digest_of = upstream_digests(results)
    for result in results:
        record = result.earlier_record()
        if record is not None:
            digest_of[result.done] = record["made"]
    for result in results:
        record = result.earlier_record()
        if record is None or result.why_stale(record, digest_of) or result.changed_files(record, digests, read=True):
            return False
    for result in results:
        result.restore_done()
    digests.save()
    return bool(results)


def _check_upstream(results: Sequence[Result], digests: KnownDigests, refreshed: Sequence[Result]) -> None:
    """Raise InputError if an input was changed after it was made.

    Results about the whole study are left out, because `endoarss verify` checks their inputs.
    """
    checked = {result.done for result in (*results, *refreshed)}
    for result in (result for result in results if result.name):
        for upstream in result.upstream:
            record = None if upstream.done in checked else upstream.record()
            checked.add(upstream.done)
            # Only the step that packs images into arrays reads the images themselves.
            folders = upstream.step != "build_dataset" or result.step == "pack_dataset"
            changed = upstream.changed_files(record, digests, read=True, folders=folders) if record else []
            if changed:
                raise InputError(
                    f"{changed[0]}: was changed after {upstream.step} made it. "
                    f"Delete {upstream.done}; the next snakemake makes it again."
                )
    digests.save()
