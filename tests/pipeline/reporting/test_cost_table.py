"""The table of costs: the number of experts that a training selects."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.reporting.tables.cost_table import selected_experts


def test_the_last_epoch_says_how_many_experts_are_selected(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text("epoch,loss_activity,experts_activity,experts_segmentation\n1,2.5,4,4\n2,1.5,2,1\n")
    assert selected_experts(history) == "2 / 1"
    history.write_text("epoch,loss_activity,experts_activity,experts_segmentation\n1,2.5,1.41176,2\n")
    assert selected_experts(history) == "1.41 / 2"
    history.write_text("epoch,loss_activity\n1,2.5\n")
    assert selected_experts(history) == "", "a history of an earlier version"
    history.write_text("epoch,experts_activity\n1,many\n")
    with pytest.raises(InputError, match="experts_activity in line 2 is 'many'"):
        selected_experts(history)
