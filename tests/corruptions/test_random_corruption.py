"""Corruption as a transform of data loaders: kinds of images, masks, seeds, workers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from corruptions import CorruptionError, RandomCorruption, corrupt

PIXELS = np.random.default_rng(0).integers(40, 200, (40, 48, 3), np.uint8)
DOCS = Path(__file__).parents[2] / "docs/corruptions.md"


def test_one_of_the_names_at_one_of_the_severities() -> None:
    transform = RandomCorruption(["contrast", "brightness"], [1, 5], probability=0.5)
    expected = [corrupt(PIXELS, name, s) for name in ("contrast", "brightness") for s in (1, 5)]
    places = {one.tobytes(): i for i, one in enumerate([PIXELS, *expected])}
    found = [places.get(transform(PIXELS).tobytes(), -1) for _ in range(160)]
    counts = np.bincount(found, minlength=5)
    assert -1 not in found and 55 <= counts[0] <= 105 and counts[1:].min() >= 12


@pytest.mark.parametrize("kind", ["tensor", "tv_tensor", "PIL"])
def test_what_is_given_comes_back_of_its_kind(kind: str) -> None:
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    given: Any = {"tensor": tensor, "tv_tensor": tv_tensors.Image(tensor), "PIL": Image.fromarray(PIXELS)}[kind]
    as_array = RandomCorruption(["noise"], probability=1, seed=4)(PIXELS)
    made = RandomCorruption(["noise"], probability=1, seed=4)(given)
    assert type(made) is type(given)
    np.testing.assert_array_equal(np.asarray(made) if kind == "PIL" else np.asarray(made).transpose(1, 2, 0), as_array)
    assert (np.asarray(given) if kind == "PIL" else np.asarray(given).transpose(1, 2, 0) == PIXELS).all()


def test_a_mask_moves_along_in_a_v2_pipeline() -> None:
    ids = (np.arange(48, dtype=np.uint8) // 6)[None].repeat(40, axis=0)
    pipeline = v2.Compose([RandomCorruption(["elastic_transform"], [5], 1), v2.ToDtype(torch.float32, scale=True)])
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    image, mask = pipeline(tv_tensors.Image(tensor), tv_tensors.Mask(torch.from_numpy(ids)))
    assert isinstance(image, tv_tensors.Image) and image.dtype == torch.float32
    assert isinstance(mask, tv_tensors.Mask) and mask.shape == ids.shape and (mask.numpy() != ids).any()
    unmoved = RandomCorruption(["contrast"], [5], 1)(PIXELS, ids)[1]
    np.testing.assert_array_equal(unmoved, ids)


class Images(Dataset[torch.Tensor]):
    """The same image four times."""

    def __init__(self, seed: int) -> None:
        self.transform = RandomCorruption(["gaussian_noise"], [1], probability=1, seed=seed)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        made: torch.Tensor = self.transform(torch.from_numpy(PIXELS).permute(2, 0, 1))
        return made


def two_epochs(workers: int, seed: int = 1) -> np.ndarray:
    loader = DataLoader(Images(seed), num_workers=workers, generator=torch.Generator().manual_seed(5))
    return np.stack([np.concatenate([batch.numpy() for batch in loader]) for _ in range(2)])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_epochs_draw_apart_and_a_run_repeats(workers: int) -> None:
    once = two_epochs(workers)
    assert len({image.tobytes() for epoch in once for image in epoch}) == 8, "no image is as another"
    np.testing.assert_array_equal(once, two_epochs(workers))
    if not workers:
        assert (once != two_epochs(workers, seed=2)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["fog"],), "unknown corruption 'fog'"),
        (("noise",), r"corruptions 'noise'; expected a list, \['noise'\]"),
        ((["noise"], [6]), "severity 6; expected a whole number from 1 to 5"),
        ((["noise"], []), "no corruption or no severity is given"),
        ((["noise"], [1], 2), "probability 2; expected a number from 0 to 1"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        RandomCorruption(*arguments)


def test_floats_are_sent_before_the_transform_that_makes_them() -> None:
    transform = RandomCorruption(probability=1)
    with pytest.raises(CorruptionError, match=r"a tensor of type float32 .*Put this transform before the one that"):
        transform(torch.zeros(3, 40, 48))
    with pytest.raises(CorruptionError, match="an image of type list; expected a numpy array, a torch tensor or a PIL"):
        transform([[0]])
    with pytest.raises(CorruptionError, match=r"mask of shape \(3, 4\)"):
        transform(PIXELS, np.zeros((3, 4), np.uint8))


def test_the_example_of_the_documentation_runs() -> None:
    (text,) = re.findall(r"```python\n(# a transform.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"frames": [PIXELS] * 4, "masks": [PIXELS[..., 0] // 100] * 4}
    exec(text, names)
    images, masks = next(iter(names["loader"]))
    assert images.shape == (2, 3, 40, 48) and images.dtype == torch.float32 and masks.shape == (2, 40, 48)
