"""The other backbones and architectures under DB-MTL in bf16: first all of them uncompiled, then all compiled."""

from __future__ import annotations

import itertools
from functools import partial

from benchmarks.gpu_parts.part import Part
from benchmarks.gpu_parts.problems import build, measure_both
from benchmarks.gpu_parts.roofline import Roofline


def run(part: Part) -> None:
    """Measure each pair except EndoARSS with TESLA, which the part `training` measures."""
    pairs = [*itertools.product(("resnet", "dinov2", "endoarss"), part.setup.sizes.architectures)]
    pairs.remove(("endoarss", "tesla"))
    for compiled in (False, True):
        for backbone, architecture in pairs:
            name = f", {backbone} {architecture}, bf16{', compiled' if compiled else ''}"
            make = partial(build, part.setup, backbone, architecture, "bf16")
            measure_both(part, name, make, "bf16", compiled, share=Roofline({}, {}))
