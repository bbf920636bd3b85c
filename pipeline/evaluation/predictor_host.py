"""Run a user's predictor: a script that `pipeline.evaluation.predictor_process` starts in a process of its own.

This script imports nothing of the project, so the predictor's own modules may have any name, even `pipeline.py`, and be imported at any
time. Whatever the predictor does to its process (path, working directory, threads, memory) does not change the evaluation's process.

Requests with images and replies with labels go through two pipes. Each is a line of JSON, then the bytes of arrays.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEGMENTATION, ACTIVITY = "segmentation", "activity"
_LONGEST_MESSAGE = 400  # characters of an error's message
_THIS_FILE = Path(__file__).resolve()
# Folders of code that is not the predictor's: Python's own, installed packages, and this project.
_LIBRARIES = (
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(f"{_THIS_FILE.parents[2] / name}{os.sep}" for name in ("corruptions", "endoarss", "pipeline", "reports")),
)

Prediction = tuple[NDArray[np.int64] | None, NDArray[np.uint8] | None]


class RefusedError(Exception):
    """A predictor, or what it returned, cannot be used. The message says what is wrong and what was expected."""


@dataclass(frozen=True)
class Expected:
    """What a predictor must return for one batch.

    Attributes:
        count: number of images.
        classes: number of classes.
        activities: number of activities, 0 if the dataset has none.
        size: width and height of images and masks, in pixels.
    """

    count: int
    classes: int
    activities: int
    size: int

    def shapes(self, task: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the expected shape of a task's scores, and that of its ids."""
        if task == SEGMENTATION:
            return (self.count, self.classes, self.size, self.size), (self.count, self.size, self.size)
        return (self.count, self.activities), (self.count,)

    def __str__(self) -> str:
        scores, ids = self.shapes(SEGMENTATION)
        text = f"float scores of classes {scores} or integer class ids {ids}"
        if self.activities:
            scores, ids = self.shapes(ACTIVITY)
            text += f"; float scores of activities {scores} or integer activity ids {ids}"
            text += "; for both, a dict of 'segmentation' and 'activity', or a tuple"
        return text


def labels_of(returned: Any, expected: Expected) -> Prediction:
    """Return the labels that a predictor returned, or those with the highest scores if it returned scores.

    Args:
        returned: what the predictor returned.
        expected: what it must return.

    Returns:
        Activities (N,) and masks of class ids (N, S, S); None for a task that the predictor does not solve.

    Raises:
        RefusedError: if the predictor returned anything else.
    """
    labels: dict[str, NDArray[Any]] = {}
    for task, value in _arrays_by_task(returned, expected):
        if task == ACTIVITY and not expected.activities:
            raise RefusedError("it returned activities, but the dataset has none")
        if task in labels:
            raise RefusedError(f"it returned {task} twice; expected {expected}")
        labels[task] = _ids(task, value, expected)
    if not labels:
        raise RefusedError(f"it returned {_described(returned)} without a prediction; expected {expected}")
    masks, activity = labels.get(SEGMENTATION), labels.get(ACTIVITY)
    return (
        None if activity is None else activity.astype(np.int64),
        None if masks is None else np.ascontiguousarray(masks.astype(np.uint8)),
    )


def _arrays_by_task(returned: Any, expected: Expected) -> list[tuple[str, NDArray[Any]]]:
    """Return pairs of task and prediction. The task of an array without a name follows from the number of its axes."""
    if isinstance(returned, Mapping):
        unknown = sorted(str(key) for key in returned if key not in (SEGMENTATION, ACTIVITY))
        if unknown:
            raise RefusedError(
                f"it returned a dict with the key {unknown[0]!r}; expected 'segmentation', 'activity' or both"
            )
        named = [(str(task), value) for task, value in returned.items() if value is not None]
    else:
        values = returned if isinstance(returned, tuple) else (returned,)
        named = [("", value) for value in values if value is not None]
        if len(named) > 2:
            raise RefusedError(f"it returned a tuple of {len(named)} items; expected one item per task: {expected}")
    if returned is None:
        raise RefusedError(f"it returned None, as a function without `return` does; expected {expected}")
    arrays = []
    for task, value in named:
        array = _array(task, value, expected)
        arrays.append((task or (SEGMENTATION if array.ndim > 2 else ACTIVITY), array))
    return arrays


def _array(task: str, value: Any, expected: Expected) -> NDArray[Any]:
    sentence = f"it returned {task} as {_described(value)}" if task else f"it returned {_described(value)}"
    try:
        array = _numpy(value)
    except Exception as error:  # a user's type may raise anything when it is converted
        raise RefusedError(f"{sentence}, which is not an array ({_message(error)}); expected {expected}") from None
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        raise RefusedError(f"{sentence}; expected {expected}")
    return array


def _numpy(value: Any) -> NDArray[Any]:
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu()
        return np.asarray((value.float() if value.is_floating_point() else value).numpy())
    if isinstance(value, list) and any(not isinstance(item, (list, int, float)) for item in value):
        return np.stack([_numpy(item) for item in value])
    return np.asarray(value)


def _ids(task: str, array: NDArray[Any], expected: Expected) -> NDArray[Any]:
    """Return the ids of a prediction: those with the highest scores, or the returned ids."""
    scores, ids = expected.shapes(task)
    name = {SEGMENTATION: "class", ACTIVITY: "activity"}[task]
    sentence = f"it returned {task} as {array.dtype} {array.shape}"
    if array.dtype.kind == "f" and array.shape == scores:
        wrong = array.size - int(np.isfinite(array).sum())
        if wrong:
            raise RefusedError(
                f"{sentence} with {wrong:,} of {array.size:,} values that are not finite (NaN or infinite)"
            )
        return array.argmax(axis=1)
    if array.dtype.kind in "iu" and array.shape == ids:
        least, most, count = int(array.min()), int(array.max()), scores[1]
        if least < 0 or most >= count:
            wrong = least if least < 0 else most
            raise RefusedError(f"{sentence} with the {name} id {wrong}; expected {name} ids from 0 to {count - 1}")
        return array
    raise RefusedError(
        f"{sentence}; expected {name} scores, floats {scores}, or {name} ids, integers {ids}{_hint(array, scores, ids)}"
    )


def _hint(array: NDArray[Any], scores: tuple[int, ...], ids: tuple[int, ...]) -> str:
    """Return advice on the type or shape of a prediction, as a sentence to append; empty if there is none."""
    shape = array.shape
    if shape == scores:
        return ". Scores must be floats, because integers are read as ids"
    if shape == ids:
        return ". Ids must be integers: convert them"
    if len(shape) == 4 and shape == (scores[0], *scores[2:], scores[1]):
        return ". The second axis must be the classes: use transpose(0, 3, 1, 2)"
    if shape in (scores[1:], ids[1:]) or shape[1:] in (scores[1:], ids[1:]):
        return f". {scores[0]} image{'s were' if scores[0] > 1 else ' was'} passed; the first axis must be the images"
    if len(shape) == len(scores) == 4 and shape[:2] == scores[:2]:
        return ". Resize the scores to the size of the images"
    return ""


def _described(value: Any) -> str:
    """Return the type of a value in words, for an array also its shape and element type."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{name} of shape {tuple(shape)} and type {dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {name} of {len(value)} items"
    return f"a value of type {name}" if value is not None else "None"


def find_function(module_name: str, name: str) -> tuple[Callable[[NDArray[np.uint8]], Any], list[Path]]:
    """Import a predictor.

    Returns:
        The function, and the files that were imported, without those of Python, installed packages and this project.

    Raises:
        RefusedError: if there is no such module or function, or importing it fails.
    """
    here = Path.cwd()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name and not module_name.startswith(f"{error.name}."):
            raise RefusedError(f"cannot be imported: {blame(error)}") from None
        raise RefusedError(
            f"there is no module {error.name!r}: neither {Path(*str(error.name).split('.'))}.py in {here} nor an installed one. Run "
            "the command in the folder of the module, or install the module"
        ) from None
    except (Exception, SystemExit) as error:
        raise RefusedError(f"cannot be imported: {blame(error)}") from None
    _check_is_theirs(module, here)
    function = getattr(module, name, None)
    if inspect.isclass(function):
        raise RefusedError(f"{name!r} is a class; expected a function, or an object that can be called with images")
    if not callable(function):
        functions = sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_")
        raise RefusedError(
            f"{module_name} has no function {name!r}" + (f"; it has {', '.join(functions[:8])}" if functions else "")
        )
    return function, _sources(module)


def _check_is_theirs(module: ModuleType, here: Path) -> None:
    """Raise RefusedError if Python imported a module of its own instead of the user's file in the working directory."""
    path = here.joinpath(*module.__name__.split("."))
    files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    imported = getattr(module, "__file__", None)
    if files and (imported is None or Path(imported).resolve() not in {file.resolve() for file in files}):
        raise RefusedError(
            f"{files[0]} has the name of a module that Python needs itself ({imported}). Rename the file"
        )


def _sources(module: ModuleType) -> list[Path]:
    """Return the user's files among those of all imported modules. Some modules name no file that exists, such as torch.classes."""
    names = {getattr(loaded, "__file__", None) for loaded in list(sys.modules.values())}
    paths = {Path(name) for name in (*names, module.__file__) if name and str(name).endswith(".py")}
    return sorted(
        path for path in paths if path.is_file() and not _is_library(str(path)) and path.resolve() != _THIS_FILE
    )


def _is_library(path: str) -> bool:
    return path.startswith(("<frozen", *_LIBRARIES))


def blame(error: BaseException) -> str:
    """Return where a user's code raised an error, in one line: file, line number, function, type and message.

    The place is the last one in the user's own code. For an error in a library, that is where the user's code called the library.
    """
    message = f"{type(error).__name__}: {_message(error)}".removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short_path(error.filename)}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own_frames = [
        frame for frame in frames if not _is_library(frame.filename) and Path(frame.filename).resolve() != _THIS_FILE
    ]
    if not own_frames:
        return message
    last = own_frames[-1]
    return f"{_short_path(last.filename)}, line {last.lineno}, in {last.name}: {message}"


def _short_path(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _message(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # the user's error class may have code that fails
        text = ""
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."


def predict(function: Callable[[NDArray[np.uint8]], Any], images: NDArray[np.uint8], expected: Expected) -> Prediction:
    """Call a predictor and return its labels, as `labels_of` does.

    Raises:
        RefusedError: if the predictor raises an error, or returns something that cannot be used.
    """
    try:
        returned = function(images)
    except (Exception, SystemExit) as error:
        raise RefusedError(f"failed for images {images.shape}: {blame(error)}") from None
    return labels_of(returned, expected)


def _serve(requests: BufferedReader, replies: BufferedWriter) -> None:
    def reply(content: dict[str, Any], *arrays: NDArray[Any] | None) -> None:
        replies.write(json.dumps(content).encode() + b"\n")
        for array in arrays:
            if array is not None:
                replies.write(array.data)
        replies.flush()

    settings = json.loads(requests.readline())
    # The module sees the same argv and path as a program that the user starts in the working directory.
    sys.argv, sys.path = [settings["module"]], [str(Path.cwd()), *sys.path]
    solved: set[str] = set()
    try:
        function, files = find_function(settings["module"], settings["function"])
        function_module = settings["module"]
        reply({"sources": [str(path) for path in files]})
        while line := requests.readline():
            images = np.empty(json.loads(line), np.uint8)
            _read_into(requests, images)
            expected = Expected(len(images), settings["classes"], settings["activities"], settings["size"])
            activity, masks = predict(function, images, expected)
            tasks = {name for name, labels in ((ACTIVITY, activity), (SEGMENTATION, masks)) if labels is not None}
            solved = solved or tasks
            if tasks != solved:
                raise RefusedError(
                    f"it returned {_and(tasks)} for some images and {_and(solved)} for others; expected the same tasks for all"
                )
            files = _sources(sys.modules[function_module])
            reply({"tasks": sorted(tasks), "sources": [str(path) for path in files]}, activity, masks)
    except RefusedError as error:
        text = str(error)
        reply({"error": text if text.endswith(".") else f"{text}."})


def _and(names: set[str]) -> str:
    return " and ".join(sorted(names))


def _read_into(stream: BufferedReader, array: NDArray[np.uint8]) -> None:
    view, filled = array.data.cast("B"), 0
    while filled < len(view):
        count = stream.readinto(view[filled:])
        if not count:
            raise EOFError("the images ended too early")
        filled += count


if __name__ == "__main__":
    try:
        _serve(os.fdopen(int(sys.argv[1]), "rb"), os.fdopen(int(sys.argv[2]), "wb"))
    except KeyboardInterrupt:
        sys.exit(130)
