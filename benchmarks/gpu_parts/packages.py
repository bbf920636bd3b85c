"""The packages that the GPU benchmark may import. This module imports none of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util

OLDEST_TORCH = (2, 11)
# Distribution -> name of its module. The dependencies of these packages are not listed.
PACKAGES = {
    "torch": "torch",
    "timm": "timm",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "pandas": "pandas",
    "safetensors": "safetensors",
    "opencv-python-headless": "cv2",
    "numba": "numba",
    "scikit-image": "skimage",
    "scipy": "scipy",
    "tqdm": "tqdm",
    "pillow": "PIL",
    "pyarrow": "pyarrow",
    "pytest": "pytest",
    "pydantic": "pydantic",
    "pydantic-core": "pydantic_core",
    "annotated-types": "annotated_types",
    "typing-extensions": "typing_extensions",
    "typing-inspection": "typing_inspection",
}


def missing_packages() -> str:
    """Return one message that lists all missing packages, or an empty string if there is none."""
    problems = []
    absent = [name for name, module in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if absent:
        problems.append(
            f"These packages are missing: {', '.join(absent)}. Install them, or their wheels if there is no network."
        )
    elif (version := importlib.metadata.version("torch")) and _first_two(version) < OLDEST_TORCH:
        problems.append(f"torch is {version}; expected {'.'.join(map(str, OLDEST_TORCH))} or newer.")
    return " ".join(problems)


def _first_two(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(int(number) for number in version.split(".")[:2])
