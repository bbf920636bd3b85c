"""A predictor in its own process: its modules have any name and come at any time, and nothing it does harms the evaluation."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.predictor_host import RefusedError, find_function
from pipeline.evaluation.predictor_process import PredictorProcess
from pipeline.labels.classes import LabelSet

LABELS = LabelSet(("background", "one", "two"), ((0, 0, 0),) * 3, ("rest", "work"))
S = 8
IMAGES = np.random.default_rng(0).integers(0, 256, (3, S, S, 3), np.uint8)
HEAD = "import numpy as np\n"
RIGHT = "def predict(images):\n    return images[..., 0] // 100\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(files: Mapping[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


@pytest.mark.parametrize(
    ("predictor", "files"),
    [
        # A helper that is imported when the predictor runs, from a file that this package has too.
        ("model:predict", {"model.py": "def predict(images):\n    import helper\n    return helper.predict(images)\n",
                           "helper.py": "from pipeline import predict\n", "pipeline.py": RIGHT}),
        ("pipeline:predict", {"pipeline.py": RIGHT}),
        ("reports.models:predict", {"reports/__init__.py": "", "reports/models.py": "from corruptions import predict\n",
                                    "corruptions.py": RIGHT}),
        # A package without __init__.py; an object that is called; what it does to its process stays there.
        ("folder.model:predict", {"folder/model.py": "import os, sys\nclass Net:\n    def __call__(self, images):\n        os.chdir('/')\n"
                                  "        sys.path.clear()\n        images[:] //= 100\n        print('seen', sys.argv)\n"
                                  "        return images[..., 0]\npredict = Net()\n"}),
        # This package can be used.
        ("mine:predict", {"mine.py": "from endoarss.errors import SettingsError\n" + RIGHT}),
        # torch has modules whose files do not exist.
        ("net:predict", {"net.py": "import torch\nimport torchvision\ndef predict(images):\n"
                                   "    return (torch.from_numpy(images)[..., 0] // 100).numpy()\n"}),
    ],
    ids=["late helper", "pipeline.py", "packages", "effects", "endoarss", "torch"],
)  # fmt: skip
def test_a_predictor_works_whatever_its_files_are_called(predictor: str, files: dict[str, str], here: Path) -> None:
    write(files)
    kept = IMAGES.copy()
    with PredictorProcess(predictor, LABELS, S) as process:
        for count in (3, 1):
            activity, masks = process.predict(IMAGES[:count])
            np.testing.assert_array_equal(masks, IMAGES[:count, ..., 0] // 100)
            assert activity is None
    np.testing.assert_array_equal(IMAGES, kept)
    assert Path.cwd() == here
    names = {path.relative_to(here).as_posix() for path in process.sources}
    assert names and names <= set(files), "what it was imported from, and none of this package or of Python"


def test_both_tasks_come_back_in_order() -> None:
    write({"both.py": HEAD + "def f(images):\n    return images[..., 1] % 3, images[:, 0, 0, 2] % 2\n"})
    with PredictorProcess("both:f", LABELS, S) as process:
        activity, masks = process.predict(IMAGES)
    np.testing.assert_array_equal(activity, IMAGES[:, 0, 0, 2] % 2)
    np.testing.assert_array_equal(masks, IMAGES[..., 1] % 3)


@pytest.mark.parametrize(
    ("predictor", "text", "words"),
    [
        (
            "model:f",
            "import no_such_helper\n",
            "cannot be imported: model.py, line 1, in <module>: ModuleNotFoundError: No module named",
        ),
        ("model:f", "def f(images:\n", "cannot be imported: model.py, line 1: SyntaxError: '(' was never closed"),
        ("model:f", "import sys\nsys.exit('usage')\n", "model.py, line 2, in <module>: SystemExit: usage"),
        ("model:g", "def f(images): ...\n", "model has no function 'g'; it has f"),
        (
            "model:f",
            "class f: ...\n",
            "'f' is a class; expected a function, or an object that can be called with images",
        ),
        ("model:f", "f = 3\n", "model has no function 'f'"),
        ("other:f", "", "there is no module 'other': neither other.py in "),
        ("model.inner:f", "", "there is no module 'model.inner': neither model/inner.py in "),
        ("json:f", "", "json has no function 'f'"),
    ],
)
def test_what_cannot_be_imported_is_said(
    predictor: str, text: str, words: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"model.py": text})
    monkeypatch.syspath_prepend(here)
    try:
        with pytest.raises(RefusedError) as refused:
            find_function(*predictor.split(":"))
    finally:
        sys.modules.pop("model", None)
    said = str(refused.value)
    assert words in said and "predictor_host" not in said and "importlib" not in said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("model.py:f", "expected model:f, without .py."),
        *(
            (name, "expected MODULE:FUNCTION")
            for name in ("model", "model:", ":f", "a/b:f", "a b:f", "model:f()", "model:a.b", ".:f")
        ),
    ],
)
def test_malformed_names_are_refused_before_a_process_starts(given: str, words: str) -> None:
    with pytest.raises(InputError, match="--predictor") as refused:
        PredictorProcess(given, LABELS, S)
    assert words in str(refused.value)


def test_a_file_named_as_pythons_own_is_told_to_be_renamed() -> None:
    write({"json.py": RIGHT})
    words = r"^--predictor 'json:predict': .*json.py has the name of a module that Python needs itself \(.*\). Rename the file.$"
    with pytest.raises(InputError, match=words), PredictorProcess("json:predict", LABELS, S):
        pass


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os._exit(3)", "its process ended with status 3 while it predicted 3 images."),
        (
            "os.kill(os.getpid(), 9)",
            "its process ended by SIGKILL (often because memory ran out) while it predicted 3 images.",
        ),
        ("raise MemoryError", "failed for images (3, 8, 8, 3): dies.py, line 3, in f: MemoryError."),
        (
            "return None",
            "it returned None, as a function without `return` does; expected float scores of classes (3, 3, 8, 8)",
        ),
    ],
)
def test_a_predictor_that_dies_is_named(body: str, words: str) -> None:
    write({"dies.py": f"import os\ndef f(images):\n    {body}\n"})
    with PredictorProcess("dies:f", LABELS, S) as process, pytest.raises(InputError) as refused:
        process.predict(IMAGES)
    assert words in str(refused.value)


def test_the_same_tasks_are_expected_every_time() -> None:
    write(
        {
            "moody.py": "def f(images):\n    ids = images[..., 0] % 3\n    return ids if len(images) > 1 else ids[:, 0, 0] % 2\n"
        }
    )
    with PredictorProcess("moody:f", LABELS, S) as process:
        process.predict(IMAGES)
        with pytest.raises(
            InputError, match="returned activity for some images and segmentation for others; expected the same tasks"
        ):
            process.predict(IMAGES[:1])


def test_the_process_ends_with_the_evaluation() -> None:
    write(
        {
            "slow.py": "import os, time\ndef f(images):\n    open('pid', 'w').write(str(os.getpid()))\n    return images[..., 0] % 3\n"
        }
    )
    with pytest.raises(KeyboardInterrupt), PredictorProcess("slow:f", LABELS, S) as process:
        process.predict(IMAGES)
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("pid").read_text()), 0)
