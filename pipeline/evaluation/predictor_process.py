"""Start a user's predictor in its own process (`pipeline.evaluation.predictor_host`), and send it images to predict."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation import predictor_host
from pipeline.evaluation.robustness import Prediction
from pipeline.labels.classes import LabelSet

_SECONDS_TO_END = 5  # time that the process has to end after the last request, before it is killed


class PredictorProcess:
    """Runs a predictor for the time of a `with` block.

    Attributes:
        sources: the source files that the predictor has imported, without those of Python, installed packages and this project.
    """

    def __init__(self, predictor: str, labels: LabelSet, size: int) -> None:
        """Check the name of a predictor.

        Args:
            predictor: "module:function", importable from the working directory.
            labels: classes and activities of the dataset.
            size: width and height of images and masks, in pixels.

        Raises:
            InputError: if the name is malformed.
        """
        module, _, function = predictor.partition(":")
        if not re.fullmatch(r"\w+(\.\w+)*", module) or not function.isidentifier():
            raise InputError(f"--predictor {predictor!r}: expected MODULE:FUNCTION, such as my_model:predict.")
        if module.endswith(".py"):
            raise InputError(f"--predictor {predictor!r}: expected {module[:-3]}:{function}, without .py.")
        self._predictor, self._size, self.sources = predictor, size, list[Path]()
        self._request = {
            "module": module,
            "function": function,
            "classes": len(labels.classes),
            "activities": len(labels.activities),
            "size": size,
        }

    def __enter__(self) -> PredictorProcess:
        """Start the process and import the predictor in it.

        Raises:
            InputError: if the predictor cannot be imported.
        """
        host_in, own_out = os.pipe()
        own_in, host_out = os.pipe()
        self._requests, self._replies = os.fdopen(own_out, "wb"), os.fdopen(own_in, "rb")
        # With -P, the predictor does not import from the folder of predictor_host.py.
        command = [sys.executable, "-P", predictor_host.__file__, str(host_in), str(host_out)]
        self._process = subprocess.Popen(command, pass_fds=(host_in, host_out))
        os.close(host_in)
        os.close(host_out)
        try:
            reply = self._ask(self._request, "it was imported")
            self.sources = [Path(path) for path in reply["sources"]]
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._stop()

    def predict(self, images: NDArray[np.uint8]) -> Prediction:
        """Return activities (N,) and masks (N, S, S) of uint8 RGB images (N, S, S, 3); None if the predictor does not solve the task.

        Raises:
            InputError: if the predictor fails, or returns something that cannot be used.
        """
        count = len(images)
        reply = self._ask(list(images.shape), f"it predicted {count} images", images)
        tasks = reply["tasks"]
        self.sources = [
            Path(path) for path in reply["sources"]
        ]  # a predictor may import more modules when it is called
        activity = masks = None
        if predictor_host.ACTIVITY in tasks:
            activity = np.frombuffer(self._receive(8 * count), np.int64)
        if predictor_host.SEGMENTATION in tasks:
            shape = (count, self._size, self._size)
            masks = np.frombuffer(self._receive(count * self._size**2), np.uint8).reshape(shape)
        return activity, masks

    def _ask(self, content: Any, activity_now: str, images: NDArray[np.uint8] | None = None) -> dict[str, Any]:
        try:
            self._requests.write(json.dumps(content).encode() + b"\n")
            if images is not None:
                self._requests.write(np.ascontiguousarray(images).data)
            self._requests.flush()
            line = self._replies.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise InputError(f"--predictor {self._predictor!r}: its process ended {self._end()} while {activity_now}.")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise InputError(f"--predictor {self._predictor!r}: {reply['error']}")
        return reply

    def _receive(self, count: int) -> bytes:
        content = self._replies.read(count)
        if len(content) != count:
            raise InputError(
                f"--predictor {self._predictor!r}: its process ended {self._end()} while it sent its prediction."
            )
        return content

    def _end(self) -> str:
        code = self._process.wait()
        if code >= 0:
            return f"with status {code}"
        name = signal.Signals(-code).name
        return f"by {name}" + (" (often because memory ran out)" if -code == signal.SIGKILL else "")

    def _stop(self) -> None:
        for stream in (self._requests, self._replies):
            with suppress(BrokenPipeError):  # the process may have ended before it read everything
                stream.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
