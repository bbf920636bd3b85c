"""Where a training keeps what it needs to go on: safetensors files in a folder, one an epoch, the last two kept.

A file is written beside and renamed, in a thread of its own, while the next epoch runs. It holds a digest of its tensors, so that one
which a crash left torn is recognised; the one before it is then used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from endoarss.checkpoints import tensors_sha256
from endoarss.saving import save_tensors

_KEPT = 2


@dataclass(frozen=True)
class TrainingState:
    """All of a training after an epoch. tensors: by name. facts: JSON-like, the number of epochs done among them."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class ResumeFolder:
    """A training's own folder.

    Args:
        folder: made when first written to. key: tells what is trained, and how; what another key left is not used.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def load(self) -> TrainingState | None:
        """The last whole state of this training, or None. What is torn or of another training is deleted, and said on standard
        error: it must not be taken for newer than what comes."""
        for path in sorted(filter(Path.is_file, self.folder.glob("epoch-*.safetensors")), reverse=True):
            try:
                return self._read(path)
            except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                print(f"{path}: passed over ({error}).", file=sys.stderr)
                path.unlink()
        return None

    def _read(self, path: Path) -> TrainingState:
        with safe_open(path, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})["training"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if facts.pop("key") != self.key:
            raise ValueError("of a training with other settings, data or code")
        if facts.pop("sha256") != _sha256(tensors, facts):
            raise ValueError("torn: its digest is another than when it was written")
        return TrainingState(tensors, facts)

    def save(self, state: TrainingState, epochs_done: int) -> None:
        """Write a state in the background; waits only for the one before it.

        Args:
            state: its tensors are this folder's from now on, nobody changes them. epochs_done: names the file.

        Raises:
            OSError: with its name, if the one before it could not be written.
        """
        self.wait()
        self._writing = self._writer.submit(self._write, state, epochs_done)

    def _write(self, state: TrainingState, epochs_done: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"epoch-{epochs_done:06}.safetensors"
        partial = path.with_suffix(f".{os.getpid()}.partial")
        facts = {**state.facts, "key": self.key, "sha256": _sha256(state.tensors, state.facts)}
        try:
            save_tensors(state.tensors, partial, metadata={"training": json.dumps(facts)})
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.replace(path)
        except OSError as error:
            # The name that it was to have; fsync gives none at all.
            error.filename, error.filename2 = str(path), None
            raise
        finally:
            with suppress(OSError):  # what kept it from being written is what is said
                partial.unlink(missing_ok=True)
        for old in sorted(self.folder.glob("epoch-*.safetensors"))[:-_KEPT]:
            old.unlink()

    def wait(self) -> None:
        """Wait until what was given to `save` is on the disk."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def __enter__(self) -> ResumeFolder:
        """Use as a context: at its end what was given to `save` is on the disk."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Wait; an error of writing does not hide the one that ended the block."""
        with suppress(OSError) if kind is not None else nullcontext():
            self.wait()

    def remove(self) -> None:
        """Delete the folder: the training is done and its result kept elsewhere."""
        self.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _sha256(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Return the digest of all of a state: whatever is damaged in it, it is told apart from a whole one."""
    return hashlib.sha256((tensors_sha256(tensors.items()) + json.dumps(facts, sort_keys=True)).encode()).hexdigest()
