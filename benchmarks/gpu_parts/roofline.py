"""The share of the card's peak in matrix products that a speed reaches."""

from __future__ import annotations

from benchmarks.gpu_parts.part import Figures


class Roofline:
    """Adds the share of the peak to the figures of a measurement, if peak and work are known.

    Args:
        peaks: TFLOP/s by precision.
        work: GFLOP per image in training and in inference.
    """

    def __init__(self, peaks: Figures, work: Figures) -> None:
        self.peaks, self.work = peaks, work

    def training(self, precision: str, figures: Figures) -> Figures:
        """Return the figures with the share that training reaches."""
        return self._with_share(precision, "training_gflop", figures)

    def inference(self, precision: str, figures: Figures) -> Figures:
        """Return the figures with the share that inference reaches."""
        return self._with_share(precision, "inference_gflop", figures)

    def _with_share(self, precision: str, kind: str, figures: Figures) -> Figures:
        """Return the figures with the share of the peak, if it is known."""
        if precision not in self.peaks or kind not in self.work:
            return figures
        used = figures["images_per_second"] * self.work[kind] / 1000
        return {**figures, "share_of_peak": used / self.peaks[precision]}
