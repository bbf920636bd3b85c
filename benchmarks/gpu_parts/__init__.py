"""The parts of `python -m benchmarks.gpu`. Each runs in its own process (`python -m benchmarks.gpu_parts`)."""
