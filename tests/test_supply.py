"""`make setup` installs nothing whose digest is not in the lock. Shown with packages made here; nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRONG = "0" * 64

# A build backend of one module, as setuptools is one of many: what it builds is an empty package.
BACKEND = """\
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    about = "checkout-1.0.dist-info/"
    with zipfile.ZipFile(f"{folder}/checkout-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\\nName: checkout\\nVersion: 1.0\\n")
        wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\\nGenerator: here\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(about + "RECORD", "".join(f"{about}{name},,\\n" for name in ("METADATA", "WHEEL", "RECORD")))
    return "checkout-1.0-py3-none-any.whl"
"""
PYPROJECT = """\
[build-system]
requires = ["tinybuild"]
build-backend = "tinybuild"

[project]
name = "checkout"
version = "1.0"
"""


def make_wheel(folder: Path, name: str, code: str) -> str:
    """Write a wheel of one module, version 1.0; its SHA-256."""
    files = {
        f"{name}.py": code,
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: here\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for path, text in files.items()
    )
    files[f"{name}-1.0.dist-info/RECORD"] = f"{record}{name}-1.0.dist-info/RECORD,,\n"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inner, text in files.items():
            wheel.writestr(inner, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile over a package that nothing but `tinybuild` builds, and wheels to install beside it."""
    folder = tmp_path / "checkout"
    (folder / "wheels").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def setup(checkout: Path, path: str, digests: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `make setup` with a lock of these digests, offline."""
    (checkout / "requirements.lock").write_text(
        "".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" for name, digest in digests.items())
    )
    offline = {
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": "wheels",
        "UV_CACHE_DIR": str(checkout / "cache"),
        "UV_NO_CONFIG": "1",
    }
    offline |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout / "wheels"), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        ["make", "setup", f"PYTHON={sys.executable}"],
        cwd=checkout,
        env={"HOME": str(checkout), "PATH": path, **offline},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_has_another_digest_is_not_installed(checkout: Path) -> None:
    right = {
        name: make_wheel(checkout / "wheels", name, code)
        for name, code in (("tiny", "x = 1\n"), ("tinybuild", BACKEND))
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["uv", "venv", "--quiet", "--python", sys.executable, ".venv"], cwd=checkout, env={"PATH": path}, check=True
    )
    packages = checkout / f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

    refused = setup(checkout, path, right | {"tiny": WRONG})
    assert refused.returncode != 0 and "Hash mismatch for `tiny==1.0`" in refused.stderr and WRONG in refused.stderr
    assert not (packages / "tiny.py").exists() and not (checkout / ".venv/.installed").exists()

    done = setup(checkout, path, right)
    assert done.returncode == 0, done.stderr
    assert (packages / "tiny.py").exists() and (packages / "checkout-1.0.dist-info").is_dir()

    # What builds the checkout is held to the lock as well, though it goes to a place of its own.
    shutil.rmtree(checkout / "cache")
    shutil.rmtree(packages / "checkout-1.0.dist-info")
    refused = setup(checkout, path, right | {"tinybuild": WRONG})
    assert refused.returncode != 0 and "Hash mismatch for `tinybuild==1.0`" in refused.stderr, refused.stderr
    assert not (packages / "checkout-1.0.dist-info").exists()


@pytest.mark.slow
def test_uv_itself_is_held_to_the_lock(checkout: Path) -> None:
    make_wheel(checkout / "wheels", "uv", "raise SystemExit(1)\n")
    tools = checkout / "tools"  # all that the Makefile calls, and no uv
    tools.mkdir()
    for name in ("make", "sh", "sed", "test", "rm", "touch"):
        (tools / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name}"))
    refused = setup(checkout, str(tools), {"uv": WRONG})
    assert refused.returncode != 0 and "DO NOT MATCH THE HASHES" in refused.stderr, refused.stderr
    assert not list((checkout / ".venv").glob("lib/*/site-packages/uv.py"))
