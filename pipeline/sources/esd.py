"""Reader of a released tree of MTLESD: {train,test}/<k>/{image,mask}/NAME.png, k = 1..3, mask values 0 and 2 to 7."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.images import read_ids

WHERE_TO_ASK = "the authors of EndoARSS, https://github.com/gkw0010/EndoARSS"

# Value in the released masks -> class of `labels.ESD`.
_CLASS_OF_VALUE = {0: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6}


@dataclass(frozen=True)
class FrameEsd:
    """One frame: the part it was released in, its activity number (1 to 3), name and files."""

    split: str
    activity: int
    name: str
    image: Path
    mask: Path


def read_tree(root: Path) -> list[FrameEsd]:
    """List what a released tree holds, without decoding a picture.

    Raises:
        InputError: if the tree is absent or empty, an activity folder is not 1 to 3, or a picture has no mask.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. The MTLESD tree is expected here; ask {WHERE_TO_ASK}.")
    frames = []
    for split in ("train", "test"):
        for folder in sorted(path for path in (root / split).glob("*") if path.is_dir()):
            if folder.name not in ("1", "2", "3"):
                raise InputError(
                    f"{folder}: expected the activity folders 1, 2 and 3 (marking, injection, dissection)."
                )
            for image in sorted((folder / "image").glob("*.png")):
                mask = folder / "mask" / image.name
                if not mask.is_file():
                    raise InputError(f"{mask}: missing. Expected the mask of {image}.")
                frames.append(FrameEsd(split, int(folder.name), image.stem, image, mask))
    if not frames:
        raise InputError(
            f"{root}: no picture in it. Expected train/1/image/NAME.png and train/1/mask/NAME.png; ask {WHERE_TO_ASK}."
        )
    return frames


def class_mask(frame: FrameEsd) -> NDArray[np.uint8]:
    """The mask of a frame as class ids 0 to 6: uint8 (H, W).

    Raises:
        InputError: if a value is none of 0 and 2 to 7.
    """
    values = read_ids(frame.mask)
    classes = np.full(256, 255, np.uint8)
    classes[list(_CLASS_OF_VALUE)] = list(_CLASS_OF_VALUE.values())
    mask = classes[values]
    if (mask == 255).any():
        raise InputError(f"{frame.mask}: value {values[mask == 255].min()}; expected 0 and 2 to 7.")
    return mask
