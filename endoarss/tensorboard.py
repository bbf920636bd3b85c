"""Write histories as TensorBoard events, if TensorBoard is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from endoarss.errors import SettingsError


def event_writer(folder: Path) -> Callable[[dict[str, float]], None]:
    """Return a function that writes a row of a history as events, one scalar per column.

    Args:
        folder: the folder of the event files.

    Returns:
        A function of a row; it raises an OSError that names the folder if the events cannot be written.

    Raises:
        SettingsError: if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SettingsError(
            "training.tensorboard: TensorBoard is not installed. Install the extra `tensorboard`: "
            "pip install 'endoarss[tensorboard]', or make setup, which installs everything. Or set the key to false; "
            "history.csv holds the same numbers."
        ) from None
    writer = SummaryWriter(str(folder))

    def observe(row: dict[str, float]) -> None:
        try:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
            writer.flush()
        except OSError as error:  # TensorBoard's thread raises it without the name of the file
            error.filename = error.filename or str(folder)
            raise

    return observe
