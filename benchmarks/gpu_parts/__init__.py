"""The parts of `python -m benchmarks.gpu`; each runs in a process of its own (`python -m benchmarks.gpu_parts`)."""
