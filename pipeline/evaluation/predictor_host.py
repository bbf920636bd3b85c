"""Runs somebody's predictor: a script that `pipeline.evaluation.predictor_process` starts in a process of its own.

It imports nothing of this package. So the predictor's own modules may have any name, `pipeline.py` too, and be imported at any time; and
whatever the predictor does to its process (path, working directory, threads, memory) stays there.

Requests and replies go through two pipes: a line of JSON, then the bytes of arrays. Images come in, labels go out.
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
_LETTERS = 400  # of an error's message
_THIS = Path(__file__).resolve()
# Where code lies that is not the predictor's: Python's, what is installed, and this project's.
_LIBRARIES = (
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(f"{_THIS.parents[2] / name}{os.sep}" for name in ("corruptions", "endoarss", "pipeline", "reports")),
)

Prediction = tuple[NDArray[np.int64] | None, NDArray[np.uint8] | None]


class RefusedError(Exception):
    """A predictor, or what it returned, cannot be used; the message says what was given and what was expected."""


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
        """Return the shape of a task's scores and that of its ids."""
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


def labels_of(given: Any, expected: Expected) -> Prediction:
    """Return the labels that a predictor returned, or the most probable ones of its scores.

    Args:
        given: what the predictor returned.
        expected: what it must return.

    Returns:
        Activities (N,) and masks of class ids (N, S, S); None for a task that it does not solve.

    Raises:
        RefusedError: if it returned something else.
    """
    found: dict[str, NDArray[Any]] = {}
    for task, value in _parts(given, expected):
        if task == ACTIVITY and not expected.activities:
            raise RefusedError("it gave activities, but the dataset has none")
        if task in found:
            raise RefusedError(f"it gave {task} twice; expected {expected}")
        found[task] = _ids(task, value, expected)
    if not found:
        raise RefusedError(f"it gave {_described(given)} without a prediction; expected {expected}")
    masks, activity = found.get(SEGMENTATION), found.get(ACTIVITY)
    return (
        None if activity is None else activity.astype(np.int64),
        None if masks is None else np.ascontiguousarray(masks.astype(np.uint8)),
    )


def _parts(given: Any, expected: Expected) -> list[tuple[str, NDArray[Any]]]:
    """Return the predictions by task. The shape of an array without a name decides which task it is for."""
    if isinstance(given, Mapping):
        unknown = sorted(str(key) for key in given if key not in (SEGMENTATION, ACTIVITY))
        if unknown:
            raise RefusedError(
                f"it gave a dict with the key {unknown[0]!r}; expected 'segmentation', 'activity' or both"
            )
        named = [(str(task), value) for task, value in given.items() if value is not None]
    else:
        values = given if isinstance(given, tuple) else (given,)
        named = [("", value) for value in values if value is not None]
        if len(named) > 2:
            raise RefusedError(f"it gave a tuple of {len(named)} items; expected one item per task: {expected}")
    if given is None:
        raise RefusedError(f"it gave None (a function without `return` does); expected {expected}")
    parts = []
    for task, value in named:
        array = _array(task, value, expected)
        parts.append((task or (SEGMENTATION if array.ndim > 2 else ACTIVITY), array))
    return parts


def _array(task: str, value: Any, expected: Expected) -> NDArray[Any]:
    name = f"it gave {task} as {_described(value)}" if task else f"it gave {_described(value)}"
    try:
        array = _numpy(value)
    except Exception as error:  # a user's type may raise anything when it is converted
        raise RefusedError(f"{name}, which is no array ({_message(error)}); expected {expected}") from None
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        raise RefusedError(f"{name}; expected {expected}")
    return array


def _numpy(value: Any) -> NDArray[Any]:
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu()
        return np.asarray((value.float() if value.is_floating_point() else value).numpy())
    if isinstance(value, list) and any(not isinstance(item, (list, int, float)) for item in value):
        return np.stack([_numpy(item) for item in value])
    return np.asarray(value)


def _ids(task: str, array: NDArray[Any], expected: Expected) -> NDArray[Any]:
    """Return the ids of a prediction: those with the highest scores, or the given ones."""
    scores, ids = expected.shapes(task)
    name = {SEGMENTATION: "class", ACTIVITY: "activity"}[task]
    given = f"it gave {task} as {array.dtype} {array.shape}"
    if array.dtype.kind == "f" and array.shape == scores:
        wrong = array.size - int(np.isfinite(array).sum())
        if wrong:
            raise RefusedError(f"{given} with {wrong:,} of {array.size:,} values that are not finite (NaN or infinite)")
        return array.argmax(axis=1)
    if array.dtype.kind in "iu" and array.shape == ids:
        least, most, count = int(array.min()), int(array.max()), scores[1]
        if least < 0 or most >= count:
            wrong = least if least < 0 else most
            raise RefusedError(f"{given} with the {name} id {wrong}; expected {name} ids from 0 to {count - 1}")
        return array
    raise RefusedError(
        f"{given}; expected {name} scores, floats {scores}, or {name} ids, integers {ids}{_hint(array, scores, ids)}"
    )


def _hint(array: NDArray[Any], scores: tuple[int, ...], ids: tuple[int, ...]) -> str:
    """Return what is probably wrong with the type or shape of a prediction, as the end of a sentence."""
    shape = array.shape
    if shape == scores:
        return ". Scores are floats, because whole numbers are taken for ids"
    if shape == ids:
        return ". Ids are integers: convert them"
    if len(shape) == 4 and shape == (scores[0], *scores[2:], scores[1]):
        return ". The classes come second: use transpose(0, 3, 1, 2)"
    if shape in (scores[1:], ids[1:]) or shape[1:] in (scores[1:], ids[1:]):
        return f". {scores[0]} image{'s were' if scores[0] > 1 else ' was'} given; the first axis must be the images"
    if len(shape) == len(scores) == 4 and shape[:2] == scores[:2]:
        return ". Resize the scores to the size of the images"
    return ""


def _described(value: Any) -> str:
    """Return the type of a value, and the shape and element type of an array."""
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
        The function, and the imported files that do not belong to installed packages.

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
            "the command where it lies, or install it"
        ) from None
    except (Exception, SystemExit) as error:
        raise RefusedError(f"cannot be imported: {blame(error)}") from None
    _check_is_theirs(module, here)
    function = getattr(module, name, None)
    if inspect.isclass(function):
        raise RefusedError(f"{name!r} is a class; expected a function, or an object that can be called with images")
    if not callable(function):
        there = sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_")
        raise RefusedError(
            f"{module_name} has no function {name!r}" + (f"; it has {', '.join(there[:8])}" if there else "")
        )
    return function, _sources(module)


def _check_is_theirs(module: ModuleType, here: Path) -> None:
    """Raise RefusedError if Python already had a module of this name, so that the file in the working directory was not imported."""
    path = here.joinpath(*module.__name__.split("."))
    files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    found = getattr(module, "__file__", None)
    if files and (found is None or Path(found).resolve() not in {file.resolve() for file in files}):
        raise RefusedError(f"{files[0]} has the name of a module that Python needs itself ({found}). Rename the file")


def _sources(module: ModuleType) -> list[Path]:
    files = {getattr(one, "__file__", None) for one in list(sys.modules.values())}
    named = {str(path) for path in (*files, module.__file__) if path and str(path).endswith(".py")}
    return sorted(Path(path) for path in named if not _is_library(path) and Path(path).resolve() != _THIS)


def _is_library(path: str) -> bool:
    return path.startswith(("<frozen", *_LIBRARIES))


def blame(error: BaseException) -> str:
    """Return where a user's code raised an error, on one line: file, line, function, type and message.

    The line is the last one in the user's own code: for an error in a library it is the line that called the library.
    """
    message = f"{type(error).__name__}: {_message(error)}".removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename) and Path(frame.filename).resolve() != _THIS]
    return f"{_shown(own[-1].filename)}, line {own[-1].lineno}, in {own[-1].name}: {message}" if own else message


def _shown(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _message(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # the code of the user's error may fail too
        text = ""
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]} ..."


def predict(function: Callable[[NDArray[np.uint8]], Any], images: NDArray[np.uint8], expected: Expected) -> Prediction:
    """Call a predictor and return its labels; see `labels_of`.

    Raises:
        RefusedError: if it raises, or returns something that cannot be used.
    """
    try:
        given = function(images)
    except (Exception, SystemExit) as error:
        raise RefusedError(f"failed for images {images.shape}: {blame(error)}") from None
    return labels_of(given, expected)


def _serve(requests: BufferedReader, replies: BufferedWriter) -> None:
    def reply(content: dict[str, Any], *arrays: NDArray[Any] | None) -> None:
        replies.write(json.dumps(content).encode() + b"\n")
        for array in arrays:
            if array is not None:
                replies.write(array.data)
        replies.flush()

    wanted = json.loads(requests.readline())
    # As if the module of the predictor had been started as a program in its folder.
    sys.argv, sys.path = [wanted["module"]], [str(Path.cwd()), *sys.path]
    solved: set[str] = set()
    try:
        function, files = find_function(wanted["module"], wanted["function"])
        function_module = wanted["module"]
        reply({"sources": [str(path) for path in files]})
        while line := requests.readline():
            images = np.empty(json.loads(line), np.uint8)
            _read_into(requests, images)
            expected = Expected(len(images), wanted["classes"], wanted["activities"], wanted["size"])
            activity, masks = predict(function, images, expected)
            tasks = {name for name, found in ((ACTIVITY, activity), (SEGMENTATION, masks)) if found is not None}
            solved = solved or tasks
            if tasks != solved:
                raise RefusedError(
                    f"it gave {_and(tasks)} for some images and {_and(solved)} for others; expected the same"
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
