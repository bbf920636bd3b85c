"""Finds the black area around an endoscope's round view (the surround), and continues the view into it.

`corruptions.api` uses both if the surround must stay black: blur and movement then bring no black into the view.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.errors import UnknownNameError

CORRUPT, KEEP = "corrupt", "keep"
FIELDS_OF_VIEW = (CORRUPT, KEEP)

Surround = NDArray[np.bool_]

_BLACK = 20  # upper limit of the largest channel in the surround; compressed video raises black up to this
_STEP = 14  # the view is at least this many grey levels brighter than the surround, just inside the rim
_STEEP = 1.8  # the rim is at least this many times steeper than the view next to it
_FLAT = 5  # the surround is at most this many grey levels brighter at the rim than elsewhere
_NEAR = 0.012  # distance from the rim at which these are measured, as a share of the shorter side
_SHARES = (0.01, 0.85)  # smallest and largest share of the image that a surround covers
_CORNERS = 3  # at least this many corners are black; the fourth may hold a caption
_CONVEX = 0.93  # the view fills at least this share of its convex hull; an instrument's dark shaft would leave less


def check_field_of_view(given: str) -> None:
    """Raise UnknownNameError unless `given` is a known value of the argument `field_of_view`."""
    if given not in FIELDS_OF_VIEW:
        raise UnknownNameError("field_of_view", given, FIELDS_OF_VIEW)


def black_surround(image: NDArray[np.uint8]) -> Surround | None:
    """Return the black area around a round (or otherwise convex) field of view.

    A surround is near black, reaches at least three corners, and is flat up to its rim, where the image becomes brighter at once. Dark
    corners of a badly lit scene, which brighten gradually, and dark instruments are not a surround.

    Args:
        image: uint8 RGB (H, W, 3).

    Returns:
        bool (H, W), True in the surround; None if the image has no surround.
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
    """Return whether the surround is flat up to the view, and the view becomes bright at once."""
    near = max(3, round(_NEAR * min(surround.shape)))
    in_surround, in_view = _distance(surround), _distance(~surround)
    rings = [
        largest[(distance >= k * near) & (distance < (k + 1) * near)]
        for distance, k in ((in_surround, 1), (in_view, 1), (in_view, 2))
    ]
    if not all(ring.size for ring in rings):
        return False
    black, outer, inner, further = (float(np.median(values)) for values in (largest[surround], *rings))
    step = inner - outer  # over three times `near`
    return outer - black <= _FLAT and step >= _STEP and step / 3 >= _STEEP * (further - inner)


def _distance(area: Surround) -> NDArray[np.float32]:
    """Return the distance of each pixel of an area to the nearest pixel outside it, in pixels: float32 (H, W)."""
    return np.asarray(cv2.distanceTransform(area.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _is_convex(view: Surround) -> bool:
    """Return whether the view is nearly convex."""
    outlines = cv2.findContours(view.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    areas = [cv2.contourArea(outline) for outline in outlines]
    largest, area = outlines[int(np.argmax(areas))], max(areas)
    # Other bright areas, such as a caption in the surround, are small.
    return bool(area >= _CONVEX * max(sum(areas), cv2.contourArea(cv2.convexHull(largest))))


def continued(pixels: NDArray[np.uint8], surround: Surround) -> NDArray[np.uint8]:
    """Return an image or mask whose view continues beyond the rim with its nearest pixels, so that blur brings no black into the view.

    Args:
        pixels: uint8 (H, W, 3) or (H, W).
        surround: bool (H, W), from `black_surround`.

    Returns:
        A copy, uint8 of the same shape.
    """
    # The outermost pixels of the view are not used, because they are half black themselves.
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
