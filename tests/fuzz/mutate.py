"""Damage data at random: JSON-like content, and bytes. The same seed gives the same damage."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 3, 7, 255, 256, 65536, 2**31, 2**63, 10**30, -(10**30), 0.5, 1e308, -0.0),
    *(
        float("nan"),
        float("inf"),
        "",
        " ",
        "\n",
        "demo\n",
        "\x00",
        "a" * 5000,
        "../../../tmp/x",
        "/etc/passwd",
        "~/x",
        "$HOME",
    ),
    *(
        "hf-hub:timm/resnet26",
        "local-dir:/tmp",
        "file:///etc/passwd",
        "http://127.0.0.1:9/x",
        "resnet26",
        "convnext_tiny",
    ),
    *(
        "vit_small_patch14_dinov2",
        "swin_tiny_patch4_window7_224",
        "hub",
        "file",
        "none",
        "checkpoint",
        "=1+1",
        "été",
        "\ud800",
    ),
    *([], {}, [[]], [None], {"a": {"b": []}}, [1, 2, 3], [10**9], ["q", "q"], {"": 1}, [0.1] * 300),
    # What takes time by the square of its length, or ends in a stack of calls.
    *("a." * 20_000, ["x"] * 15_000, json.loads("[" * 300 + "]" * 300), {"\udfff": 1}),
]
# What timm takes besides what it should, and what might be tried.
TIMM_KEYS = (
    *(
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "checkpoint_path",
        "cache_dir",
        "pretrained",
        "features_only",
        "scriptable",
    ),
    *("exportable", "no_jit", "block_fn", "block", "norm_layer", "act_layer", "attn_layer", "mlp_layer", "embed_layer"),
    *(
        "weight_init",
        "device",
        "dtype",
        "num_classes",
        "in_chans",
        "img_size",
        "global_pool",
        "out_indices",
        "url",
        "hf_hub_id",
    ),
    *(
        "patch_size",
        "depth",
        "embed_dim",
        "num_heads",
        "layers",
        "channels",
        "stem_type",
        "aa_layer",
        "drop_path_rate",
        "__class__",
    ),
)
_URLS = {
    "url": "http://127.0.0.1:9/w.safetensors",
    "file": "/etc/passwd",
    "hf_hub_id": "timm/resnet26",
    "source": "hf-hub",
}


def content(data: Any, rng: random.Random) -> Any:
    """Return JSON-like data with one to three places replaced, removed, renamed or added."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(data))
        if not places:
            return data
        holder, key = rng.choice(places)
        action = rng.random()
        if action < 0.6:
            holder[key] = copy.deepcopy(rng.choice(NASTY))
        elif action < 0.72:
            del holder[key]
        elif isinstance(holder, dict) and action < 0.9:
            holder[rng.choice(TIMM_KEYS)] = copy.deepcopy(rng.choice([*NASTY, _URLS, _URLS, "/etc"]))
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(rng.choice(NASTY)))
        elif isinstance(key, str):
            holder[rng.choice(("", key.upper(), f"{key} ", "x" * 200))] = holder.pop(key)
    return data


def _places(data: Any) -> Any:
    """Every container below data with each of its keys."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(items):
        yield data, key
        yield from _places(value)


def octets(whole: bytes, rng: random.Random) -> bytes:
    """Return bytes with some changed, cut out, doubled or added."""
    changed = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        # Heads decide more than bodies do.
        at = rng.randrange(min(len(changed), rng.choice((16, 64, 512, len(changed)))))
        action = rng.random()
        if action < 0.5:
            changed[at] = rng.choice((0, 255, changed[at] ^ (1 << rng.randrange(8)), rng.randrange(256)))
        elif action < 0.65:
            del changed[at:]
        elif action < 0.8:
            del changed[at : at + rng.randrange(1, 64)]
        elif action < 0.9:
            changed[at:at] = changed[at : at + rng.randrange(1, 64)]
        else:
            changed[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"))
    return bytes(changed)
