"""Checkpoints with a damaged header are read, or refused with a message that names the file, without allocating memory."""

from __future__ import annotations

import copy
import json
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file

from endoarss import build_model, load_checkpoint
from endoarss.checkpoint_header import read_header
from endoarss.checkpoints import save_checkpoint
from endoarss.errors import SettingsError
from endoarss.inference.preprocessing import RESIZING, SIDES, Preprocessing
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, SMASettings, WeightsSettings
from pipeline.errors import InputError
from pipeline.redaction import masked_content
from pipeline.results.origin import origin_of

CASES = 500
VIT = {"embed_dim": 24, "depth": 1, "num_heads": 2}
WORDS = ["hub", "file", "none", "tesla", "mmoe", "merged", "resnet", "endoarss", "resnet26", "spatial", "x"]
NUMBERS = [-1, 0, 1, 2.5, 1e308, float("nan"), float("inf"), -(10**400), 10**400, 10**6, 2**31, 2**63, 10**9]
TEXTS = ["", "\x00", "\ud800", "é\u202e", "=1+1", "../../x", "a" * 5000, "a." * 50_000, "hf-hub:timm/resnet26"]
LISTS = [[], {}, [[]], [None], {"": 1}, [10**9], [0.1] * 300, ["x"] * 30_000, [[[[1]]]]]
DUPLICATED = "\uf8ff duplicated"
DEEP = "\uf8ff deep"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small checkpoints, with the frozen weights in the same folder."""
    folder = tmp_path_factory.mktemp("checkpoints")
    vit = timm.create_model("vit_small_patch14_dinov2", img_size=28, num_classes=0, **VIT)
    save_file({name: tensor.contiguous() for name, tensor in vit.state_dict().items()}, folder / "vit.safetensors")
    weights = WeightsSettings("file", str(folder / "vit.safetensors"))
    origin = {
        "cell": "mtlesd/dinov2/tesla/equal/r4-s0",
        "settings": {"training": {"epochs": 3, "learning_rate": 0.001}},
        "manifest_sha256": "0" * 64,
        "weights": {"source": "file", "sha256": "0" * 64},
        "preprocessing": {
            "sources": ["esd"],
            "sizes": [[120, 96]],
            "borders": {side: [0.0, 0.1] for side in SIDES},
            "crop": {"recorded": [1920, 1080], "columns": [320, 1600], "rows": [28, 1052]},
            "resizing": RESIZING,
        },
        "synthetic": False,
        "pretrained_on_synthetic": False,
        "parameters": {"trained": 10, "total": 20},
        "seed": 0,
        "select_on": "val",
    }
    for backbone, architecture in (("dinov2", "mmoe"), ("resnet", "hps"), ("endoarss", "dselect_k")):
        given = BackboneSettings("vit_small_patch14_dinov2", VIT, weights, sma=SMASettings(width=2))
        if backbone == "resnet":
            given = BackboneSettings("resnet26", {"channels": [8, 8, 8, 8], "layers": [1, 1, 1, 1]})
        settings = ModelSettings(
            backbone, architecture, ("background", "tool"), ("cut", "hold"), 28, given, heads=HeadSettings(4, 4)
        )
        (folder / backbone).mkdir()
        save_checkpoint(build_model(settings), folder / backbone / "model.safetensors", origin)
    return folder


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of JSON-like data with each of its keys."""
    for key, value in list(
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    ):
        yield data, key
        yield from places(value)


def changed(settings: dict[str, Any], rng: random.Random) -> str:
    """Return the text of settings with another small number or known word in one or two places."""
    settings = copy.deepcopy(settings)
    for _ in range(rng.choice((1, 2))):
        holder, key = rng.choice([(h, k) for h, k in places(settings) if isinstance(h[k], int | float | str)])
        others = [word for word in WORDS if word != holder[key]]
        holder[key] = rng.choice(others if isinstance(holder[key], str) else (0, 1, 2, 7, 8, 32, 0.5, 64, True, False))
    return json.dumps(settings)


def mutated(header: dict[str, Any], rng: random.Random) -> str:
    """Return the text of a header with one to three faults in it."""
    header = copy.deepcopy(header)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        holder, key = rng.choice(list(places(header)))
        fault = rng.choice(("delete", "retype", "number", "number", "word", "text", "list", "add", "twice", "deep"))
        if fault == "delete":
            del holder[key]
        elif fault == "add" and isinstance(holder, dict):
            holder[rng.choice(("x", "cache_dir", "name", "component", "é"))] = rng.choice([*NUMBERS, *WORDS])
        else:
            holder[key] = {
                "retype": lambda value: rng.choice(([value], str(value), {"x": value}, None, True, 4.0)),
                "number": lambda value: rng.choice(NUMBERS),
                "word": lambda value: rng.choice(WORDS),
                "text": lambda value: rng.choice(TEXTS),
                "list": lambda value: rng.choice(LISTS),
                "add": lambda value: value,
                "twice": lambda value: {DUPLICATED: value},
                "deep": lambda value: DEEP,
            }[fault](holder[key])
    text = json.dumps(header)
    text = text.replace(json.dumps(DEEP), "[" * 5000 + "]" * 5000)
    text = text.replace(f"{json.dumps(DUPLICATED)}:", '"same": 1, "same":')
    return text[: rng.randrange(len(text))] if rng.random() < 0.05 else text


def with_header(whole: bytes, text: str) -> bytes:
    """Return a safetensors file with another text in its metadata."""
    length = int.from_bytes(whole[:8], "little")
    head = json.loads(whole[8 : 8 + length])
    head["__metadata__"]["endoarss"] = text
    return with_head(whole, json.dumps(head, ensure_ascii=False).encode("utf-8", "replace"))


def with_head(whole: bytes, head: bytes) -> bytes:
    """Return a safetensors file with another header."""
    return len(head).to_bytes(8, "little") + head + whole[8 + int.from_bytes(whole[:8], "little") :]


def header_of(path: Path) -> Any:
    """Return the parsed header of a safetensors file."""
    whole = path.read_bytes()
    return json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])


def use(path: Path) -> None:
    """Read the header of a checkpoint in all ways that the project does."""
    json.dumps(masked_content(origin_of(path))).encode()
    given = read_header(path).provenance.get("preprocessing")
    if given is not None:
        Preprocessing.from_dict(given, str(path))


def load(path: Path) -> None:
    """Build a checkpoint's model."""
    load_checkpoint(path, [path.parents[1] / "vit.safetensors"])


def is_refused(path: Path, number: int, how: Callable[[Path], None]) -> bool:
    """Return whether a checkpoint is refused. Fail if the message is not one or two sentences that name the file."""
    try:
        how(path)
    except (SettingsError, InputError) as error:
        said = str(error)
        assert str(path) in said and "\n" not in said and len(said) < 1500, (number, said)
        return True
    return False


def test_mutated_headers_are_read_or_refused_by_name(folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.glob("*/model.safetensors"))
    wholes = [(path.read_bytes(), json.loads(header_of(path)["__metadata__"]["endoarss"])) for path in paths]
    (tmp_path / "sent").mkdir()
    path = tmp_path / "sent" / "model.safetensors"
    refused = 0
    for number in range(CASES):
        rng = random.Random(number)
        whole, header = rng.choice(wholes)
        path.write_bytes(with_header(whole, mutated(header, rng)))
        refused += is_refused(path, number, use)
    assert 0.5 * CASES < refused < CASES


def test_settings_that_are_read_are_built_or_refused_by_name(folder: Path) -> None:
    """Valid settings of a model are compared with the stored tensors before memory is allocated."""
    path = folder / "resnet" / "model.safetensors"
    load(path)
    whole, header = path.read_bytes(), json.loads(header_of(path)["__metadata__"]["endoarss"])
    settings, tried, refused = header["settings"], 0, 0
    for number in range(1000):
        rng = random.Random(number)
        path.write_bytes(with_header(whole, json.dumps({**header, "settings": json.loads(changed(settings, rng))})))
        if not is_refused(path, number, use):
            tried += 1
            refused += is_refused(path, number, load)
        if tried == 40:
            break
    path.write_bytes(whole)
    assert tried == 40 and 10 < refused < 40


HUGE = {
    "embed_dim": lambda settings: settings["backbone_settings"].update(arguments={"embed_dim": 10**6}),
    "the widest": lambda settings: settings["backbone_settings"].update(arguments={"embed_dim": 8192, "num_heads": 1}),
    "depth": lambda settings: settings["backbone_settings"].update(arguments={**VIT, "depth": 128}),
    "experts": lambda settings: settings.update(architecture_settings={"experts": 64}),
    "more experts": lambda settings: settings.update(architecture_settings={"experts": 10**6}),
    "heads": lambda settings: settings.update(heads={"segmentation_channels": 16384, "activity_channels": 16384}),
    "sma": lambda settings: settings["backbone_settings"].update(sma={"width": 16384}),
    "lora": lambda settings: settings["backbone_settings"].update(lora={"rank": 16384}),
    "input": lambda settings: settings.update(input_size=2**40),
    "classes": lambda settings: settings.update(classes=["x"] * 10_000),
}


@pytest.mark.parametrize("claim", HUGE)
def test_a_header_that_claims_a_huge_model_claims_no_memory(claim: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    shutil.copy(folder / "vit.safetensors", tmp_path)
    stored = folder / "endoarss" / "model.safetensors"
    header = json.loads(header_of(stored)["__metadata__"]["endoarss"])
    HUGE[claim](header["settings"])
    path = tmp_path / "sent" / "model.safetensors"
    path.write_bytes(with_header(stored.read_bytes(), json.dumps(header)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert is_refused(path, 0, load)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_mutated_lists_of_tensors_are_read_or_refused_by_name(folder: Path) -> None:
    """The header of the safetensors file has the position of each tensor."""
    path = folder / "resnet" / "model.safetensors"
    whole, head = path.read_bytes(), header_of(path)
    refused = 0
    for number in range(60):
        rng = random.Random(number)
        given = copy.deepcopy(head)
        holder, key = rng.choice([place for place in places(given) if place[1] != "endoarss"])
        holder[key] = rng.choice([*NUMBERS, *TEXTS, *LISTS, "F64", "F8_E8M0", "F4", "BOOL", [holder[key]]])
        path.write_bytes(with_head(whole, json.dumps(given).encode("utf-8", "replace")))
        refused += is_refused(path, number, load)
    for length in (0, 7, 8, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused += is_refused(path, length, load)
    for length in (2**63, 9 << 20, 100):
        path.write_bytes(length.to_bytes(8, "little") + whole[8:])
        refused += is_refused(path, length, load)
    path.write_bytes(whole)
    assert refused > 60
