"""Run every benchmark."""

from __future__ import annotations

from benchmarks import build_dataset

if __name__ == "__main__":
    build_dataset.main([])
