"""What is installed in parts is enough for each part: `import corruptions` and the metrics need no extra, commands one of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

from endoarss import timm_names
from endoarss.errors import SettingsError
from endoarss.missing_packages import how_to_install
from pipeline.cli import COMMANDS, main
from pipeline.io.import_closure import import_closure, imported_packages

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Packages that are not called as what installs them is.
PACKAGES = {
    "imagecorruptions-imaug": "imagecorruptions",
    "mkdocs-material": "mkdocs",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
BY_HAND = ("train", "evaluate", "robustness", "merge", "predict")


def installed(*extras: str) -> set[str]:
    """Return the packages that extras list, with those that are always installed."""
    found = set()
    for one in [
        *PROJECT["dependencies"],
        *(one for extra in extras for one in PROJECT["optional-dependencies"][extra]),
    ]:
        name, inner = re.match(r"([\w-]+)(?:\[([\w,-]+)\])?", one).groups()
        found |= installed(*inner.split(",")) if name == "endoarss" else {PACKAGES.get(name, name.replace("-", "_"))}
    return found


@pytest.mark.parametrize("module", ["corruptions", "corruptions.api", "corruptions.command.cli", "endoarss.metrics"])
def test_corruptions_and_metrics_need_no_extra(module: str) -> None:
    needed = imported_packages(import_closure(module))
    assert "numpy" in needed
    assert needed <= installed() | ({"imagecorruptions"} if module.startswith("corruptions") else set())


def test_the_reference_backend_alone_needs_its_library() -> None:
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "corruptions").rglob("*.py")]
    assert [file for file in files if "imagecorruptions" in imported_packages([file])] == ["corruptions/reference.py"]


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("corruptions", ("reference",)),
        ("endoarss", ("train", "tensorboard")),
        ("reports", ("report",)),
        ("pipeline", ("train", "report", "workflow")),
        ("benchmarks", ("dev",)),
        ("tests", ("dev",)),
    ],
)
def test_what_a_folder_imports_is_listed(folder: str, extras: tuple[str, ...]) -> None:
    needed = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                needed.add(node.module.partition(".")[0])
    beside = {path.stem for path in (ROOT / folder).rglob("*.py")}  # tests import one another
    own = {"corruptions", "endoarss", "reports", "pipeline", "benchmarks", "tests", *beside, *sys.stdlib_module_names}
    assert needed - own <= installed(*extras)


@pytest.mark.parametrize(
    ("command", "extra"),
    [*((name, "train") for name in BY_HAND), ("report", "report"), ("paper", "report"), ("list", "workflow")],
)
def test_one_extra_is_enough_for_a_command(command: str, extra: str) -> None:
    module = f"pipeline.{COMMANDS.commands[command].calls.partition(':')[0]}"
    # Loading a study, whatever is done with it; and the reference backend and TensorBoard, for whom a study asks for them.
    needed = imported_packages(import_closure(module, "pipeline.cli", "pipeline.study.loading"))
    assert needed - {"imagecorruptions", "tensorboard"} <= installed(extra)


def test_every_requirement_says_its_extra() -> None:
    """What `how_to_install` reads is what pyproject.toml says; if this fails, install the checkout again: make setup."""
    told = {re.search(r"extra == ['\"]([\w-]+)['\"]", one)[1] for one in requires("endoarss") if "extra ==" in one}
    assert told == set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize(
    ("package", "preferred", "extra"),
    [
        ("torch", "workflow", "train"),
        ("pandas", "report", "report"),
        ("yaml", "workflow", "workflow"),
        ("huggingface_hub.errors", "train", "train"),
        ("imagecorruptions", "train", "reference"),
    ],
)
def test_a_missing_package_names_its_extra(package: str, preferred: str, extra: str) -> None:
    said = how_to_install(ModuleNotFoundError("", name=package), "endoarss do", preferred)
    assert said == f"endoarss do needs {package.partition('.')[0]}: pip install 'endoarss[{extra}]'"


def test_a_package_of_somebody_else_is_not_explained() -> None:
    assert how_to_install(ModuleNotFoundError("", name="nobodys_package"), "endoarss train", "train") == ""
    assert how_to_install(ModuleNotFoundError("no name"), "endoarss train", "train") == ""


@pytest.mark.parametrize(
    ("words", "package", "said"),
    [
        (
            ["predict", "x", "--out", "y"],
            "matplotlib",
            "endoarss predict needs matplotlib: pip install 'endoarss[train]'",
        ),
        (["list"], "pydantic", "endoarss list needs pydantic: pip install 'endoarss[workflow]'"),
        (["report"], "pydantic", "endoarss report needs pydantic: pip install 'endoarss[report]'"),
        (["step", "collect"], "pydantic", "endoarss step collect needs pydantic: pip install 'endoarss[workflow]'"),
    ],
)
def test_the_command_line_says_what_it_needs(
    words: list[str], package: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    monkeypatch.setattr(COMMANDS, "invoke", fails)
    assert main(words) == 1
    assert capsys.readouterr().err == f"{said}\n"


def test_names_of_timm_are_not_checked_where_timm_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="timm has no model 'resnet1000'"):
        timm_names.check_is_timm_model("resnet1000")
    timm_names._source_names.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(timm_names, "find_spec", lambda name: None)
        timm_names.check_is_timm_model("resnet1000")
    timm_names._source_names.cache_clear()


def test_models_say_what_they_need_and_the_metrics_need_no_torch() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'timm', 'pydantic', 'pandas', 'imagecorruptions')));"
        "import corruptions, endoarss.metrics, numpy as np; image = np.zeros((32, 32, 3), np.uint8);\n"
        "try: corruptions.corrupt(image, 'contrast', 1, backend='reference')\n"
        "except corruptions.CorruptionError as error: print(error)\n"
        "from endoarss import build_model"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert "needs imagecorruptions. Install it: pip install 'endoarss[reference]'" in done.stdout
    assert done.stderr.endswith("endoarss.build_model needs torch: pip install 'endoarss[train]'\n"), done.stderr
