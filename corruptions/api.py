"""The functions that users call: `corrupt`, `corrupt_pair`, `sweep`, `sweep_pair`, and functions that describe a corruption."""

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
SMALLEST = 32  # pixels per side of an image


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
    """Return the corrupted image; its size does not change.

    The result depends on the arguments alone: call order, threads and processes change no byte, and the caller's
    random generators are not used.

    Args:
        image: uint8 RGB (H, W, 3), at least 32 pixels per side. It is not changed.
        name: a name of `CORRUPTIONS`, or of a corruption that a module of yours registers.
        severity: 1 to 5.
        seed: the seed of the random details.
        image_id: an id of the image. The random details (for example the shape of smoke) depend on the seed and this id, and are the same
            at all severities. Without an id, they depend on the seed and the pixels: with one seed, equal images get the same smoke.
        profile: "standard", or "authors_code" for what the authors' script does, see `corruptions.authors_code`.
        backend: "fast" (this package's own code), "reference" (the library imagecorruptions), or "auto", see `backend_of`.
        field_of_view: "corrupt" to corrupt the whole image, or "keep" to leave the black area around a round view unchanged. For an
            image without such an area both give the same result, see `corruptions.field_of_view`.
        parameters: parameters of the corruption: mean_transmission (smoke), coverage (bleeding), direction (gamma_correction), and
            those of a corruption of yours.

    Returns:
        The corrupted image, uint8 RGB (H, W, 3).

    Raises:
        CorruptionError: if an argument cannot be used; the message says what was given and what is expected.
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
    """Return the corrupted image and its mask; if the corruption moves pixels, the mask is moved with them.

    Args:
        image: uint8 RGB (H, W, 3), as for `corrupt`.
        mask: uint8 (H, W), class ids.
        name: the corruption, as for `corrupt`.
        severity: 1 to 5.
        arguments: the keyword arguments of `corrupt`.

    Returns:
        The corrupted image, uint8 RGB (H, W, 3), and its mask, uint8 (H, W). The mask is the given one if the corruption moves no
        pixels, and under the profile "authors_code", which never moves masks.

    Raises:
        CorruptionError: as for `corrupt`, or if the mask does not fit the image.
    """
    return sweep_pair(image, mask, name, (severity,), **arguments)[0]


def sweep(image: Image, name: str, severities: Sequence[int] = SEVERITIES, **arguments: Any) -> list[Image]:
    """Return the corrupted image at each of several severities.

    The images are those of `corrupt`; noise and random fields, which the severities share, are computed once.

    Args:
        image: uint8 RGB (H, W, 3), as for `corrupt`.
        name: the corruption, as for `corrupt`.
        severities: severities from 1 to 5.
        arguments: the keyword arguments of `corrupt`.

    Returns:
        One uint8 RGB image (H, W, 3) per severity, in the order given.

    Raises:
        CorruptionError: as for `corrupt`.
    """
    check(image, severities)
    no_mask = np.zeros((0, 0), np.uint8)
    return [corrupted for corrupted, _ in _sweep(image, no_mask, name, severities, **arguments)]


def sweep_pair(
    image: Image, mask: Mask, name: str, severities: Sequence[int] = SEVERITIES, **arguments: Any
) -> list[tuple[Image, Mask]]:
    """Return the corrupted image and its mask at each of several severities.

    The pairs are those of `corrupt_pair`; noise and random fields, which the severities share, are computed once.

    Args:
        image: uint8 RGB (H, W, 3), as for `corrupt`.
        mask: uint8 (H, W), class ids.
        name: the corruption, as for `corrupt`.
        severities: severities from 1 to 5.
        arguments: the keyword arguments of `corrupt`.

    Returns:
        One pair per severity, in the order given: image uint8 RGB (H, W, 3), mask uint8 (H, W).

    Raises:
        CorruptionError: as for `corrupt_pair`.
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
    """Return the images and masks of all severities; an empty mask means that there is no mask to move."""
    backend = backend_of(name, backend, profile)
    check_field_of_view(field_of_view)
    corruption = find(name)
    accepted = corruption.parameters if backend == "fast" else ()
    for parameter in parameters:
        if parameter not in accepted:
            if not accepted:
                where = f" with the backend {backend!r}" if corruption.parameters else ""
                raise CorruptionError(f"{name}: unknown parameter {parameter!r}; it has no parameters{where}.")
            raise UnknownNameError("parameter", parameter, accepted, where=f"{name}: ")
    # The id comes from the given image, not from the extended image below.
    randomness = Randomness(seed, name, partial(id_of_content, image) if image_id is None else image_id)
    with portable_opencv():
        surround = black_surround(image) if field_of_view == KEEP else None
        scene, labels = _scene(image, mask, corruption, surround)
    pairs = _apply(scene, labels, corruption, severities, randomness, profile, backend, parameters)
    if surround is None:
        return pairs
    moves = mask.size > 0 and labels is not mask
    return [
        (_put_back(corrupted, image, surround), _put_back(moved, mask, surround) if moves else mask)
        for corrupted, moved in pairs
    ]


def _scene(image: Image, mask: Mask, corruption: Corruption, surround: Surround | None) -> tuple[Image, Mask]:
    """Return the image and mask to corrupt. If the black area around a round view is kept, blur and corruptions that
    move pixels get an image in which the view is extended into this area.
    """
    moves = corruption.move is not None
    if surround is None or not (moves or corruption.category == "blur"):
        return image, mask
    return continued(image, surround), continued(mask, surround) if moves and mask.size else mask


def _put_back(corrupted: Image, original: Image, surround: Surround) -> Image:
    """Return the corrupted image with the original pixels of the surround."""
    result = corrupted.copy()
    result[surround] = original[surround]
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
    """Return the image and mask of each severity, from the backend that runs the corruption."""
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
    pairs = []
    with portable_opencv():
        prepared = corruption.prepare(image, randomness)
        for severity in severities:
            moved = corruption.move(mask, severity, prepared) if corruption.move is not None and mask.size else mask
            pairs.append((corruption.apply(image, severity, prepared, **parameters), moved))
    return pairs


@contextmanager
def portable_opencv() -> Iterator[None]:
    """Make OpenCV use its own code in this thread, within the block.

    Otherwise OpenCV uses Intel's library on Intel's processors, and this library rounds differently.
    """
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(before)


def check(image: Image, severities: Sequence[int]) -> None:
    """Raise CorruptionError unless `corrupt` can use the image and the severities."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        given = getattr(image, "dtype", type(image).__name__)
        raise CorruptionError(f"image of type {given}; expected a numpy array of uint8, values 0 to 255.")
    if image.ndim == 3 and image.shape[2] == 4:
        raise CorruptionError(
            f"image of shape {image.shape}; expected RGB: drop the fourth channel with image[..., :3]."
        )
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        raise CorruptionError(
            f"image of shape {image.shape}; expected RGB (height, width, 3). Repeat a grey image: np.stack([grey] * 3, axis=2)."
        )
    if image.ndim != 3 or image.shape[2] != 3:
        raise CorruptionError(f"image of shape {image.shape}; expected RGB (height, width, 3).")
    if min(image.shape[:2]) < SMALLEST:
        raise CorruptionError(
            f"image of {image.shape[1]}x{image.shape[0]} pixels; expected at least {SMALLEST} per side."
        )
    if isinstance(severities, (int, str)):
        raise CorruptionError(f"severities {severities!r}; expected a sequence, such as (1, 3, 5).")
    for severity in severities:
        is_integer = isinstance(severity, (int, np.integer)) and not isinstance(severity, bool)
        if not is_integer or severity not in SEVERITIES:
            raise CorruptionError(f"severity {severity!r}; expected a whole number from 1 to 5.")


def backend_of(name: str, backend: str = "auto", profile: str = "standard") -> str:
    """Return which backend runs a corruption.

    Args:
        name: the corruption.
        backend: "fast", "reference", or "auto" ("reference" for the profile "authors_code", otherwise "fast").
        profile: "standard" or "authors_code".

    Returns:
        "fast" for this package's own code, "reference" for the library imagecorruptions. For the profile "authors_code" always
        "reference".

    Raises:
        CorruptionError: if name, backend or profile is unknown, or the backend or the profile does not have the corruption.
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
            raise CorruptionError(
                f"{name}: the profile 'authors_code' does not have it: {AUTHORS_CODE_LACKS}. Use 'standard'."
            )
        if backend == "fast":
            raise CorruptionError(
                f"{name}: the profile 'authors_code' needs the backend 'reference'; use backend 'auto'."
            )
        return "reference"
    if backend == "reference":
        if name not in COMMON:
            raise CorruptionError(f"{name}: the backend 'reference' does not have it; use 'fast' or 'auto'.")
        return "reference"
    return "fast"


def corruptions_of(profile: str) -> tuple[str, ...]:
    """Return the names of all corruptions that a profile has.

    Args:
        profile: "standard", which includes the corruptions that a user's modules register, or "authors_code".

    Returns:
        The names, in the order of the catalogue.

    Raises:
        CorruptionError: if the profile is unknown.
    """
    if profile not in PROFILES:
        raise UnknownNameError("profile", profile, PROFILES)
    if profile == "authors_code":
        return tuple(name for name in CORRUPTIONS if name in COMMON or name == "gamma_correction")
    return known_corruptions()


def moves_pixels(name: str) -> bool:
    """Return whether a corruption moves pixels, so that a mask must move with them.

    Args:
        name: the corruption.

    Returns:
        True if it moves pixels.

    Raises:
        CorruptionError: if the name is unknown.
    """
    if name not in known():
        raise UnknownNameError("corruption", name, known_corruptions())
    return describe(name).moves
