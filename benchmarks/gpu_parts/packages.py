"""The packages that the GPU benchmark may import; this module itself needs none of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util

OLDEST_TORCH = (2, 11)
# Distribution -> the module it is imported as. What these packages depend on themselves comes with them.
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


def what_is_missing() -> str:
    """Return one message that names all that is missing, or an empty string if nothing is."""
    problems = []
    absent = [name for name, module in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if absent:
        problems.append(f"These packages are missing: {', '.join(absent)}. Install them, from wheels without network.")
    elif (found := importlib.metadata.version("torch")) and _first_two(found) < OLDEST_TORCH:
        problems.append(f"torch is {found}; expected {'.'.join(map(str, OLDEST_TORCH))} or newer.")
    return " ".join(problems)


def _first_two(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:2])
