"""What a result came from: software, device, commit; and reading it back."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import digest, read_json, sha256_of
from pipeline.study import Cell, Study

if TYPE_CHECKING:
    import torch

_LEARNING = ("torch", "torchvision", "timm")
_IMAGES = ("numpy", "opencv-python-headless", "imagecorruptions-imaug", "scipy", "numba", "pillow")
_PACKAGES = (*_LEARNING, *_IMAGES, "pandas")


def choose_device() -> torch.device:
    """The GPU where there is one, else the CPU with one thread: one and two threads give different bits.

    float32 is float32 on a GPU too: TF32 is switched off.
    """
    import torch

    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        return torch.device("cuda")
    torch.set_num_threads(1)
    return torch.device("cpu")


def software() -> dict[str, Any]:
    """Versions of Python and of the packages that matter, the device's name, and the commit of the code."""
    import torch

    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()}), 1 thread"
    versions = {package: _version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), "packages": versions, "device": name, "code": _commit()}


def training_code_sha256() -> str:
    """Hex SHA-256 of the source that a training runs: the model library, components of the user's own, and what reads images. A
    training goes on only from a state of the same code."""
    import endoarss
    from endoarss.registry import ARCHITECTURES, BACKBONES, WEIGHTINGS

    files = {*Path(endoarss.__file__).parent.rglob("*.py")}
    for registry in (BACKBONES, ARCHITECTURES, WEIGHTINGS):
        files.update(registry.files().values())
    files.update(Path(__file__).parent / name for name in ("images.py", "datasets/arrays.py", "datasets/load.py"))
    return digest([[path.name, sha256_of(path)] for path in sorted(files)])


def corruption_code_sha256() -> str:
    """Hex SHA-256 of the source and the package versions that decide how images are corrupted. Kept images are used only by the same
    code."""
    import corruptions

    library = Path(corruptions.__file__).parent
    files = [*library.glob("*.py"), *library.glob("operators/*.py"), Path(__file__).parent / "corrupted.py"]
    return _digest_of(files)


def measuring_code_sha256() -> str:
    """Hex SHA-256 of the source and the package versions that decide what is measured of answers. An evaluation goes on only by the
    same code."""
    import endoarss

    here, library = Path(__file__).parent, Path(endoarss.__file__).parent
    names = ("gallery.py", "robustness.py", "measure.py")
    return _digest_of([*library.glob("metrics/*.py"), *(here / name for name in names)])


def _digest_of(files: Sequence[Path]) -> str:
    return digest(
        [[[path.name, sha256_of(path)] for path in sorted(files)], {name: _version(name) for name in _IMAGES}]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed under this name"


def _commit() -> dict[str, Any]:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": None}


def read_provenance(study: Study, cell: Cell) -> dict[str, Any]:
    """The provenance of a trained cell."""
    return read_json(study.cell_folder(cell) / "provenance.json")
