"""The table of models and seeds."""

from __future__ import annotations

from benchmarks.seeds import table_of


def test_deviations_between_models_and_over_seeds_are_told_apart() -> None:
    scores = {
        ("x", "one"): {"accuracy": [80.0, 82.0, 84.0], "miou": [40.0, 40.0, 40.0]},
        ("x", "two"): {"accuracy": [90.0, 92.0, 94.0]},
    }
    lines = table_of(scores, {"x": {"accuracy": [50.0]}})
    assert lines[2] == "| x | one | 82.0 ± 2.0 | 40.0 ± 0.0 |  |"
    assert lines[3] == "| x | two | 92.0 ± 2.0 |  |  |"
    assert lines[4] == "| x | commonest activity | 50.0 |  |  |"
    assert lines[5] == "| x | **deviation between models** | **7.1** | **0.0** | **0.0** |"
    assert lines[6] == "| x | **mean deviation over seeds** | **2.0** | **0.0** | **0.0** |"
