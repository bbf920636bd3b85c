"""The fuzz suite: damaged and malicious checkpoints, studies, saved results, pictures, videos and archives.

    python tests/fuzz/run_fuzz.py --seconds 600 [--only headers] [--seed 0] [--json out.json]

Everything is drawn from the seed, so that a case is made again by its number. It prints one line per kind of input, and ends with 1
if anything hung, crashed, opened a door, took too much memory, or ended in a traceback.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True
_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1])]

import cv2
import numpy as np
import pandas as pd
import torch
import yaml
from harness import LIMIT_BYTES, Tally, attempt
from mutate import content, octets
from PIL import Image
from safetensors.torch import save_file

from endoarss import build_model, load_checkpoint
from endoarss.backbones.timm_model import bare_timm_model
from endoarss.checkpoint_header import read_header
from endoarss.checkpoints import save_checkpoint
from endoarss.inference.media import find_sources, read_frames
from endoarss.pretrained.read_tensors import read_tensors
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, SMASettings, WeightsSettings
from pipeline.datasets.load import Split
from pipeline.datasets.manifest import COLUMNS, manifest_text, read_manifest
from pipeline.evaluation.measure import measure
from pipeline.io.files import read_json
from pipeline.io.images import read_ids, read_rgb
from pipeline.io.saved_files import read_history, read_representations, read_similarities
from pipeline.labels.classes import plain_labels
from pipeline.redaction import masked_content
from pipeline.results.gallery import read_gallery, write_gallery
from pipeline.results.origin import origin_of
from pipeline.results.predictions import SavedPredictions, read_predictions, write_predictions
from pipeline.results.row_files import read_rows
from pipeline.sources.archives import prepare_root
from pipeline.study.loading import load_study

warnings.simplefilter("ignore")  # of zipfile about names given twice, which is what is wanted
torch.set_num_threads(1)
cv2.setNumThreads(1)
Case = tuple[Callable[[], object], list[Path]]
VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2}
LABELS = plain_labels(["background", "a", "b"], ["cut", "hold"])
FRAMES = ["one", "two", "three"]
_TRAINED = {
    "seed": 0,
    "cell": "x",
    "select_on": "last",
    "manifest_sha256": "",
    "weights": {},
    "pretrained_on_synthetic": False,
}


def headers(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Checkpoints whose header, tensors or bytes are damaged."""
    vit = folder / "vit.safetensors"
    made = bare_timm_model("vit_small_patch14_dinov2", VIT, img_size=56)
    save_file({name: tensor.contiguous() for name, tensor in made.state_dict().items()}, vit)
    weights = WeightsSettings("file", str(vit))
    backbones = {
        "resnet": BackboneSettings("resnet26", {"channels": [8, 8, 12, 16]}),
        "dinov2": BackboneSettings("vit_small_patch14_dinov2", VIT, weights),
        "endoarss": BackboneSettings("vit_small_patch14_dinov2", VIT, weights, sma=SMASettings(width=2)),
    }
    wholes = []
    for number, (backbone, architecture) in enumerate(
        (("resnet", "hps"), ("dinov2", "tesla"), ("dinov2", "mmoe"), ("endoarss", "dselect_k"), ("dinov2", "merged"))
    ):
        settings = ModelSettings(
            backbone, architecture, LABELS.classes, LABELS.activities, 56, backbones[backbone], heads=HeadSettings(8, 8)
        )
        path = folder / f"whole{number}.safetensors"
        save_checkpoint(build_model(settings), path, _TRAINED)
        wholes.append((path.read_bytes(), json.loads(read_header(path).model_dump_json())))
    path = folder / "case.safetensors"
    while True:
        whole, header = rng.choice(wholes)
        path.write_bytes(octets(whole, rng) if rng.random() < 0.25 else _with_header(whole, content(header, rng)))
        yield (
            (
                lambda: (
                    load_checkpoint(path, [vit]),
                    json.dumps(masked_content(origin_of(path)), ensure_ascii=False).encode(),
                )
            ),
            [folder],
        )


def _with_header(whole: bytes, header: Any) -> bytes:
    """A safetensors file with another text in its metadata."""
    length = int.from_bytes(whole[:8], "little")
    head = json.loads(whole[8 : 8 + length])
    head["__metadata__"]["endoarss"] = json.dumps(header)
    text = json.dumps(head).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + whole[8 + length :]


def weights(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Files of pretrained weights whose bytes are damaged: of torch, its pickle and its archive, and of safetensors."""
    tensors = {"blocks.0.weight": torch.zeros(3, 4), "norm.bias": torch.zeros(4, dtype=torch.float16)}
    whole, path = io.BytesIO(), folder / "case.safetensors"
    torch.save({"model": tensors, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, whole)
    save_file(tensors, path)
    stored = path.read_bytes()
    while True:
        form = rng.randrange(3)
        path = folder / ("case.safetensors" if form == 0 else "case.pth")
        path.write_bytes(
            octets(stored if form == 0 else whole.getvalue(), rng) if form < 2 else _with_pickle(whole.getvalue(), rng)
        )
        yield lambda path=path: read_tensors(path, rng.choice(("", "model"))), [folder]


def _with_pickle(whole: bytes, rng: random.Random) -> bytes:
    """A file of torch.save with a damaged pickle in a whole archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(stream, "w") as new:
        for one in old.infolist():
            held = old.read(one)
            new.writestr(one.filename, octets(held, rng) if one.filename.endswith("data.pkl") else held)
    return stream.getvalue()


def studies(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Studies whose values or text are damaged."""
    texts = [(Path("studies") / f"{name}.yaml").read_text() for name in ("quick", "demo", "endovis2017_parts")]
    os.environ.setdefault("ENDOARSS_SAMPLE_DATA", str(folder))
    parsed = [yaml.safe_load(text) for text in texts]
    path = folder / "study.yaml"
    bombs = [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
        *(
            "a: &a [*a]",
            "a: " + "[" * 20_000,
            "a: " + "{a: " * 5000,
            "a: " + "9" * 5000,
            "? {a: b}\n: c",
            "seeds: [0.0]\n" * 2,
        ),
    ]
    while True:
        choice = rng.random()
        if choice < 0.7:
            text = yaml.safe_dump(content(rng.choice(parsed), rng), allow_unicode=False).encode("utf-8", "replace")
        elif choice < 0.95:
            text = octets(rng.choice(texts).encode(), rng)
        else:
            text = rng.choice(bombs).encode()
        path.write_bytes(text)
        yield (lambda: load_study(path)), [folder]


def saved_files(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Results that steps keep: JSON, arrays, tables."""
    part = Split(
        FRAMES, ["s", "s", "t"], np.zeros((3, 8, 8, 3), np.uint8), np.ones((3, 8, 8), np.uint8), np.array([0, 1, 1])
    )
    masks = np.zeros((3, 8, 8), np.uint8)
    kept = SavedPredictions(FRAMES, np.array([0, 1, 1]), np.full(3, 0.5, np.float32), masks)
    write_predictions(folder / "predictions.npz", kept)
    write_gallery(
        folder / "gallery.npz",
        FRAMES,
        pd.DataFrame({"corruption": ["", "smoke"], "severity": [0, 3]}),
        np.stack([masks, masks]),
    )
    measure(part, part.masks, LABELS, kept.activity, masks, kept.confidence).to_parquet(folder / "rows.parquet")
    (folder / "history.csv").write_text("epoch,seconds,images_per_second,loss\n1,0.5,20,1.5\n2,0.5,20,1.25\n")
    np.savez(
        folder / "representations.npz", **{"individual/activity": np.ones((3, 4), np.float32), "digest": np.array("ab")}
    )
    (folder / "similarity.json").write_text(
        json.dumps({"mtlesd": {"random_by_activity": [0.5, 0.25], "by_sequence": [0.125]}})
    )
    row = dict.fromkeys(COLUMNS, "") | {
        "frame_id": "a",
        "split": "train",
        "image": "images/a.png",
        "mask": "masks/a.png",
    }
    (folder / "manifest.csv").write_text(manifest_text([row, row | {"frame_id": "b"}]))
    readers: dict[str, Callable[[Path], object]] = {
        "predictions.npz": lambda path: read_predictions(path, FRAMES, LABELS),
        "gallery.npz": read_gallery,
        "rows.parquet": lambda path: read_rows(path, FRAMES, LABELS),
        "history.csv": read_history,
        "representations.npz": read_representations,
        "similarity.json": read_similarities,
        "manifest.csv": lambda path: read_manifest(path.parent),
    }
    wholes = {name: (folder / name).read_bytes() for name in readers}
    while True:
        name = rng.choice(list(readers))
        case = folder / "case" / name
        case.parent.mkdir(exist_ok=True)
        made = octets(wholes[name], rng)
        if name.endswith(".npz") and rng.random() < 0.5:
            made = _other_arrays(wholes[name], rng)
        elif name.endswith(".json") and rng.random() < 0.7:
            made = json.dumps(content(json.loads(wholes[name]), rng)).encode()
        elif name.endswith(".parquet") and rng.random() < 0.5:
            made = _other_table(folder / name, rng)
        case.write_bytes(made)
        yield (
            (lambda name=name, case=case: (readers[name](case), read_json(case) if case.suffix == ".json" else None)),
            [folder],
        )


def _other_arrays(whole: bytes, rng: random.Random) -> bytes:
    """An .npz whose arrays have other types, shapes or values, or headers that lie."""
    with np.load(io.BytesIO(whole)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = rng.choice(list(arrays))
    values = arrays[name]
    others = [
        *(values.astype(np.float64) if values.dtype.kind != "U" else np.array([1.5])),
        *(
            np.full(values.shape, np.nan),
            np.full(values.shape, 200, np.uint8),
            np.array(7),
            np.empty((0, 3)),
            values.reshape(-1)[:1],
        ),
        *(np.array(["x"] * 3), np.zeros((3, 8, 8, 2), np.uint8), np.array([{}], object)),
    ]
    arrays[name] = rng.choice(others) if values.ndim or rng.random() < 0.5 else np.ones((2, 2))
    stream = io.BytesIO()
    if rng.random() < 0.2:
        # A header of a few bytes that claims very many values.
        with zipfile.ZipFile(stream, "w") as archive:
            head = io.BytesIO()
            descr, shape = rng.choice([("|u1", (10**12,)), ("|u1", (10**20,)), ("<U0", (10**8,))])
            np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
            archive.writestr(f"{name}.npy", head.getvalue())
        return stream.getvalue()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _other_table(path: Path, rng: random.Random) -> bytes:
    """A parquet table with a column of other values, or without one, or of very many equal rows."""
    rows = pd.read_parquet(path)
    name = rng.choice(list(rows))
    choice = rng.random()
    if choice < 0.2:
        rows = rows.drop(columns=name)
    elif choice < 0.25:
        # A few bytes that stand for gigabytes.
        rows["sequence"] = pd.Series(["x" * 50_000] * len(rows)).astype("category")
        rows = pd.concat([rows] * 20_000, ignore_index=True)[["frame_id", "sequence"]]
    elif choice < 0.3:
        rows = pd.DataFrame({name: pd.Series(np.zeros(10_000_000, np.int8)) for name in list(rows)[:12]})
    else:
        value = rng.choice([None, -1, 10**9, float("nan"), float("inf"), "text", True, 1.5])
        rows[name] = [value] * len(rows)
    stream = io.BytesIO()
    rows.to_parquet(stream)
    return stream.getvalue()


def media(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Pictures, masks and videos."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    wholes: dict[str, bytes] = {}
    for name, kind in (
        ("a.png", "PNG"),
        ("b.jpg", "JPEG"),
        ("c.tif", "TIFF"),
        ("d.webp", "WEBP"),
        ("e.bmp", "BMP"),
        ("f.gif", "GIF"),
    ):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        wholes[name] = stream.getvalue()
    for name, code in (("g.mp4", "mp4v"), ("h.avi", "MJPG"), ("i.mkv", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
        for _ in range(6):
            writer.write(pixels)
        writer.release()
        if (folder / name).is_file():
            wholes[name] = (folder / name).read_bytes()
    secret = folder.with_name(f"{folder.name}-beside.mp4")
    secret.write_bytes(wholes["g.mp4"])
    playlists = [
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "[playlist]\nFile1=http://127.0.0.1:9/x.mp4\n",
        f"<?xml version='1.0'?><MPD><BaseURL>{secret}</BaseURL></MPD>",
    ]
    while True:
        name = rng.choice(list(wholes))
        case = folder / "case" / name
        case.parent.mkdir(exist_ok=True)
        if case.is_dir():
            case.rmdir()
        case.unlink(missing_ok=True)
        choice = rng.random()
        if choice < 0.8:
            case.write_bytes(octets(wholes[name], rng))
        elif choice < 0.87:
            case.write_text(rng.choice(playlists))
        elif choice < 0.91:
            os.mkfifo(case)
        elif choice < 0.94:
            case.mkdir()
        elif choice < 0.97:
            case.symlink_to(rng.choice(["/dev/zero", "/dev/stdin", str(case), "/proc/self/environ"]))
        else:
            case.write_bytes(wholes[rng.choice(list(wholes))])  # another kind than its name says
        yield (lambda case=case: _look_at(case)), [folder]


def _look_at(path: Path) -> None:
    reads = [lambda: list(zip(range(40), read_frames(find_sources([path])[0]), strict=False))]
    if path.suffix in (".png", ".jpg"):
        reads += [lambda: read_rgb(path), lambda: read_ids(path)]
    last: Exception | None = None
    for read in reads:
        try:
            read()
        except ValueError as error:  # InputError among them: all readers are to be tried
            last = error
    if last is not None:
        raise last


def archives(folder: Path, rng: random.Random) -> Iterator[Case]:
    """Zip files with names that lead elsewhere, links, bombs, and damage."""
    names = (
        "seq_1/a.png",
        "../../escaped.png",
        "/tmp/escaped.png",
        "a/../../b.png",
        "C:\\x.png",
        "..\\x.png",
        "a\x00b",
        "x" * 300,
        "nul\n",
        "a",
        "a/b",
    )
    root = folder / "raw"
    while True:
        if root.exists():
            _remove(root)
        root.mkdir()
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for _ in range(rng.randrange(1, 5)):
                info = zipfile.ZipInfo(rng.choice(names))
                info.external_attr = rng.choice((0o100644, 0o120777, 0o010644, 0o040755, 0o104755)) << 16
                info.compress_type = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                payload = rng.choice((b"x", b"/etc/passwd", bytes(1 << 20), stream.getvalue()))
                archive.writestr(info, payload)
        made = stream.getvalue()
        (root / "release.zip").write_bytes(octets(made, rng) if rng.random() < 0.6 else made)
        yield (lambda: prepare_root(root)), [root]


def _remove(path: Path) -> None:
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() and not inner.is_symlink() else inner.unlink()
    path.rmdir()


KINDS: dict[str, Callable[[Path, random.Random], Iterator[Case]]] = {
    "headers": headers,
    "weights": weights,
    "studies": studies,
    "saved files": saved_files,
    "media": media,
    "archives": archives,
}


def run(kind: str, seed: int, seconds: float, most: int) -> Tally:
    """Try cases of one kind until the time or the count is over."""
    tally, ends = Tally(), time.perf_counter() + seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "inside"
        folder.mkdir()
        before = _listing(Path(name), folder)
        for number, (function, folders) in enumerate(KINDS[kind](folder, random.Random(f"{kind} {seed}"))):
            tally.add(f"{kind} {number}", attempt(function, folders))
            outside = _listing(Path(name), folder) - before - {f"{folder.name}-beside.mp4"}
            if outside:
                tally.doors.append(f"{kind} {number}: wrote {sorted(outside)}")
                break
            if time.perf_counter() > ends or number + 1 >= most:
                break
    return tally


def _listing(parent: Path, folder: Path) -> set[str]:
    return {str(path.relative_to(parent)) for path in parent.rglob("*") if not path.is_relative_to(folder)}


def main() -> int:
    """Run all kinds, print the table, and say whether everything was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all kinds together")
    parser.add_argument("--most", type=int, default=10**9, help="cases of a kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(KINDS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    kinds = [given.only] if given.only else list(KINDS)
    tallies = {kind: run(kind, given.seed, given.seconds / len(kinds), given.most) for kind in kinds}
    heads = ("tried", "refused", "accepted", "traceback", "hang", "crash", "doors", "worst s", "worst MiB")
    print(f"{'kind':<12}" + "".join(f"{head:>10}" for head in heads))
    for kind, tally in tallies.items():
        counts = [tally.tried, *(tally.kinds[name] for name in heads[1:6]), len(tally.doors)]
        values = [*map(str, counts), f"{tally.seconds:.2f}", f"{tally.bytes / 2**20:.0f}"]
        print(f"{kind:<12}" + "".join(f"{value:>10}" for value in values))
        for said, name in tally.odd.items():
            print(f"  {name}: {said}")
        for door in tally.doors[:10]:
            print(f"  door: {door}")
    if given.json:
        given.json.write_text(json.dumps({kind: vars(tally) for kind, tally in tallies.items()}))
    return int(any(tally.odd or tally.doors or tally.bytes > LIMIT_BYTES for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
