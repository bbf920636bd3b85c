"""DSelect-k: differentiable selection of k of E experts (Hazimeh et al., NeurIPS 2021, arXiv:2106.03760).

Each task has k selectors. An expert's number has m = ceil(log2 E) bits, and selector i has one value z_ib per bit b. Expert j gets the
weight r_ij, a product over the bits of j: S(z_ib) for a bit that is 1, and 1 - S(z_ib) for a bit that is 0, with the smooth step S. The
features of the task are sum_i softmax(w)_i sum_j r_ij f_j(x), with the features f_j(x) of expert j. z and w are trained, or computed from
the image. When every S(z_ib) is 0 or 1, at most k experts are selected. Experts are shared; selectors and heads belong to one task.

The entropy regulariser of the paper drives S to 0 or 1; the paper tunes the regulariser's weight for each dataset. Without the regulariser
nothing was selected in a test with this package: after 22 epochs of a small model all four experts still had a weight. With 0.01, the
default, one task selected one expert and the other task two. The paper's code has 1e-6, which has almost no effect.
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
    """Return the smooth step S(t): 0 below -g/2, 1 above g/2, and -2 t^3 / g^3 + 3 t / (2 g) + 1/2 between them (equation 3).

    Args:
        t: any shape.
        width: g.

    Returns:
        The same shape, 0 to 1.
    """
    t = t.clamp(-width / 2, width / 2)
    return -2 * t**3 / width**3 + 3 * t / (2 * width) + 0.5


# An expert counts as selected if its weight is above this.
_SELECTED = 0.01


class Selector(nn.Module):
    """The weights of the experts for one task; they are the same for every image.

    Args:
        experts: E, the number of experts.
        k: the number of selectors.
        width: g of the smooth step.
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
        """Create the parameters for `scores`, with the random distribution of the paper's code.

        Args:
            k: the number of selectors.
            bits: m, the number of bits of an expert's number.
        """
        self.bits = nn.Parameter(torch.empty(k, bits).uniform_(-self.width / 100, self.width / 100))
        self.logits = nn.Parameter(torch.empty(k).uniform_(-0.05, 0.05))

    def scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (..., k, m) and w (..., k). If they depend on the image, both have a leading axis B.

        Args:
            images: the normalised images (B, 3, H, W).
        """
        return self.bits, self.logits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the experts' weights (..., E), and r (..., k, E), the weight of each expert in each selector.

        Each row of r sums to 1 if E is a power of two. Otherwise it sums to at most 1, because some codes belong to no expert.
        """
        z, w = self.scores(images)
        steps = smooth_step(z, self.width).unsqueeze(-2)  # ..., k, 1, m
        r = torch.where(self.codes, steps, 1 - steps).prod(dim=-1)
        return (w.softmax(dim=-1).unsqueeze(-1) * r).sum(dim=-2), r

    def penalty(self, images: Tensor, entropy: float) -> Tensor:
        """Return the regulariser, a scalar; if the selection depends on the image, it is the mean over images.

        The first term is the selectors' entropy, which makes each of them select one expert. If some codes belong to no expert, the second
        term is sum_i 1 / sum_j r_ij, which makes the selectors select existing experts.

        Args:
            images: the normalised images (B, 3, H, W).
            entropy: the weight of the first term.
        """
        _, r = self(images)
        total = -entropy * (r * (r + 1e-6).log()).sum(dim=(-2, -1))
        if not self.every_code_is_an_expert:
            total = total + (1 / r.sum(dim=-1)).sum(dim=-1)
        return total.mean()


class PixelSelector(Selector):
    """The weights of the experts for one task and each image; z and w are linear in all pixels, as in the authors' code.

    Args:
        experts: E, the number of experts.
        k: the number of selectors.
        pixels: the number of values in an image.
        width: g of the smooth step.
    """

    def __init__(self, experts: int, k: int, pixels: int, width: float = 1.0) -> None:
        self.pixels = pixels
        super().__init__(experts, k, width)

    def make_scores(self, k: int, bits: int) -> None:
        """Create the linear layers, with the random distribution of the authors' code."""
        self.z, self.w = nn.Linear(self.pixels, k * bits), nn.Linear(self.pixels, k)
        for layer, bound in ((self.z, self.width / 100), (self.w, 0.05)):
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound)

    def scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, k, m) and w (B, k) for images (B, 3, H, W)."""
        pixels = images.flatten(1)
        w = self.w(pixels)
        return self.z(pixels).unflatten(1, (w.shape[1], -1)), w


@register_architecture("dselect_k")
class DSelectK(MultiTaskModel):
    """DSelect-k with k selectors per task.

    Its settings are `experts`, `k`, `entropy` (the weight of the regulariser), and `selector_input` (static or raw_pixels). The authors'
    code uses experts = k = 2, so that nothing is selected, raw_pixels, and a regulariser without effect.
    """

    DEFAULTS: ClassVar = {"experts": 4, "k": 2, "entropy": 0.01, "selector_input": "static"}
    BOUNDS: ClassVar = {
        "experts": "[2, 64]",
        "k": "[1, 64]",
        "entropy": "[0, 1000000]",
        "selector_input": ("static", "raw_pixels"),
    }

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        values = self.own_settings(settings)
        experts, k, pixels = values["experts"], values["k"], 3 * settings.input_size**2
        self.entropy = float(values["entropy"])
        self.selectors = nn.ModuleDict()
        for task in self.tasks:
            static = values["selector_input"] == "static"
            self.selectors[task] = Selector(experts, k) if static else PixelSelector(experts, k, pixels)

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream per expert."""
        values = DSelectK.own_settings(settings)
        if values["k"] > values["experts"]:
            raise SettingsError(
                f"dselect_k: k {values['k']}; expected at most the number of experts, {values['experts']}."
            )
        return require_both_tasks(settings), Streams(count=values["experts"], shared=False, owned=True)

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return each task's selection of the experts' maps."""
        experts = torch.stack(maps)  # E, B, C, h, w
        weights = {task: self.selectors[task](images)[0] for task in self.tasks}
        return {
            task: torch.einsum("be,ebchw->bchw" if weight.ndim == 2 else "e,ebchw->bchw", weight, experts)
            for task, weight in weights.items()
        }

    def task_modules(self, task: str) -> list[nn.Module]:
        """Return the task's head and selector."""
        return [self.heads[task], self.selectors[task]]

    def penalties(self, images: Tensor) -> dict[str, Tensor]:
        """Return the selectors' regularisers; empty if they are 0."""
        selectors: dict[str, Selector] = dict(self.selectors.items())  # type: ignore[arg-type]
        if not self.entropy and all(selector.every_code_is_an_expert for selector in selectors.values()):
            return {}
        return {task: selector.penalty(images, self.entropy) for task, selector in selectors.items()}

    def measures(self, images: Tensor) -> dict[str, Tensor]:
        """Return the number of experts that each task selects (their weight is above 0.01), as the mean over images."""
        return {
            f"experts_{task}": (selector(images)[0] > _SELECTED).sum(dim=-1).double().mean()
            for task, selector in self.selectors.items()
        }
