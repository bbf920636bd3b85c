"""The training loop: seeded, resumable, with a progress bar and a history."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from endoarss.augmentation import AugmentationSettings, ImageCorruption, augment, corrupt_images
from endoarss.data import Batch, ImagesOnDevice, LabelledImages, normalise
from endoarss.devices import CompiledSteps, choose_kernels, memory_explained
from endoarss.errors import SettingsError, TrainingError
from endoarss.gradients import Trained, backward
from endoarss.history import Epoch
from endoarss.labels import IGNORED
from endoarss.models import MultiTaskModel
from endoarss.registry import WEIGHTINGS, check_settings
from endoarss.resume import ResumeFolder, TrainingState
from endoarss.settings import ACTIVITY
from endoarss.weightings.base import GradientWeighting, LossWeighting, Weighting
from endoarss.weightings.trained_parameters import check_all_trained, check_gradients_set

History = list[dict[str, float]]
_AS_THEY_ARE = AugmentationSettings()


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained: Adam (section IV-B of the paper), its rate constant or lowered in steps.

    decay_every, decay_factor: every so many epochs the rate is multiplied by the factor; 0 means never. weight_decay: Adam's, added to
    the gradient. drop_last: leave out the last batch of an epoch if it is smaller than the others.
    corruption: of training images, before they are augmented. None for none.
    precision: "float32", "bf16" (autocast), or "auto": bf16 on a GPU. compile: torch.compile; None means on a GPU.
    checkpoint_every, validate_every: in epochs. deterministic: on a GPU, the same bits in each run, see `devices.choose_kernels`.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 16
    weighting: str = "equal"
    weighting_settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    decay_every: int = 0
    decay_factor: float = 1.0
    weight_decay: float = 0.0
    drop_last: bool = False
    augmentation: AugmentationSettings = _AS_THEY_ARE
    corruption: ImageCorruption | None = None
    precision: str = "auto"
    compile: bool | None = None
    checkpoint_every: int = 1
    validate_every: int = 1
    deterministic: bool = False

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        steps = epoch // self.decay_every if self.decay_every else 0
        return self.learning_rate * self.decay_factor**steps


def seed_everything(seed: int) -> None:
    """Seed torch's global generator, which draws initial weights and dropout."""
    torch.manual_seed(seed)


def make_weighting(settings: TrainingSettings, tasks: tuple[str, ...]) -> Weighting:
    """The weighting a training asks for.

    Raises:
        UnknownNameError: if it is not registered. SettingsError: if it does not take the settings given, or holds what nobody trains.
    """
    make = WEIGHTINGS.get(settings.weighting)
    check_settings("weightings", settings.weighting, settings.weighting_settings)
    try:
        weighting = make(tasks, settings.epochs, **settings.weighting_settings)
    except TypeError as error:
        raise SettingsError(f"weighting {settings.weighting!r}: {error}") from None
    if not isinstance(weighting, LossWeighting | GradientWeighting):
        raise SettingsError(
            f"weighting {settings.weighting!r}: {type(weighting).__name__} is none; expected a subclass of LossWeighting or "
            "GradientWeighting of endoarss.weightings.base."
        )
    weighting.seed(settings.seed + 2)  # two generators of the training have the seeds before
    check_all_trained(settings.weighting, weighting, weighting.parameters())
    return weighting


def task_losses(
    outputs: dict[str, Tensor], masks: Tensor, activities: Tensor | None, ignores: bool = False
) -> dict[str, Tensor]:
    """Return the cross-entropy of each task: mean over images for the activity, over the pixels that count for the segmentation.

    Args:
        outputs: logits by task, (B, K) and (B, C, S, S).
        masks: int64 (B, S, S), class ids, or `IGNORED`.
        activities: int64 (B,), or None.
        ignores: whether masks may hold ignored pixels; a batch of nothing else has the loss 0 then.
    """
    losses = {}
    for task, logits in outputs.items():
        if task == ACTIVITY:
            assert activities is not None, "a model with activities needs data with activities"
            losses[task] = F.cross_entropy(logits, activities)
        else:
            loss = _mean_over_pixels(logits, masks)
            # The mean over no pixel is 0/0. Nothing is asked of the device, and nothing is looked for where no pixel is ignored.
            losses[task] = torch.where((masks == IGNORED).all(), torch.zeros_like(loss), loss) if ignores else loss
    return losses


def _mean_over_pixels(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the mean cross-entropy over the pixels that count; NaN where there is none."""
    if logits.is_cuda and torch.are_deterministic_algorithms_enabled():
        # The mean of torch's own kernel adds in any order, and has no deterministic form.
        return F.cross_entropy(logits, masks, ignore_index=IGNORED, reduction="none").sum() / (masks != IGNORED).sum()
    return F.cross_entropy(logits, masks, ignore_index=IGNORED)


def train(
    model: MultiTaskModel,
    data: LabelledImages,
    settings: TrainingSettings,
    device: torch.device,
    label: str = "train",
    validate: Callable[[MultiTaskModel], float] | None = None,
    choose: bool = True,
    resume: ResumeFolder | None = None,
    observe: Callable[[dict[str, float]], None] | None = None,
) -> History:
    """Train a model in place.

    Args:
        model: built after `seed_everything(settings.seed)`, so that its initial weights belong to the seed.
        data: the training split.
        settings: schedule and weighting.
        device: where to train.
        label: what the progress bar and errors say.
        validate: scores the model every `validate_every` epochs and after the last.
        choose: keep the epoch with the highest score, the first of equals; else the last one.
        resume: where states are kept; a training that was stopped goes on from the last one, and ends (on a CPU) with the same bits
            as one that was not.
        observe: gets each row of the history when its epoch is done.

    Returns:
        One row an epoch: epoch, seconds, images_per_second, memory_mib, learning_rate; by task loss, weight, gradient_norm; cosine of
        each pair of tasks; what the architecture measures; validation. Norms and cosines are of the raw losses' gradients of the shared
        parameters: means over all steps where the weighting works on gradients, else of the epoch's first step.

    Raises:
        TrainingError: if a loss is not finite, or memory runs out. SettingsError: if there are too few images.
    """
    _check_enough(len(data), settings)
    with memory_explained(label, device, _takes_less(model, settings)) as where:
        run = _Run(model, data, settings, device, label)
        done = resume.load() if resume is not None else None
        if done is not None:
            run.restore(done)
        bar = tqdm(total=settings.epochs, initial=len(run.history), desc=label, unit="epoch", mininterval=1.0)
        with bar as progress, resume or nullcontext():
            for epoch in range(len(run.history), settings.epochs):
                row = run.epoch(epoch, where)
                last = epoch + 1 == settings.epochs
                if validate is not None and (last or (epoch + 1) % settings.validate_every == 0):
                    row["validation"] = validate(model)
                    if choose:
                        run.best.offer(model, row["validation"])
                run.history.append(row)
                if resume is not None and not last and (epoch + 1) % settings.checkpoint_every == 0:
                    resume.wait()
                    resume.save(run.state(), epoch + 1)
                if observe is not None:
                    observe(row)
                progress.set_postfix({task: f"{row[f'loss_{task}']:.3f}" for task in model.tasks})
                progress.update()
        run.best.restore(model)
        return run.history


def _check_enough(images: int, settings: TrainingSettings) -> None:
    if images < 2:
        raise SettingsError(f"{images} training image(s); expected at least 2.")
    if settings.drop_last and images < settings.batch_size:
        raise SettingsError(
            f"{images} training images with batch_size {settings.batch_size} and drop_last; expected a whole batch at least."
        )


def _takes_less(model: MultiTaskModel, settings: TrainingSettings) -> str:
    return (
        f"training.batch_size (now {settings.batch_size}), training.precision: bf16 (now {settings.precision}), "
        f"training.cells_per_gpu, input_size (now {model.settings.input_size}), sma_width and output_stride of the backbone, "
        "experts of the architecture"
    )


class _Run:
    """A training under way: all that changes from step to step."""

    def __init__(
        self, model: MultiTaskModel, data: LabelledImages, settings: TrainingSettings, device: torch.device, label: str
    ) -> None:
        self.model, self.settings, self.device, self.label = model, settings, device, label
        self.order = torch.Generator().manual_seed(settings.seed)
        self.changes = torch.Generator().manual_seed(settings.seed + 1)
        with device:
            self.weighting = make_weighting(settings, model.tasks)
        self.of_weighting = list(self.weighting.parameters())
        model.to(device).train()
        model.precision = settings.precision
        choose_kernels(settings.deterministic)
        compiles = settings.compile or (settings.compile is None and device.type == "cuda")
        self.compiled = CompiledSteps(model, model.backbone.front) if compiles else nullcontext()
        self.data, self.ignores = ImagesOnDevice(data, device), data.ignores
        self.trained = Trained(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        rate, decay = settings.learning_rate, settings.weight_decay
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate, weight_decay=decay, fused=True)
        if self.of_weighting:
            self.optimizer.add_param_group({"params": self.of_weighting, "weight_decay": 0.0})
        self.history: History = []
        self.best = _Best()
        self.images: Tensor  # of the last step

    def epoch(self, number: int, where: list[str]) -> dict[str, float]:
        """Train for one epoch. where: its one entry says which step this is.

        Raises:
            TrainingError: if a loss or, at the end, a parameter is not finite. SettingsError: if the weighting holds what nobody trains.
        """
        epoch = self.steps(number, where)
        check_gradients_set(self.settings.weighting, self.of_weighting)
        check_all_trained(self.settings.weighting, self.weighting, self.of_weighting)  # what a step has made, too
        row = epoch.row(self.settings.rate(number), self.device)
        with torch.no_grad():
            row |= {name: float(value) for name, value in self.model.measures(self.images).items()}
        if not math.isfinite(float(self.length())):
            raise TrainingError(
                f"{self.label}: trained parameters are not finite after epoch {number + 1}, though its losses were. A lower learning "
                "rate may help."
            )
        return row

    def steps(self, number: int, where: list[str]) -> Epoch:
        """Take the steps of one epoch. On a GPU nothing in them waits for the device, which a wait in each step would leave idle."""
        self.model.train()
        self.weighting.start_epoch(number)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(number)
        epoch = Epoch(number, self.model.tasks, self.label)
        batches = self.data.epoch(self.settings.batch_size, self.order, self.settings.drop_last)
        with self.compiled:
            for index, batch in enumerate(batches):
                where[0] = f"epoch {number + 1}, step {index + 1}"
                self._step(epoch, batch, first=index == 0)
        return epoch

    def length(self) -> Tensor:
        """Return the sum of the trained parameters' lengths, a scalar: finite if all of them are."""
        return torch.stack(torch._foreach_norm([p.detach() for p in (*self.parameters, *self.of_weighting)])).sum()

    def _step(self, epoch: Epoch, taken: Batch, first: bool) -> None:
        corruption = self.settings.corruption
        batch = taken if corruption is None else corrupt_images(taken, corruption, self.changes)
        batch = augment(batch, self.settings.augmentation, self.changes)
        images = self.images = normalise(batch.images, self.model.settings.normalisation)

        def losses_of(outputs: dict[str, Tensor]) -> list[Tensor]:
            losses = task_losses(outputs, batch.masks, batch.activities, self.ignores)
            penalties = self.model.penalties(images)
            return [losses[t] + penalties[t] if t in penalties else losses[t] for t in self.model.tasks]

        self.optimizer.zero_grad(set_to_none=True)
        step = backward(self.model, self.trained, self.weighting, images, losses_of, measure=first)
        epoch.add(step, len(images))
        self.optimizer.step()
        if self.weighting.losses_after_step:
            with torch.no_grad():
                self.weighting.after_step(torch.stack(losses_of(self.model(images))))

    def state(self) -> TrainingState:
        """A copy of everything, in the host's memory."""
        tensors = {f"model.{name}": tensor for name, tensor in changing(self.model).items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
        tensors |= {f"weighting.{key}": value for key, value in self.weighting.state_dict().items()}
        tensors |= {f"of_weighting.{index}": value for index, value in enumerate(self.of_weighting)}
        tensors |= {f"best.{name}": value for name, value in self.best.state.items()}
        tensors |= {"random.order": self.order.get_state(), "random.changes": self.changes.get_state()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        return TrainingState(copies, {"history": self.history.copy(), "best": self.best.score})

    def restore(self, done: TrainingState) -> None:
        """Go on from a state."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in done.tensors.items() if n.startswith(prefix)}

        self.model.load_state_dict(part("model."), strict=False)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part("optimizer.").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.weighting.load_state_dict({n: t.to(self.device) for n, t in part("weighting.").items()})
        with torch.no_grad():
            for number, parameter in enumerate(self.of_weighting):
                parameter.copy_(done.tensors[f"of_weighting.{number}"])
        self.order.set_state(done.tensors["random.order"])
        self.changes.set_state(done.tensors["random.changes"])
        torch.set_rng_state(done.tensors["random.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(done.tensors["random.cuda"], self.device)
        self.history = done.facts["history"]
        self.best.score, self.best.state = done.facts["best"], part("best.")


class _Best:
    """What changed in a model at its highest score so far, in the host's memory."""

    def __init__(self) -> None:
        self.score = -1.0
        self.state: dict[str, Tensor] = {}

    def offer(self, model: MultiTaskModel, score: float) -> None:
        if score > self.score:
            self.score = score
            self.state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in changing(model).items()}

    def restore(self, model: MultiTaskModel) -> None:
        if self.state:
            model.load_state_dict(self.state, strict=False)


def changing(model: MultiTaskModel) -> dict[str, Tensor]:
    """What a training changes of a model: trained parameters, and buffers."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}
