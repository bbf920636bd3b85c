"""Representation Surgery: the module, and what fits it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from endoarss.errors import SettingsError
from endoarss.merging.batches import Batches
from endoarss.merging.fit_surgery import SurgerySettings, fit_surgery, mean_l1
from endoarss.merging.surgery import Surgery


def test_nothing_changes_at_first() -> None:
    z = torch.randn(5, 3, 3, 12)
    assert torch.equal(Surgery(12, 4)(z), z)


def test_it_is_the_formula() -> None:
    surgery = Surgery(6, 3)
    torch.nn.init.normal_(surgery.up)
    z = torch.randn(7, 6, dtype=torch.float32)
    d, u = surgery.down.detach().numpy(), surgery.up.detach().numpy()
    expected = z.numpy() - np.maximum(z.numpy() @ d.T, 0) @ u.T
    np.testing.assert_allclose(surgery(z).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_it_has_no_biases_and_is_as_small_as_its_rank() -> None:
    assert sum(p.numel() for p in Surgery(96, 16).parameters()) == 2 * 96 * 16


def test_its_draw_is_kaiming_uniform_and_the_seeds() -> None:
    bound = 1 / np.sqrt(256)  # sqrt(6 / ((1 + 5) fan_in))
    down = Surgery(256, 256, seed=3).down.detach()
    assert float(down.abs().max()) <= bound and float(down.abs().max()) > 0.99 * bound
    assert torch.equal(down, Surgery(256, 256, seed=3).down) and not torch.equal(down, Surgery(256, 256, seed=4).down)


def numpy_fit(
    z: np.ndarray, target: np.ndarray, surgery: Surgery, settings: SurgerySettings
) -> tuple[np.ndarray, np.ndarray]:
    """The same fit in NumPy float64, its gradients by hand."""
    d, u = (p.detach().numpy().astype(np.float64) for p in (surgery.down, surgery.up))
    order = Batches(len(z), settings.batch_size, settings.seed)
    m, v = [np.zeros_like(d), np.zeros_like(u)], [np.zeros_like(d), np.zeros_like(u)]
    for step in range(settings.iterations * settings.batches):
        chosen = order[step].numpy()
        x, y = z[chosen].reshape(-1, d.shape[1]), target[chosen].reshape(-1, d.shape[1])
        hidden = np.maximum(x @ d.T, 0)
        sign = np.sign(x - hidden @ u.T - y) / x.size
        gradients = [-(((sign @ u) * (x @ d.T > 0)).T @ x), -(sign.T @ hidden)]
        for i, (parameter, g) in enumerate(zip((d, u), gradients, strict=True)):
            m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g**2
            corrected = np.sqrt(v[i] / (1 - 0.999 ** (step + 1))) + 1e-8
            parameter -= settings.learning_rate * (m[i] / (1 - 0.9 ** (step + 1))) / corrected
    return d, u


def test_the_fit_is_adam_on_the_mean_l1() -> None:
    rng = np.random.default_rng(0)
    z, target = rng.normal(size=(2, 40, 2, 2, 8)).astype(np.float32)
    settings = SurgerySettings(iterations=15, batch_size=4, batches=2, learning_rate=0.01, seed=5)
    surgery = Surgery(8, 3, seed=1)
    d, u = numpy_fit(z, target, surgery, settings)
    fit_surgery(surgery, torch.from_numpy(z), torch.from_numpy(target), settings)
    np.testing.assert_allclose(surgery.down.detach().numpy(), d, atol=2e-5)
    np.testing.assert_allclose(surgery.up.detach().numpy(), u, atol=2e-5)


def test_an_iteration_takes_a_step_per_batch() -> None:
    """The authors' schedule: 500 iterations over two batches of 16 are 1,000 steps."""
    z, target = torch.randn(2, 40, 3, 6)

    def fitted(iterations: int, batches: int) -> torch.Tensor:
        surgery = Surgery(6, 4)
        fit_surgery(surgery, z, target, SurgerySettings(iterations, batch_size=16, batches=batches))
        return surgery.up.detach()

    assert torch.equal(fitted(10, 2), fitted(20, 1)) and not torch.equal(fitted(10, 2), fitted(10, 1))
    assert SurgerySettings().iterations * SurgerySettings().batches == 1000


def test_a_bias_that_the_module_can_express_goes_away() -> None:
    torch.manual_seed(0)
    true = Surgery(10, 4, seed=9)
    torch.nn.init.normal_(true.up)
    z = torch.randn(64, 4, 4, 10)
    target = true(z).detach()
    surgery = Surgery(10, 10)
    before = mean_l1(z, target)
    fit_surgery(surgery, z, target, SurgerySettings(iterations=400, learning_rate=0.01))
    assert mean_l1(surgery(z).detach(), target) < 0.25 * before


def test_the_same_seed_gives_the_same_bits() -> None:
    z, target = torch.randn(2, 20, 3, 6)

    def fitted() -> torch.Tensor:
        surgery = Surgery(6, 4)
        fit_surgery(surgery, z, target, SurgerySettings(iterations=10))
        return surgery.up.detach()

    assert torch.equal(fitted(), fitted())


def test_representations_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"with 6 channels: .*\(20, 6\) in the merged and \(19, 6\) in the individual"
    ):
        fit_surgery(Surgery(6, 4), torch.zeros(20, 6), torch.zeros(19, 6), SurgerySettings())
    with pytest.raises(SettingsError, match="with 5 channels"):
        fit_surgery(Surgery(5, 4), torch.zeros(20, 6), torch.zeros(20, 6), SurgerySettings())
    for rank in (0, 6):
        with pytest.raises(SettingsError, match=f"rank {rank}; expected 1 to 5"):
            Surgery(5, rank)


@pytest.mark.parametrize(("count", "size"), [(10, 3), (32, 32), (5, 32), (1, 1)])
def test_batches_see_every_image_alike_and_none_twice_at_a_time(count: int, size: int) -> None:
    order = Batches(count, size, seed=0)
    steps = [order[step] for step in range(3 * order.steps)]
    assert all(len(step.unique()) == len(step) == min(size, count) for step in steps)
    first = torch.cat(steps[: order.steps])
    assert len(first.unique()) == len(first)
    assert all(torch.equal(step, Batches(count, size, 0)[i]) for i, step in enumerate(steps))


def test_the_bias_is_the_mean_absolute_difference() -> None:
    assert mean_l1(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 2.0])) == 2.5


def test_its_fit_shows_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes minutes on a CPU, and the log is all that a job shows."""
    z = torch.randn(8, 6)
    fit_surgery(Surgery(6, 2), z, z, SurgerySettings(iterations=3, batch_size=4, batches=2))
    assert "surgery:" in capsys.readouterr().err
