"""Measure all that only a GPU can show, in the minutes for which one is at hand.

    python -m benchmarks.gpu --minutes 8                        on a GPU
    python -m benchmarks.gpu --device cpu --tiny --minutes 5    a dry run of the same code, without one

It needs neither network nor Snakemake, and no package but torch 2.11 or newer, timm, torchvision, numpy, pandas, safetensors, OpenCV,
numba, scikit-image, scipy, tqdm, pillow, pyarrow, pytest, what these depend on, and pydantic with its pydantic-core,
annotated-types and typing-inspection: on a machine without network bring these four wheels. What is missing is said at the start.

The parts run one after the other, in order of worth, each in a process of its own with a share of the time; what one leaves
over goes to those after it. A part saves each measurement as it comes, in results/benchmarks/gpu/<part>.json, and gpu.txt there is
the whole as text. A part that fails is reported with its reason, its traceback is in <part>.stderr.txt, and the next part runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_parts.packages import what_is_missing
from benchmarks.gpu_parts.plan import PARTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; return 1 if one of them, or something in one, failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together (8)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, for a dry run")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="which ones to run (all)")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/gpu"), help="where results are saved")
    given = parser.parse_args(arguments)
    if not given.minutes > 0:
        parser.error(f"--minutes {given.minutes:g}; expected more than 0.")
    if given.device == "cpu" and not given.tiny:
        parser.error("--device cpu takes hours with the paper's sizes; expected --tiny with it.")
    missing = what_is_missing()
    if missing:
        raise SystemExit(f"benchmarks.gpu: {missing}")
    from benchmarks.gpu_parts.run import run_parts  # needs packages that may have been missing until here

    parts = [name for name in PARTS if name in given.parts]
    return run_parts(parts, 60 * given.minutes, given.device, given.tiny, given.out.resolve())


if __name__ == "__main__":
    sys.exit(main())
