"""Measure everything that needs a GPU, within the minutes for which a GPU is available.

    python -m benchmarks.gpu --minutes 8                        on a GPU
    python -m benchmarks.gpu --device cpu --tiny --minutes 5    a dry run of the same code without a GPU

The benchmark needs neither network nor Snakemake. It needs these packages and their dependencies: torch 2.11 or newer, timm, torchvision,
numpy, pandas, safetensors, OpenCV, numba, scikit-image, scipy, tqdm, pillow, pyarrow, pytest, and pydantic with its pydantic-core,
annotated-types and typing-inspection. On a machine without network, bring the wheels of the last four. Missing packages are listed at the
start.

The parts run one after the other, the most valuable first. Each runs in its own process with a share of the time. Time that a part does
not use goes to the later parts. A part saves each measurement at once in results/benchmarks/gpu/<part>.json. gpu.txt in the same folder
holds all measurements as text. If a part fails, the reason is reported, <part>.stderr.txt has the traceback, and the next part runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_parts.packages import missing_packages
from benchmarks.gpu_parts.plan import PARTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts. Return 1 if a part, or a measurement in it, failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="minutes for all parts together (default: 8)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="use tiny sizes, for a dry run")
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts to run (default: all)"
    )
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/gpu"), help="folder for the results")
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        parser.error(f"--minutes {options.minutes:g}; expected more than 0.")
    if options.device == "cpu" and not options.tiny:
        parser.error("--device cpu takes hours at the paper's sizes; expected --tiny as well.")
    missing = missing_packages()
    if missing:
        raise SystemExit(f"benchmarks.gpu: {missing}")
    from benchmarks.gpu_parts.run import run_parts  # this import needs the packages that were just checked

    parts = [name for name in PARTS if name in options.parts]
    return run_parts(parts, 60 * options.minutes, options.device, options.tiny, options.out.resolve())


if __name__ == "__main__":
    sys.exit(main())
