"""Golden vectors of multi-task weightings over ten steps of descent, in NumPy float64.

Written from the published formulas alone, apart from the code that is tested against them:

- MoCo: Fernando et al. 2023, ICLR
- Aligned-MTL: Senushkin et al. 2023, CVPR
- STCH: Lin et al. 2024, arXiv:2402.19078
- DB-MTL: Lin et al. 2023, arXiv:2308.12029

The toy problem has T tasks that share theta in R^7; task t owns u_t in R^3 and has the loss

    l_t(theta, u_t) = c_t * (0.5 * |A_t theta - b_t|^2 + 0.5 * |u_t - v_t|^2) + d_t.

In each step the losses and gradients are taken, the weighting gives a shared direction and the owned gradients, these
are recorded, and then theta -= learning_rate * direction, u_t -= learning_rate * owned_t. A weighting counts its steps
k from 1 and its epochs from 0.

`python tests/endoarss/golden/make_weightings.py` rewrites weightings.json beside this file.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS_PER_EPOCH = 2
EPOCHS = 5
NORM_EPSILON = 1e-8
LOSS_EPSILON = 1e-8
RANK_EPSILON = float(np.finfo(np.float32).eps)  # the tested code takes its Gram matrix in float32
SEEDS = {2: 44, 3: 51}


@dataclass
class Problem:
    """The constants of the toy problem and where its descent starts; the first axis of all but `theta` is the task."""

    a: Array
    b: Array
    c: Array
    d: Array
    v: Array
    theta: Array
    u: Array

    def losses(self, theta: Array, u: Array) -> Array:
        """l_t = c_t * (0.5 * |A_t theta - b_t|^2 + 0.5 * |u_t - v_t|^2) + d_t."""
        residual = self.a @ theta - self.b
        return self.c * (0.5 * np.sum(residual**2, axis=1) + 0.5 * np.sum((u - self.v) ** 2, axis=1)) + self.d

    def shared_gradients(self, theta: Array) -> Array:
        """g_t = c_t * A_t^T (A_t theta - b_t), one row a task."""
        residual = self.a @ theta - self.b
        return self.c[:, None] * np.einsum("tij,ti->tj", self.a, residual)

    def owned_gradients(self, u: Array) -> Array:
        """c_t * (u_t - v_t), one row a task."""
        return self.c[:, None] * (u - self.v)

    def content(self) -> dict[str, Any]:
        """The problem as lists."""
        return {
            "A": self.a.tolist(),
            "b": self.b.tolist(),
            "c": self.c.tolist(),
            "d": self.d.tolist(),
            "v": self.v.tolist(),
            "theta": self.theta.tolist(),
            "u": self.u.tolist(),
        }


def make_problem(tasks: int) -> Problem:
    """A problem with random A, b, v, theta and u, rounded to six decimals so that JSON holds it exactly."""
    rng = np.random.default_rng(SEEDS[tasks])

    def normal(scale: float, *shape: int) -> Array:
        return np.round(scale * rng.standard_normal(shape), 6)

    a, theta = normal(0.5, tasks, 5, 7), normal(0.3, 7)
    # Tasks of large c start nearer to their minimum, so that no gradient drowns the others.
    distances = np.array([0.5, 0.25, 1.0])[:tasks, None]
    return Problem(
        a=a,
        b=np.round(a @ theta + distances * rng.standard_normal((tasks, 5)), 6),
        c=np.array([1.0, 20.0, 0.3])[:tasks],
        d=np.array([0.2, 0.5, 0.1])[:tasks],
        v=normal(0.3, tasks, 3),
        theta=theta,
        u=normal(0.3, tasks, 3),
    )


@dataclass
class Update:
    """What a weighting makes of one step."""

    direction: Array
    owned: Array
    weights: Array
    # Functions of the losses: the gradient with respect to theta is `direction` for the first, and the gradient with
    # respect to u is `owned` for the second. None where there is no such scalar.
    shared_scalar: Callable[[Array], float] | None
    owned_scalar: Callable[[Array], float]


class Weighting(Protocol):
    """The step of a weighting with its state."""

    def step(self, k: int, epoch: int, losses: Array, shared: Array, owned: Array) -> Update:
        """The update of step k, from the raw losses and the raw gradients."""
        ...


def softmax(x: Array) -> Array:
    """exp(x_t) / sum_j exp(x_j)."""
    powers = np.exp(x - np.max(x))
    return powers / np.sum(powers)


def project(x: Array) -> Array:
    """max(x_t - theta, 0) with the theta, found by bisection, that makes the sum 1."""
    low, high = np.min(x) - 1.0, np.max(x)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.sum(np.maximum(x - middle, 0.0)) > 1.0 else (low, middle)
    return np.maximum(x - high, 0.0)


def sum_of_losses(losses: Array) -> float:
    """sum_t l_t."""
    return float(np.sum(losses))


def sum_of_logs(losses: Array) -> float:
    """sum_t log l_t."""
    return float(np.sum(np.log(losses)))


def sum_of_guarded_logs(losses: Array) -> float:
    """sum_t log(l_t + 1e-8)."""
    return float(np.sum(np.log(losses + LOSS_EPSILON)))


class Equal:
    """The plain sum: d = sum_t g_t."""

    def __init__(self, tasks: int) -> None:
        """No state is kept."""

    def step(self, k: int, epoch: int, losses: Array, shared: Array, owned: Array) -> Update:
        """The sum of the raw gradients; all weights are one."""
        return Update(np.sum(shared, axis=0), owned, np.ones(len(losses)), sum_of_losses, sum_of_losses)


class MoCo:
    """Tracked gradients y_t and tracked weights lambda.

    y_t    <- y_t - beta / k^beta_sigma * (y_t - l_t g_t / (|g_t| + 1e-8)),  y_t = 0 at first
    lambda <- P(lambda - gamma / k^gamma_sigma * (Y Y^T + rho I) lambda),  lambda_t = 1 / T at first
    d = Y^T lambda

    P is the Euclidean projection onto the simplex (the paper), or a softmax (LibMTL).
    """

    def __init__(
        self, tasks: int, beta: float, beta_sigma: float, gamma: float, gamma_sigma: float, rho: float, simplex: str
    ) -> None:
        self.onto_simplex = {"projection": project, "softmax": softmax}[simplex]
        self.beta, self.beta_sigma = beta, beta_sigma
        self.gamma, self.gamma_sigma = gamma, gamma_sigma
        self.rho = rho
        self.y = np.zeros((tasks, 7))
        self.weights = np.full(tasks, 1.0 / tasks)

    def step(self, k: int, epoch: int, losses: Array, shared: Array, owned: Array) -> Update:
        """Track the gradients, then the weights on the new y; owned parameters get their raw gradient."""
        norms = np.linalg.norm(shared, axis=1)
        target = (losses / (norms + NORM_EPSILON))[:, None] * shared
        self.y = self.y - self.beta / k**self.beta_sigma * (self.y - target)
        gram = self.y @ self.y.T + self.rho * np.eye(len(losses))
        self.weights = self.onto_simplex(self.weights - self.gamma / k**self.gamma_sigma * (gram @ self.weights))
        return Update(self.y.T @ self.weights, owned, self.weights, None, sum_of_losses)


def aligned_weights(gradients: Array) -> Array:
    """alpha = B 1 with B = sqrt(l_min) V L^(-1/2) V^T, where G G^T = V L V^T.

    Eigenvalues l <= max(l) * T * eps are dropped; l_min is the smallest that is kept. If none is kept, alpha is zero.
    """
    tasks = len(gradients)
    eigenvalues, vectors = np.linalg.eigh(gradients @ gradients.T)
    kept = eigenvalues > np.max(eigenvalues) * tasks * RANK_EPSILON
    if np.max(eigenvalues) <= 0.0 or not np.any(kept):
        return np.zeros(tasks)
    values, basis = eigenvalues[kept], vectors[:, kept]
    balance = np.sqrt(np.min(values)) * basis @ np.diag(values**-0.5) @ basis.T
    return balance @ np.ones(tasks)


class AlignedMTL:
    """Gradients whose principal components are made equally long: d = sum_t alpha_t g_t."""

    def __init__(self, tasks: int) -> None:
        """No state is kept."""

    def step(self, k: int, epoch: int, losses: Array, shared: Array, owned: Array) -> Update:
        """The combination by alpha; owned parameters get their raw gradient."""
        eigenvalues = np.linalg.eigvalsh(shared @ shared.T)
        # Far above the cut, so that the rank does not depend on rounding.
        assert eigenvalues[0] > 1e3 * eigenvalues[-1] * len(losses) * RANK_EPSILON, eigenvalues
        alpha = aligned_weights(shared)
        return Update(alpha @ shared, owned, alpha, None, sum_of_losses)


class STCH:
    """Smooth Tchebycheff scalarisation of log losses, relative to a nadir that is measured after a warm-up of W epochs.

    epoch < W:  sum_t log l_t
    epoch = W:  the same; nadir_t is the mean of l_t over the steps of this epoch
    epoch > W:  T * mu * log sum_t exp((x_t - max_j x_j) / mu), x_t = log(l_t / nadir_t), the maximum held constant

    Both theta and u_t get the gradient of this value, that is w_t / l_t times their raw gradient, where w_t = 1 in the
    first two phases and w = T * softmax(x / mu) in the last one.
    """

    def __init__(self, tasks: int, mu: float, warmup_epochs: int) -> None:
        self.mu = mu
        self.warmup_epochs = warmup_epochs
        self.measured: list[Array] = []

    def step(self, k: int, epoch: int, losses: Array, shared: Array, owned: Array) -> Update:
        """The gradient of the value of this phase."""
        tasks = len(losses)
        scalar: Callable[[Array], float]
        if epoch <= self.warmup_epochs:
            if epoch == self.warmup_epochs:
                self.measured.append(losses)
            weights = np.ones(tasks)
            scalar = sum_of_logs
        else:
            assert len(self.measured) == STEPS_PER_EPOCH
            nadir = np.mean(self.measured, axis=0)
            ratios = np.log(losses / nadir)
            highest = np.max(ratios)
            weights = tasks * softmax(ratios / self.mu)

            def scalar(at: Array) -> float:
                return float(tasks * self.mu * np.log(np.sum(np.exp((np.log(at / nadir) - highest) / self.mu))))

        factors = weights / losses
        return Update(factors @ shared, factors[:, None] * owned, weights, scalar, scalar)


class DBMTL:
    """Gradients of log losses, tracked and scaled to the longest.

    g_t = grad log(l_t + 1e-8)
    b_t <- g_t + beta / k^beta_sigma * (b_t - g_t),  b_t = 0 at first
    d = sum_t w_t b_t with w_t = max_j |b_j| / (|b_t| + 1e-8)
    """

    def __init__(self, tasks: int, beta: float, beta_sigma: float) -> None:
        self.beta, self.beta_sigma = beta, beta_sigma
        self.b = np.zeros((tasks, 7))

    def step(self, k: int, epoch: int, losses: Array, shared: Array, owned: Array) -> Update:
        """The scaled sum of the tracked gradients; owned parameters get the gradient of the log loss."""
        factors = 1.0 / (losses + LOSS_EPSILON)
        gradients = factors[:, None] * shared
        self.b = gradients + self.beta / k**self.beta_sigma * (self.b - gradients)
        norms = np.linalg.norm(self.b, axis=1)
        weights = np.max(norms) / (norms + NORM_EPSILON)
        return Update(weights @ self.b, factors[:, None] * owned, weights, None, sum_of_guarded_logs)


WEIGHTINGS: dict[str, Callable[..., Weighting]] = {
    "equal": Equal,
    "moco": MoCo,
    "aligned_mtl": AlignedMTL,
    "stch": STCH,
    "db_mtl": DBMTL,
}

# Name, settings, learning rate.
RUNS: list[tuple[str, dict[str, float | int | str], float]] = [
    ("equal", {}, 0.002),
    (
        "moco",
        {"beta": 0.5, "beta_sigma": 0.5, "gamma": 0.1, "gamma_sigma": 0.5, "rho": 0.0, "simplex": "softmax"},
        0.01,
    ),
    (
        "moco",
        {"beta": 0.8, "beta_sigma": 0.5, "gamma": 0.05, "gamma_sigma": 0.5, "rho": 0.3, "simplex": "softmax"},
        0.01,
    ),
    (
        "moco",
        {"beta": 0.8, "beta_sigma": 0.5, "gamma": 0.02, "gamma_sigma": 0.5, "rho": 0.3, "simplex": "projection"},
        0.01,
    ),
    ("aligned_mtl", {}, 0.005),
    ("stch", {"mu": 1.0, "warmup_epochs": 1}, 0.02),
    ("stch", {"mu": 0.5, "warmup_epochs": 1}, 0.02),
    ("db_mtl", {"beta": 0.9, "beta_sigma": 0.0}, 0.02),
    ("db_mtl", {"beta": 0.7, "beta_sigma": 0.5}, 0.02),
]


def difference_quotients(scalar: Callable[[Array], float], at: Array, width: float = 1e-5) -> Array:
    """(f(x + h e_i) - f(x - h e_i)) / 2h for each entry i of x."""
    quotients = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        shift = np.zeros_like(at)
        shift[index] = width
        quotients[index] = (scalar(at + shift) - scalar(at - shift)) / (2.0 * width)
    return quotients


def check_gradient(scalar: Callable[[Array], float], at: Array, gradient: Array) -> None:
    """An analytic gradient agrees with central differences."""
    quotients = difference_quotients(scalar, at)
    scale = max(1.0, float(np.max(np.abs(gradient))))
    assert np.max(np.abs(quotients - gradient)) < 1e-7 * scale, (quotients, gradient)


def check_step(problem: Problem, theta: Array, u: Array, update: Update) -> None:
    """The raw gradients and the gradients of the scalars that a weighting minimises agree with central differences."""
    shared, owned = problem.shared_gradients(theta), problem.owned_gradients(u)
    for chosen in np.eye(len(problem.c)):

        def at_theta(x: Array, chosen: Array = chosen) -> float:
            return float(chosen @ problem.losses(x, u))

        def at_u(x: Array, chosen: Array = chosen) -> float:
            return float(chosen @ problem.losses(theta, x))

        check_gradient(at_theta, theta, chosen @ shared)
        check_gradient(at_u, u, chosen[:, None] * owned)
    shared_scalar, owned_scalar = update.shared_scalar, update.owned_scalar
    if shared_scalar is not None:
        check_gradient(lambda x: shared_scalar(problem.losses(x, u)), theta, update.direction)
    check_gradient(lambda x: owned_scalar(problem.losses(theta, x)), u, update.owned)


def make_run(
    problem: Problem, name: str, settings: dict[str, float | int | str], learning_rate: float
) -> dict[str, Any]:
    """Descend with a weighting and record each step before the parameters move."""
    tasks = len(problem.c)
    weighting = WEIGHTINGS[name](tasks, **settings)
    theta, u = problem.theta, problem.u
    steps = []
    for k in range(1, STEPS_PER_EPOCH * EPOCHS + 1):
        epoch = (k - 1) // STEPS_PER_EPOCH
        losses = problem.losses(theta, u)
        update = weighting.step(k, epoch, losses, problem.shared_gradients(theta), problem.owned_gradients(u))
        check_step(problem, theta, u, update)
        assert np.all(losses > problem.d) and np.all(losses < 1e3), losses
        if settings.get("simplex") == "softmax":
            assert np.all(update.weights > 0.01) and np.all(update.weights < 0.99), update.weights
        steps.append(
            {
                "losses": losses.tolist(),
                "direction": update.direction.tolist(),
                "owned": update.owned.tolist(),
                "weights": update.weights.tolist(),
            }
        )
        theta = theta - learning_rate * update.direction
        u = u - learning_rate * update.owned
    return {
        "tasks": tasks,
        "weighting": name,
        "settings": settings,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "epochs": EPOCHS,
        "learning_rate": learning_rate,
        "steps": steps,
    }


def make_aligned_rank_one() -> dict[str, Any]:
    """Aligned-MTL on parallel gradients w and s w: alpha = (1 + s) / (1 + s^2) * (1, s).

    The entries are dyadic, so that their Gram matrix is exact in float32 too.
    """
    w, s = np.array([0.5, -1.25, 0.75, 2.0, -0.25, 1.5, -1.0]), 2.5
    gradients = np.stack([w, s * w])
    alpha = aligned_weights(gradients)
    assert np.allclose(alpha, (1 + s) / (1 + s**2) * np.array([1.0, s]), rtol=1e-12, atol=0.0)
    assert not np.any(aligned_weights(np.zeros((2, 7))))
    return {"G": gradients.tolist(), "direction": (alpha @ gradients).tolist(), "alpha": alpha.tolist()}


def make() -> dict[str, Any]:
    """The content of weightings.json."""
    problems = {tasks: make_problem(tasks) for tasks in SEEDS}
    return {
        "problems": {str(tasks): problem.content() for tasks, problem in problems.items()},
        "runs": [make_run(problem, *run) for problem in problems.values() for run in RUNS],
        "aligned_rank_one": make_aligned_rank_one(),
    }


def dumps(content: dict[str, Any]) -> str:
    """JSON with sorted keys and a line for each list of numbers."""
    text = json.dumps(content, indent=1, sort_keys=True)
    return re.sub(r"\[[^][{}]*\]", lambda match: " ".join(match[0].split()), text) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("weightings.json").write_text(dumps(make()), encoding="utf-8")
