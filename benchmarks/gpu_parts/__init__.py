"""The parts of `python -m benchmarks.gpu`; each runs in its own process (`python -m benchmarks.gpu_parts`)."""
