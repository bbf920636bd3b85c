"""DSelect-k: differentiable selection of k of E experts (Hazimeh et al., NeurIPS 2021, arXiv:2106.03760).

Each task has k selectors. Selector i writes the number of an expert in m = ceil(log2 E) bits, made soft by the smooth step S of
z_i: expert j gets r_ij, the product over its bits of S or 1 - S. The task sees z_t = sum_i softmax(w)_i sum_j r_ij f_j(x). Once every
S is 0 or 1, at most k experts are selected. Experts are shared, selectors and heads owned by a task.

What drives S to 0 or 1 is the entropy regulariser of the paper, whose weight the paper tunes for each dataset. Without it
nothing is selected here: after 22 epochs of a small model all four experts kept a weight. With 0.01, the default, one and two did. (The
paper's code has 1e-6, which is as good as none.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

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


# An expert counts as selected if its weight is above this.
_SELECTED = 0.01


class Selector(nn.Module):
    """The weights that one task gives the experts, the same for every image.

    Args:
        experts: E. k: number of selectors. width: g of the smooth step.
    """

    def __init__(self, experts: int, k: int, width: float = 1.0) -> None:
        super().__init__()
        bits = max(1, (experts - 1).bit_length())
        self.width = width
        self.make_scores(k, bits)
        self.codes: Tensor
        codes = [[number >> bit & 1 for bit in range(bits)] for number in range(experts)]
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.bool))
        self.every_code_is_an_expert = experts == 2**bits

    def make_scores(self, k: int, bits: int) -> None:
        """Make what `scores` needs, drawn as in the paper's code."""
        self.bits = nn.Parameter(torch.empty(k, bits).uniform_(-self.width / 100, self.width / 100))
        self.logits = nn.Parameter(torch.empty(k).uniform_(-0.05, 0.05))

    def scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (..., k, m) and w (..., k) for images (B, 3, H, W); the leading axis is B where each image has its own."""
        return self.bits, self.logits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the experts' weights (..., E), and r (..., k, E), what each selector gives each expert.

        A row of r sums to 1 where E is a power of two, else to at most 1.
        """
        z, w = self.scores(images)
        steps = smooth_step(z, self.width).unsqueeze(-2)  # ..., k, 1, m
        r = torch.where(self.codes, steps, 1 - steps).prod(dim=-1)
        return (w.softmax(dim=-1).unsqueeze(-1) * r).sum(dim=-2), r

    def penalty(self, images: Tensor, entropy: float) -> Tensor:
        """Return entropy times the selectors' entropy (it drives them to one expert each), plus sum_i 1 / sum_j r_ij where some codes
        stand for no expert (it drives them to those that do); the mean over images where each has its own selection."""
        _, r = self(images)
        total = -entropy * (r * (r + 1e-6).log()).sum(dim=(-2, -1))
        if not self.every_code_is_an_expert:
            total = total + (1 / r.sum(dim=-1)).sum(dim=-1)
        return total.mean()


class PixelSelector(Selector):
    """The weights that one task gives the experts for each image, z and w linear in all of its pixels, as in the authors' code.

    Args:
        experts, k, width: as of a `Selector`. pixels: number of values of an image.
    """

    def __init__(self, experts: int, k: int, pixels: int, width: float = 1.0) -> None:
        self.pixels = pixels
        super().__init__(experts, k, width)

    def make_scores(self, k: int, bits: int) -> None:
        """Make the linear layers, drawn as in the authors' code."""
        self.z, self.w = nn.Linear(self.pixels, k * bits), nn.Linear(self.pixels, k)
        for layer, bound in ((self.z, self.width / 100), (self.w, 0.05)):
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound)

    def scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, k, m) and w (B, k)."""
        pixels = images.flatten(1)
        w = self.w(pixels)
        return self.z(pixels).unflatten(1, (w.shape[1], -1)), w


@register_architecture("dselect_k")
class DSelectK(MultiTaskModel):
    """Settings: `experts`, `k`, `entropy` (the weight of the regulariser), and `selector_input`: static, or raw_pixels. The released
    code has experts = k = 2, which selects nothing, raw_pixels, and a regulariser without effect."""

    DEFAULTS: ClassVar = {"experts": 4, "k": 2, "entropy": 0.01, "selector_input": "static"}
    BOUNDS: ClassVar = {
        "experts": "[2, 64]",
        "k": "[1, 64]",
        "entropy": "[0, 1000000]",
        "selector_input": ("static", "raw_pixels"),
    }

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        given = self.own_settings(settings)
        experts, k, pixels = given["experts"], given["k"], 3 * settings.input_size**2
        self.entropy = float(given["entropy"])
        self.selectors = nn.ModuleDict()
        for task in self.tasks:
            static = given["selector_input"] == "static"
            self.selectors[task] = Selector(experts, k) if static else PixelSelector(experts, k, pixels)

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
        weights = {task: self.selectors[task](images)[0] for task in self.tasks}
        return {
            task: torch.einsum("be,ebchw->bchw" if one.ndim == 2 else "e,ebchw->bchw", one, experts)
            for task, one in weights.items()
        }

    def task_modules(self, task: str) -> list[nn.Module]:
        """The task's head and selector."""
        return [self.heads[task], self.selectors[task]]

    def penalties(self, images: Tensor) -> dict[str, Tensor]:
        """The selectors' regularisers, where there are any."""
        selectors: dict[str, Selector] = dict(self.selectors.items())  # type: ignore[arg-type]
        if not self.entropy and all(selector.every_code_is_an_expert for selector in selectors.values()):
            return {}
        return {task: selector.penalty(images, self.entropy) for task, selector in selectors.items()}

    def measures(self, images: Tensor) -> dict[str, Tensor]:
        """Return how many experts each task has selected: those whose weight is above 0.01, the mean over images."""
        return {
            f"experts_{task}": (selector(images)[0] > _SELECTED).sum(dim=-1).double().mean()
            for task, selector in self.selectors.items()
        }
