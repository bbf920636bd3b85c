"""Save the states of a training, so that it can continue after an interruption. Each state is a safetensors file; the last two are kept.

A separate thread writes the file under a temporary name and renames it, while the next epoch runs. The file contains a digest of the state.
A file that a crash left incomplete is detected and deleted, and the file before it is used.
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

_KEPT_FILES = 2


@dataclass(frozen=True)
class TrainingState:
    """The whole state of a training after an epoch.

    Attributes:
        tensors: the tensors by name.
        facts: other values, as JSON-like data, such as the history.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class ResumeFolder:
    """The folder of one training's states.

    Args:
        folder: the folder; it is created at the first write.
        key: identifies settings, data and code of the training. States with another key are not used.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def load(self) -> TrainingState | None:
        """Return the last complete state of this training, or None if there is none.

        Incomplete files and files of another training are deleted, because they could later be mistaken for newer states; a message on
        standard error names them.
        """
        for path in sorted(filter(Path.is_file, self.folder.glob("epoch-*.safetensors")), reverse=True):
            try:
                return self._read(path)
            except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                print(f"{path}: this saved state is not used and was deleted ({error}).", file=sys.stderr)
                path.unlink()
        return None

    def _read(self, path: Path) -> TrainingState:
        with safe_open(path, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})["training"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if facts.pop("key") != self.key:
            raise ValueError("it belongs to a training with other settings, data or code")
        if facts.pop("sha256") != _sha256(tensors, facts):
            raise ValueError("it is damaged: its digest has changed since it was written")
        return TrainingState(tensors, facts)

    def save(self, state: TrainingState, epochs_done: int) -> None:
        """Write a state in the background. If the state before it is still being written, wait for that.

        Args:
            state: the state; its tensors must not be changed afterwards.
            epochs_done: the number of completed epochs, which names the file.

        Raises:
            OSError: if the state before it could not be written; the error names the file.
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
            # Name the final file; an error of fsync names no file at all.
            error.filename, error.filename2 = str(path), None
            raise
        finally:
            with suppress(OSError):  # the error of writing must not be hidden
                partial.unlink(missing_ok=True)
        for old in sorted(self.folder.glob("epoch-*.safetensors"))[:-_KEPT_FILES]:
            old.unlink()

    def wait(self) -> None:
        """Wait until the last state that was passed to `save` is on the disk.

        Raises:
            OSError: if the state could not be written; the error names the file.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def __enter__(self) -> ResumeFolder:
        """Return the folder; when the context ends, the last state is on the disk."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Wait for the last state; an error of writing does not hide an error that ended the block."""
        with suppress(OSError) if kind is not None else nullcontext():
            self.wait()

    def remove(self) -> None:
        """Delete the folder after the training has ended and its result was saved elsewhere."""
        self.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _sha256(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Return the digest of a whole state, which changes if any part of the state is damaged."""
    return hashlib.sha256((tensors_sha256(tensors.items()) + json.dumps(facts, sort_keys=True)).encode()).hexdigest()
