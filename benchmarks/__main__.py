"""Runs every benchmark on the CPU."""

from __future__ import annotations

from benchmarks import build_dataset, corruptions, load_images, metrics, predict, train_step, weightings, workflow

if __name__ == "__main__":
    train_step.main([])
    weightings.main([])
    load_images.main([])
    build_dataset.main([])
    corruptions.main([])
    metrics.main([])
    predict.main([])
    workflow.main([])
