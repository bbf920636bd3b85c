"""DSelect-k: differentiable selection of k of E experts (Hazimeh et al., NeurIPS 2021, arXiv:2106.03760).

Each task has k selectors. Selector i writes the number of an expert in m = ceil(log2 E) bits, made soft by the smooth step S of
z_i: expert j gets r_ij, the product over its bits of S or 1 - S. The task sees z_t = sum_i softmax(w)_i sum_j r_ij f_j(x). Once every
S is 0 or 1, k experts are selected. Experts are shared, selectors and heads owned by a task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.errors import SettingsError
from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


def smooth_step(t: Tensor, width: float = 1.0) -> Tensor:
    """S(t): 0 below -g/2, 1 above g/2, between them -2 t^3 / g^3 + 3 t / (2 g) + 1/2, with g = width (equation 3)."""
    t = t.clamp(-width / 2, width / 2)
    return -2 * t**3 / width**3 + 3 * t / (2 * width) + 0.5


class Selector(nn.Module):
    """The weights that one task gives the experts: of every image the same.

    Args:
        experts: E. k: how many are selected. width: g of the smooth step.
    """

    def __init__(self, experts: int, k: int, width: float = 1.0) -> None:
        super().__init__()
        bits = max(1, (experts - 1).bit_length())
        self.width = width
        self.bits = nn.Parameter(torch.empty(k, bits).uniform_(-width / 100, width / 100))
        self.logits = nn.Parameter(torch.empty(k).uniform_(-0.05, 0.05))
        self.codes: Tensor
        codes = [[number >> bit & 1 for bit in range(bits)] for number in range(experts)]
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.bool))
        self.every_code_is_an_expert = experts == 2**bits

    def selections(self) -> Tensor:
        """r (k, E): what each selector gives each expert. A row sums to 1 where E is a power of two, else to at most 1."""
        steps = smooth_step(self.bits, self.width).unsqueeze(1)  # k, 1, m
        return torch.where(self.codes, steps, 1 - steps).prod(dim=2)

    def forward(self) -> Tensor:
        """The experts' weights (E,)."""
        return (self.logits.softmax(dim=0).unsqueeze(1) * self.selections()).sum(dim=0)

    def penalty(self, entropy: float) -> Tensor:
        """entropy times the selectors' entropy (it drives them to one expert each), plus sum_i 1 / sum_j r_ij where some codes
        stand for no expert (it drives them to those that do)."""
        r = self.selections()
        total = -entropy * (r * (r + 1e-6).log()).sum()
        return total if self.every_code_is_an_expert else total + (1 / r.sum(dim=1)).sum()


@register_architecture("dselect_k")
class DSelectK(MultiTaskModel):
    """Settings: `experts`, `k`, and `entropy`, the weight of the entropy regulariser. The released code has experts = k = 2, which
    selects nothing."""

    DEFAULTS: ClassVar = {"experts": 4, "k": 2, "entropy": 0.0}
    BOUNDS: ClassVar = {"experts": "[2, 64]", "k": "[1, 64]", "entropy": "[0, 1000000]"}

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        given = self.own_settings(settings)
        self.entropy = float(given["entropy"])
        self.selectors = nn.ModuleDict({task: Selector(given["experts"], given["k"]) for task in self.tasks})

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Both tasks over one stream an expert."""
        given = DSelectK.own_settings(settings)
        if given["k"] > given["experts"]:
            raise SettingsError(f"dselect_k: k {given['k']}; expected at most experts, {given['experts']}.")
        return require_both_tasks(settings), Streams(count=given["experts"], shared=False, owned=True)

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Each task's own selection of the experts' maps."""
        experts = torch.stack(maps)  # E, B, C, h, w
        return {task: torch.einsum("e,ebchw->bchw", self.selectors[task](), experts) for task in self.tasks}

    def task_modules(self, task: str) -> list[nn.Module]:
        """The task's head and selector."""
        return [self.heads[task], self.selectors[task]]

    def penalties(self) -> dict[str, Tensor]:
        """The selectors' regularisers, where there are any."""
        chosen: dict[str, Any] = dict(self.selectors.items())
        if not self.entropy and all(selector.every_code_is_an_expert for selector in chosen.values()):
            return {}
        return {task: selector.penalty(self.entropy) for task, selector in chosen.items()}
