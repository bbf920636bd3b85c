"""`corrupt`, `corrupt_pair`, `sweep` and `sweep_pair`: the functions people call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import cv2
import numpy as np

from corruptions.authors_code import AUTHORS_CODE_LACKS, corrupt_as_authors
from corruptions.catalogue import CORRUPTIONS, SEVERITIES, known_corruptions
from corruptions.errors import CorruptionError, UnknownNameError
from corruptions.field_of_view import KEEP, Surround, black_surround, check_field_of_view, continued
from corruptions.randomness import Randomness, id_of_content
from corruptions.reference import COMMON, reference_corrupt, reference_move
from corruptions.registry import Corruption, Image, Mask, describe, find, known

BACKENDS = ("auto", "fast", "reference")
PROFILES = ("standard", "authors_code")
SMALLEST = 32


def corrupt(
    image: Image,
    name: str,
    severity: int,
    *,
    seed: int = 0,
    image_id: str | None = None,
    profile: str = "standard",
    backend: str = "auto",
    field_of_view: str = "corrupt",
    **parameters: Any,
) -> Image:
    """Corrupt an image at the size it has.

    A function of its arguments alone: any order, thread and process gives the same bytes, and no generator of the caller's
    is touched.

    Args:
        image: uint8 RGB (H, W, 3), at least 32 pixels a side. It is not changed.
        name: one of `CORRUPTIONS`, or of a module of your own. severity: 1 to 5.
        seed, image_id: what random details depend on; all severities of one image share them. Without an id they depend on the image's
            pixels: another image gets other smoke, the same image the same.
        profile: "standard", or "authors_code": what the authors' script does, see `corruptions.authors_code`.
        backend: "auto", "fast" (this package's own) or "reference" (imagecorruptions); see `backend_of`.
        field_of_view: "corrupt", or "keep": the black around a round view stays as it is. An image without such a surround is corrupted
            as ever, see `corruptions.field_of_view`.
        parameters: of one corruption: mean_transmission (smoke), coverage (bleeding), direction (gamma_correction).

    Returns:
        uint8 (H, W, 3).

    Raises:
        CorruptionError: saying what was given and what is expected.
    """
    return sweep(
        image,
        name,
        (severity,),
        seed=seed,
        image_id=image_id,
        profile=profile,
        backend=backend,
        field_of_view=field_of_view,
        **parameters,
    )[0]


def corrupt_pair(image: Image, mask: Mask, name: str, severity: int, **arguments: Any) -> tuple[Image, Mask]:
    """Corrupt an image and move its mask along where the corruption moves pixels.

    Args:
        image: as for `corrupt`. mask: uint8 (H, W) of class ids. arguments: as for `corrupt`.

    Returns:
        The corrupted image, and the mask (H, W) that belongs to it: the given one where nothing moves, and under the profile
        "authors_code", whose masks stay.

    Raises:
        CorruptionError: as `corrupt`, and if the mask does not fit the image.
    """
    return sweep_pair(image, mask, name, (severity,), **arguments)[0]


def sweep(image: Image, name: str, severities: Sequence[int] = SEVERITIES, **arguments: Any) -> list[Image]:
    """The same as `corrupt` at each of several severities; what they share (noise, fields) is made once.

    Args:
        image, name: as for `corrupt`. severities: from 1 to 5. arguments: as for `corrupt`.
    """
    check(image, severities)
    nothing = np.zeros((0, 0), np.uint8)
    return [corrupted for corrupted, _ in _sweep(image, nothing, name, severities, **arguments)]


def sweep_pair(
    image: Image, mask: Mask, name: str, severities: Sequence[int] = SEVERITIES, **arguments: Any
) -> list[tuple[Image, Mask]]:
    """The same as `corrupt_pair` at each of several severities; what they share (noise, fields) is made once.

    Args:
        image, mask, name: as for `corrupt_pair`. severities: from 1 to 5. arguments: as for `corrupt`.
    """
    check(image, severities)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.shape != np.shape(image)[:2]:
        raise CorruptionError(
            f"mask of shape {np.shape(mask)} and type {getattr(mask, 'dtype', type(mask).__name__)}; "
            f"expected uint8 {np.shape(image)[:2]}, as the image has."
        )
    return _sweep(image, mask, name, severities, **arguments)


def _sweep(
    image: Image,
    mask: Mask,
    name: str,
    severities: Sequence[int],
    *,
    seed: int = 0,
    image_id: str | None = None,
    profile: str = "standard",
    backend: str = "auto",
    field_of_view: str = "corrupt",
    **parameters: Any,
) -> list[tuple[Image, Mask]]:
    """Images and masks; a mask of no pixels is nothing to move."""
    backend = backend_of(name, backend, profile)
    check_field_of_view(field_of_view)
    corruption = find(name)
    takes = corruption.parameters if backend == "fast" else ()
    for parameter in parameters:
        if parameter not in takes:
            if not takes:
                raise CorruptionError(f"{name}: unknown parameter {parameter!r}; it takes none.")
            raise UnknownNameError("parameter", parameter, takes, where=f"{name}: ")
    # Of what is given, not of what is made of it below.
    randomness = Randomness(seed, name, partial(id_of_content, image) if image_id is None else image_id)
    with portable_opencv():
        surround = black_surround(image) if field_of_view == KEEP else None
        scene, labels = _scene(image, mask, corruption, surround)
    made = _apply(scene, labels, corruption, severities, randomness, profile, backend, parameters)
    if surround is None:
        return made
    moves = mask.size > 0 and labels is not mask
    return [(_put_back(one, image, surround), _put_back(to, mask, surround) if moves else mask) for one, to in made]


def _scene(image: Image, mask: Mask, corruption: Corruption, surround: Surround | None) -> tuple[Image, Mask]:
    """What is corrupted where a surround is kept. Optics and movement see a scene that goes on behind the rim."""
    moves = corruption.move is not None
    if surround is None or not (moves or corruption.category == "blur"):
        return image, mask
    return continued(image, surround), continued(mask, surround) if moves and mask.size else mask


def _put_back(made: Image, given: Image, surround: Surround) -> Image:
    result = made.copy()
    result[surround] = given[surround]
    return result


def _apply(
    image: Image,
    mask: Mask,
    corruption: Corruption,
    severities: Sequence[int],
    randomness: Randomness,
    profile: str,
    backend: str,
    parameters: dict[str, Any],
) -> list[tuple[Image, Mask]]:
    name, moves = corruption.name, corruption.move is not None and mask.size > 0
    if profile == "authors_code":
        return [(corrupt_as_authors(image, name, int(severity), randomness.key), mask) for severity in severities]
    if backend == "reference":
        return [
            (
                reference_corrupt(image, name, int(severity), randomness.key),
                reference_move(mask, name, int(severity), randomness.key) if moves else mask,
            )
            for severity in severities
        ]
    made = []
    with portable_opencv():
        prepared = corruption.prepare(image, randomness)
        for severity in severities:
            moved = corruption.move(mask, severity, prepared) if corruption.move is not None and mask.size else mask
            made.append((corruption.apply(image, severity, prepared, **parameters), moved))
    return made


@contextmanager
def portable_opencv() -> Iterator[None]:
    """OpenCV's own code, in this thread: Intel's, which it takes where it can, gives other last digits than other processors do."""
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(before)


def check(image: Image, severities: Sequence[int]) -> None:
    """Raise CorruptionError unless the image and the severities are as `corrupt` wants them."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        given = getattr(image, "dtype", type(image).__name__)
        raise CorruptionError(f"image of type {given}; expected a numpy array of uint8, values 0 to 255.")
    if image.ndim == 3 and image.shape[2] == 4:
        raise CorruptionError(
            f"image of shape {image.shape}; expected RGB: leave the fourth channel out, image[..., :3]."
        )
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        raise CorruptionError(
            f"image of shape {image.shape}; expected RGB (height, width, 3). Repeat a grey one: np.stack([grey] * 3, axis=2)."
        )
    if image.ndim != 3 or image.shape[2] != 3:
        raise CorruptionError(f"image of shape {image.shape}; expected RGB (height, width, 3).")
    if min(image.shape[:2]) < SMALLEST:
        raise CorruptionError(
            f"image of {image.shape[1]}x{image.shape[0]} pixels; expected at least {SMALLEST} a side."
        )
    if isinstance(severities, (int, str)):
        raise CorruptionError(f"severities {severities!r}; expected several, such as (1, 3, 5).")
    for severity in severities:
        whole = isinstance(severity, (int, np.integer)) and not isinstance(severity, bool)
        if not whole or severity not in SEVERITIES:
            raise CorruptionError(f"severity {severity!r}; expected a whole number from 1 to 5.")


def backend_of(name: str, backend: str = "auto", profile: str = "standard") -> str:
    """Which backend runs a corruption: "fast" is this package's own, "reference" the library imagecorruptions.

    Raises:
        CorruptionError: if name, backend or profile is unknown, or the backend or profile does not have the corruption.
    """
    if name not in known():
        raise UnknownNameError("corruption", name, known_corruptions())
    if backend not in BACKENDS:
        raise UnknownNameError("backend", backend, BACKENDS)
    if profile == "published":
        raise CorruptionError("the profile 'published' is called 'authors_code' now.")
    if profile not in PROFILES:
        raise UnknownNameError("profile", profile, PROFILES)
    if profile == "authors_code":
        if name not in corruptions_of("authors_code"):
            raise CorruptionError(f"{name}: the profile 'authors_code' has none: {AUTHORS_CODE_LACKS}. Use 'standard'.")
        if backend == "fast":
            raise CorruptionError(f"{name}: the profile 'authors_code' runs on the reference; use backend 'auto'.")
        return "reference"
    if backend == "reference":
        if name not in COMMON:
            raise CorruptionError(f"{name}: the backend 'reference' does not have it; use 'fast' or 'auto'.")
        return "reference"
    return "fast"


def corruptions_of(profile: str) -> tuple[str, ...]:
    """All corruptions that a profile has, a user's own too."""
    if profile == "authors_code":
        return tuple(name for name in CORRUPTIONS if name in COMMON or name == "gamma_correction")
    return known_corruptions()


def moves_pixels(name: str) -> bool:
    """Whether a corruption moves pixels, so that a mask must move along to stay true."""
    return describe(name).moves
