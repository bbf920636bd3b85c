"""Files of torch from anybody: read as tensors or refused in a sentence; nothing of them runs, and no memory or time is claimed."""

from __future__ import annotations

import io
import os
import pickle
import resource
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from endoarss.errors import SettingsError
from endoarss.pretrained.read_tensors import read_tensors


def saved(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def with_pickle(described: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file of torch.save whose pickle is another."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"w": torch.zeros(2)}))) as old,
        zipfile.ZipFile(stream, "w", compression) as new,
    ):
        for one in old.infolist():
            new.writestr(one.filename, described if one.filename.endswith("data.pkl") else old.read(one))
    return stream.getvalue()


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-ran",)


def cycle() -> dict[str, Any]:
    content: dict[str, Any] = {"w": torch.zeros(2)}
    content["again"] = content
    return content


HEX = (
    b"\x80\x02c_codecs\nencode\n"
    + b"q\x00"
    + b"C\x04abcd"
    + b"q\x01"
    + b"h\x00h\x01X\x03\x00\x00\x00hex\x86R" * 60
    + b"."
)
COLLISIONS = b"\x80\x02}(" + b"".join(
    b"\x8a\x0f" + (n * (2**61 - 1)).to_bytes(15, "little") + b"N" for n in range(2**52, 2**52 + 20_000)
)
MESSAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a program": (
        lambda: saved({"w": torch.zeros(2), "run": Runs()}),
        "it contains more than tensors and plain values: '(posix|nt).mkdir'",
    ),
    "a program alone": (
        lambda: with_pickle(pickle.dumps(Runs(), 2)),
        "Nothing in it was run or loaded. If you trust its origin",
    ),
    "a name put together": (lambda: with_pickle(pickle.dumps(Runs(), 4)), "'a.name.that.is.assembled'"),
    "numbers of numpy": (
        lambda: saved({"w": torch.zeros(2), "best": np.float64(1)}),
        "'numpy.*scalar'.* convert it with this command on another machine",
    ),
    "text that doubles": (lambda: with_pickle(HEX), "'_codecs.encode'"),
    "numbers that collide": (lambda: with_pickle(COLLISIONS + b"u."), "larger than the description of any model"),
    "tuples in tuples": (
        lambda: with_pickle(b"\x80\x02}N" + b"\x85" * 200_000 + b"Ns."),
        "larger than the description of any model",
    ),
    "very many values": (
        lambda: with_pickle(b"\x80\x02]" + b"N0" * 400_000 + b"."),
        "larger than the description of any model",
    ),
    "a packed bomb": (
        lambda: with_pickle(b"\x00" * 10_000_000, zipfile.ZIP_DEFLATED),
        "claims to contain more than the file has",
    ),
    "packed": (lambda: with_pickle(os.urandom(100), zipfile.ZIP_DEFLATED), "it is compressed|claims to contain more"),
    "no pickle": (lambda: with_pickle(b"junk"), "it is not a complete file of torch.save"),
    "torn": (lambda: saved({"w": torch.zeros(1000)})[:900], "it is not a complete file of torch.save"),
    "an archive of numpy": (lambda: _npz(), "no data.pkl"),
    "a tensor as it is": (lambda: saved(torch.zeros(2)), "it contains Tensor; expected a dictionary of tensors"),
    "values alone": (lambda: saved({"epoch": 3, "args": {"lr": 1}}), "there is no tensor in it"),
    "one value many times": (lambda: saved({"w": torch.zeros(1).expand(10**9)}), "'w' is not a plain tensor"),
    "no memory": (
        lambda: saved({"w": torch.zeros(2, device="meta")}),
        "contains more|not a plain tensor|not a complete",
    ),
    "sparse": (lambda: saved({"w": torch.zeros(2, 2).to_sparse()}), "it contains more than tensors and plain values"),
    "before torch 1.6": (lambda: _old(), "neither a safetensors file nor a file of torch.save since torch 1.6"),
    "nothing": (lambda: b"", "neither a safetensors file nor"),
}


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, w=np.zeros(2))
    return stream.getvalue()


def _old() -> bytes:
    stream = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Allow this process 2 GiB more than it has."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("what", MESSAGES)
def test_what_is_refused_and_how(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, message = MESSAGES[what]
    Path("w.pth").write_bytes(make())
    started = time.process_time()
    with pytest.raises(SettingsError, match=rf"^w\.pth: .*({message})"):
        read_tensors(Path("w.pth"))
    assert time.process_time() - started < 5 and not Path("it-ran").exists()


def test_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    parameters = {"w": torch.nn.Parameter(torch.ones(2)), "half": torch.ones(2, dtype=torch.bfloat16)}
    for content in (
        parameters,
        {"state_dict": parameters, "epoch": 3},
        {"model": {"module": parameters}, "best": None},
    ):
        path.write_bytes(saved(content))
        assert {name: tensor.tolist() for name, tensor in read_tensors(path).items()} == {"w": [1, 1], "half": [1, 1]}
    path.write_bytes(saved({"student": {"w": torch.ones(2)}, "teacher": {"net": {"w": torch.zeros(2)}}}))
    assert not read_tensors(path, "teacher")["w"].any()
    path.write_bytes(saved(cycle()))
    assert read_tensors(path).keys() == {"w"}
    path.write_bytes(saved({"w": torch.ones(2)}))
    with pytest.raises(SettingsError, match="it has no entry 'ema', and only one dictionary of tensors"):
        read_tensors(path, "ema")
