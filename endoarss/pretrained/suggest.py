"""Find out how a file's names would fit a model, so that a message can say what to write in the study."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from endoarss.errors import SettingsError
from endoarss.pretrained.convert import converted
from endoarss.pretrained.names import selected_tensors

Choice = tuple[str, tuple[str, ...], dict[str, str]]
"""prefix, drop and rename, as a study has them."""

# Names of the library transformers for parts of a ViT, as timm calls them; the first for ViT, MAE and DINOv2, the others for DINOv3.
_OUTSIDE = {
    "embeddings.cls_token": "cls_token",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "register_tokens",
    "embeddings.mask_token": "mask_token",
    "encoder.layer": "blocks",
    "attention.attention.query": "attn.q_proj",
    "attention.attention.key": "attn.k_proj",
    "attention.attention.value": "attn.v_proj",
    "attention.output.dense": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm": "norm",
}
_RENAMES: tuple[dict[str, str], ...] = (
    {},
    {**_OUTSIDE, "layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"},
    {
        "embeddings.cls_token": "cls_token",
        "embeddings.patch_embeddings": "patch_embed.proj",
        "embeddings.register_tokens": "reg_token",
        "layer": "blocks",
        "attention.q_proj": "attn.q_proj",
        "attention.k_proj": "attn.k_proj",
        "attention.v_proj": "attn.v_proj",
        "attention.o_proj": "attn.proj",
        "layer_scale1.lambda1": "gamma_1",
        "layer_scale2.lambda1": "gamma_2",
        "mlp.up_proj": "mlp.fc1",
        "mlp.down_proj": "mlp.fc2",
    },
)
_PREFIXES, _DEPTH = 8, 4  # how many are tried, and how many parts one has
_MOST_CHUNKS = 100
_HEADS = ("head.", "fc.", "classifier.", "dino_head.", "ibot_head.", "projector.")
_MANY = 3  # of starts to drop that are worth shortening


def suggested(stored: Mapping[str, Tensor], model: nn.Module) -> Choice | None:
    """Return prefix, drop and rename with which a file fits a model strictly; None if none was found.

    Args:
        stored: all tensors of the file, by name. model: of timm.
    """
    if len(stored) > 20_000:
        return None
    for rename in (*_RENAMES, _without_chunks(stored)):
        for prefix in _likely_prefixes(stored, len(model.state_dict())):
            inside = [name.removeprefix(prefix) for name in stored if name.startswith(prefix)]
            used = {old: new for old, new in rename.items() if any(f".{old}." in f".{name}." for name in inside)}
            if rename and not used:
                continue
            drop = _needless(stored, model, prefix, used)
            if drop is not None:
                return prefix, drop, used
    return None


def _without_chunks(names: Iterable[str]) -> dict[str, str]:
    """Return how to rename blocks that lie in chunks, as DINOv2's trainings save them: blocks.<chunk>.<block>."""
    found = {match[1] for name in names if (match := re.search(r"(?:^|\.)(blocks\.\d+)\.\d+\.", name))}
    return dict.fromkeys(sorted(found)[:_MOST_CHUNKS], "blocks")


def differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Return the names that only the model has, those that only the file has, and those of another shape."""
    lacking = [name for name in expected if name not in state]
    extra = [name for name in state if name not in expected]
    others = [name for name, tensor in expected.items() if name in state and state[name].shape != tensor.shape]
    return lacking, extra, others


def _likely_prefixes(names: Iterable[str], wanted: int) -> list[str]:
    """Return beginnings of names, none first, then those of most names; of few names no model is made."""
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")[: _DEPTH + 1]
        counts.update(".".join(parts[:count]) + "." for count in range(1, len(parts)))
    likely = [prefix for prefix, count in counts.most_common() if 2 * count >= wanted]
    return ["", *likely[:_PREFIXES]]


def _needless(
    stored: Mapping[str, Tensor], model: nn.Module, prefix: str, rename: dict[str, str]
) -> tuple[str, ...] | None:
    """Return what to drop so that the rest fits; None if it does not fit."""
    inside = [name.removeprefix(prefix) for name in stored if name.startswith(prefix)]
    # timm's functions for some models trip over a head, so that the names behind it cannot be compared before it is dropped.
    heads = tuple(head for head in _HEADS if any(name.startswith(head) for name in inside))
    expected = model.state_dict()
    for first in dict.fromkeys(((), heads)):
        try:
            state = converted(selected_tensors(stored, prefix, first, rename), model)
            lacking, extra, _ = differences(state, expected)
            if lacking:
                continue
            before = {id(tensor): name.removeprefix(prefix) for name, tensor in stored.items()}
            named = [before.get(id(state[name]), name) for name in extra]
            drop = (
                *first,
                *_starts(named, [name for name in inside if name not in named and not name.startswith(first)]),
            )
            if any(part.isdigit() for start in drop for part in start.split(".")):
                return None  # some blocks, or a part of each: without them it would be another model
            if not any(differences(converted(selected_tensors(stored, prefix, drop, rename), model), expected)):
                return drop
        except SettingsError:
            return None
    return None


def _starts(names: list[str], kept: list[str]) -> tuple[str, ...]:
    """Return few beginnings that all names have and no kept one has."""
    starts = list(dict.fromkeys(_start(name, kept) for name in names))
    words = [start.partition("_")[0] + "_" for start in starts if "_" in start]
    for word in dict.fromkeys(words):
        if words.count(word) >= _MANY and not any(name.startswith(word) for name in kept):
            starts = list(dict.fromkeys(word if start.startswith(word) else start for start in starts))
    return tuple(starts)


def _start(name: str, kept: list[str]) -> str:
    """Return the shortest beginning of a name, of whole parts, that no kept name has."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        start = ".".join(parts[:count]) + "."
        if not any(one.startswith(start) for one in kept):
            return start
    return name
