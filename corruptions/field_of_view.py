"""The black around an endoscope's round view: found in the picture itself, and kept black where that is asked for."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.errors import UnknownNameError

CORRUPT, KEEP = "corrupt", "keep"
FIELDS_OF_VIEW = (CORRUPT, KEEP)

Surround = NDArray[np.bool_]

_BLACK = 20  # largest channel of the surround, up to what compressed video makes of black
_STEP = 14  # grey levels by which the view is brighter than the surround, just within its rim
_STEEP = 1.8  # how much steeper the rim is than the view next to it
_FLAT = 5  # grey levels by which the surround is brighter at the rim than elsewhere
_NEAR = 0.012  # of the shorter side: how far from the rim these are measured
_SHARES = (0.01, 0.85)  # of the picture
_CORNERS = 3  # of the four corners, so many are black; a caption may stand in one
_CONVEX = 0.93  # share of the view in its convex hull: an instrument's dark shaft leaves no convex view


def check_field_of_view(given: str) -> None:
    """Raise UnknownNameError unless `given` says what becomes of the black around a round view."""
    if given not in FIELDS_OF_VIEW:
        raise UnknownNameError("field_of_view", given, FIELDS_OF_VIEW)


def black_surround(image: NDArray[np.uint8]) -> Surround | None:
    """Find the black around a round (or otherwise convex) field of view.

    It is near black, reaches at least three corners, and is flat up to its rim, where the picture becomes brighter at once. The dark
    corners of a badly lit scene, which brighten gradually, and dark instruments are no surround.

    Args:
        image: uint8 RGB (H, W, 3).

    Returns:
        bool (H, W), or None if the picture has no surround.
    """
    largest = cv2.medianBlur(cv2.max(cv2.max(image[..., 0], image[..., 1]), image[..., 2]), 3)
    count, areas = cv2.connectedComponents((largest <= _BLACK).astype(np.uint8), connectivity=4)
    corners = [int(areas[y, x]) for y in (0, -1) for x in (0, -1)]
    if sum(area > 0 for area in corners) < _CORNERS:
        return None
    is_corner = np.zeros(count, bool)
    is_corner[[area for area in corners if area > 0]] = True
    surround: Surround = is_corner[areas]
    if not _SHARES[0] <= surround.mean() <= _SHARES[1]:
        return None
    return surround if _has_rim(largest, surround) and _is_convex(~surround) else None


def _has_rim(largest: NDArray[np.uint8], surround: Surround) -> bool:
    """Whether the surround is flat up to the view, and the view brighter at once."""
    near = max(3, round(_NEAR * min(surround.shape)))
    without, within = _distance(surround), _distance(~surround)
    rings = [
        largest[(distance >= k * near) & (distance < (k + 1) * near)]
        for distance, k in ((without, 1), (within, 1), (within, 2))
    ]
    if not all(ring.size for ring in rings):
        return False
    black, outer, inner, further = (float(np.median(some)) for some in (largest[surround], *rings))
    step = inner - outer  # over three times `near`
    return outer - black <= _FLAT and step >= _STEP and step / 3 >= _STEEP * (further - inner)


def _distance(area: Surround) -> NDArray[np.float32]:
    """The distance of each pixel of an area to what is outside it, in pixels: float32 (H, W)."""
    return np.asarray(cv2.distanceTransform(area.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _is_convex(view: Surround) -> bool:
    outlines = cv2.findContours(view.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    areas = [cv2.contourArea(one) for one in outlines]
    largest, area = outlines[int(np.argmax(areas))], max(areas)
    # What is beside it, such as a caption in the surround, is small.
    return bool(area >= _CONVEX * max(sum(areas), cv2.contourArea(cv2.convexHull(largest))))


def continued(pixels: NDArray[np.uint8], surround: Surround) -> NDArray[np.uint8]:
    """Continue a picture or a mask beyond the rim by the nearest pixels of the view, so that what moves or blurs pulls no black into it.

    Args:
        pixels: uint8 (H, W, 3) or (H, W). surround: of `black_surround`.

    Returns:
        A copy, uint8 of the same shape.
    """
    # The outermost pixels of the view are half black themselves.
    inner = _distance(~surround) > max(3, round(_NEAR * min(surround.shape)))
    if not inner.any():
        return pixels.copy()
    _, nearest = cv2.distanceTransformWithLabels(
        (~inner).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros(int(nearest.max()) + 1, np.int64)
    places[nearest[inner]] = np.flatnonzero(inner)
    result = pixels.copy()
    result[~inner] = pixels.reshape(-1, *pixels.shape[2:])[places[nearest[~inner]]]
    return result
