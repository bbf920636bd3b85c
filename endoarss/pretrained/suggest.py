"""Find values of prefix, drop and rename with which a file matches a model, so that an error can suggest them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from endoarss.errors import SettingsError
from endoarss.pretrained.convert import converted
from endoarss.pretrained.names import selected_tensors

Choice = tuple[str, tuple[str, ...], dict[str, str]]
"""Values of a study's keys prefix, drop and rename."""

# timm's names for the parts of a ViT, by their names in the library transformers: first for ViT, MAE and DINOv2, then for DINOv3.
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
_PREFIXES, _DEPTH = 8, 4  # the number of prefixes that are tried, and the largest number of parts in a prefix
_MOST_CHUNKS = 100
_HEADS = ("head.", "fc.", "classifier.", "dino_head.", "ibot_head.", "projector.")
_MANY = 3  # beginnings with the same first word are replaced by that word if there are at least this many


def suggested(stored: Mapping[str, Tensor], model: nn.Module) -> Choice | None:
    """Find prefix, drop and rename with which a file matches a model.

    Args:
        stored: all tensors of the file, by name.
        model: a timm model without its classifier.

    Returns:
        The three values, or None if none were found.
    """
    if len(stored) > 20_000:
        return None
    for rename in (*_RENAMES, _without_chunks(stored)):
        for prefix in _likely_prefixes(stored, len(model.state_dict())):
            inside = [name.removeprefix(prefix) for name in stored if name.startswith(prefix)]
            used = {old: new for old, new in rename.items() if any(f".{old}." in f".{name}." for name in inside)}
            if rename and not used:
                continue
            drop = _to_drop(stored, model, prefix, used)
            if drop is not None:
                return prefix, drop, used
    return None


def _without_chunks(names: Iterable[str]) -> dict[str, str]:
    """Return how to rename blocks that are grouped into chunks, as DINOv2's trainings save them: blocks.<chunk>.<block>."""
    found = {match[1] for name in names if (match := re.search(r"(?:^|\.)(blocks\.\d+)\.\d+\.", name))}
    return dict.fromkeys(sorted(found)[:_MOST_CHUNKS], "blocks")


def differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Compare the tensors of a file with those of a model.

    Args:
        state: the tensors of the file by name.
        expected: the tensors of the model by name.

    Returns:
        The names that only the model has, the names that only the file has, and the names with different shapes.
    """
    missing = [name for name in expected if name not in state]
    extra = [name for name in state if name not in expected]
    reshaped = [name for name, tensor in expected.items() if name in state and state[name].shape != tensor.shape]
    return missing, extra, reshaped


def _likely_prefixes(names: Iterable[str], wanted: int) -> list[str]:
    """Return possible prefixes: first none, then the most frequent ones that enough names have."""
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")[: _DEPTH + 1]
        counts.update(".".join(parts[:count]) + "." for count in range(1, len(parts)))
    likely = [prefix for prefix, count in counts.most_common() if 2 * count >= wanted]
    return ["", *likely[:_PREFIXES]]


def _to_drop(
    stored: Mapping[str, Tensor], model: nn.Module, prefix: str, rename: dict[str, str]
) -> tuple[str, ...] | None:
    """Return the value of `drop` with which the other tensors match the model, or None if there is none."""
    inside = [name.removeprefix(prefix) for name in stored if name.startswith(prefix)]
    # timm's functions for some models fail if the file has a head, so the other names can only be compared without it.
    heads = tuple(head for head in _HEADS if any(name.startswith(head) for name in inside))
    expected = model.state_dict()
    for first in dict.fromkeys(((), heads)):
        try:
            state = converted(selected_tensors(stored, prefix, first, rename), model)
            missing, extra, _ = differences(state, expected)
            if missing:
                continue
            before = {id(tensor): name.removeprefix(prefix) for name, tensor in stored.items()}
            named = [before.get(id(state[name]), name) for name in extra]
            drop = (
                *first,
                *_starts(named, [name for name in inside if name not in named and not name.startswith(first)]),
            )
            if any(part.isdigit() for start in drop for part in start.split(".")):
                return None  # without some blocks, or without a part of each block, it would be a different model
            if not any(differences(converted(selected_tensors(stored, prefix, drop, rename), model), expected)):
                return drop
        except SettingsError:
            return None
    return None


def _starts(names: list[str], retained: list[str]) -> tuple[str, ...]:
    """Return a few beginnings such that every name has one of them, and no retained name has any."""
    starts = list(dict.fromkeys(_start(name, retained) for name in names))
    words = [start.partition("_")[0] + "_" for start in starts if "_" in start]
    for word in dict.fromkeys(words):
        if words.count(word) >= _MANY and not any(name.startswith(word) for name in retained):
            starts = list(dict.fromkeys(word if start.startswith(word) else start for start in starts))
    return tuple(starts)


def _start(name: str, retained: list[str]) -> str:
    """Return the shortest beginning of a name, in whole parts, that no retained name has."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        start = ".".join(parts[:count]) + "."
        if not any(other.startswith(start) for other in retained):
            return start
    return name
