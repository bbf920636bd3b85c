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
from endoarss.gradients import TrainedParameters, backward
from endoarss.history import Epoch
from endoarss.labels import IGNORED
from endoarss.models import MultiTaskModel
from endoarss.registry import WEIGHTINGS, check_settings
from endoarss.resume import ResumeFolder, TrainingState
from endoarss.settings import ACTIVITY
from endoarss.weightings.base import GradientWeighting, LossWeighting, Weighting
from endoarss.weightings.returned import ReturnedValueError
from endoarss.weightings.trained_parameters import check_all_trained, check_gradients_set

History = list[dict[str, float]]
_NO_AUGMENTATION = AugmentationSettings()


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training with Adam (section IV-B of the paper), whose learning rate is constant or decays in steps.

    Attributes:
        epochs: the number of epochs.
        learning_rate: Adam's learning rate.
        batch_size: the number of images in a batch.
        weighting: the registered name of the weighting.
        weighting_settings: the settings of the weighting.
        seed: the seed of the order of the images, the augmentation and the weighting.
        decay_every: the learning rate is multiplied by `decay_factor` once every `decay_every` epochs; 0 means never.
        decay_factor: the factor, see `decay_every`.
        weight_decay: Adam's weight decay, which is added to the gradient.
        drop_last: whether to leave out the last batch of an epoch if it is smaller than the others.
        augmentation: random changes of the training images.
        corruption: a corruption of training images before their augmentation, or None.
        precision: "float32", "bf16" (autocast), or "auto" for bf16 on a GPU only.
        compile: whether to use torch.compile; None means on a GPU only.
        checkpoint_every: the number of epochs between two saved states.
        validate_every: the number of epochs between two validations.
        deterministic: whether all runs on a GPU give the same bits, see `devices.choose_kernels`.
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
    augmentation: AugmentationSettings = _NO_AUGMENTATION
    corruption: ImageCorruption | None = None
    precision: str = "auto"
    compile: bool | None = None
    checkpoint_every: int = 1
    validate_every: int = 1
    deterministic: bool = False

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch.

        Args:
            epoch: the epoch, counted from 0.
        """
        steps = epoch // self.decay_every if self.decay_every else 0
        return self.learning_rate * self.decay_factor**steps


def seed_everything(seed: int) -> None:
    """Seed torch's global generator, which draws initial weights and dropout.

    Args:
        seed: the seed.
    """
    torch.manual_seed(seed)


def make_weighting(settings: TrainingSettings, tasks: tuple[str, ...]) -> Weighting:
    """Return the weighting of a training.

    Args:
        settings: the settings of the training.
        tasks: the tasks of the model, in its order.

    Raises:
        UnknownNameError: if no weighting of that name is registered.
        SettingsError: if the weighting does not accept its settings, is neither a `LossWeighting` nor a `GradientWeighting`, or has tensors
            with `requires_grad` that nothing trains.
    """
    make = WEIGHTINGS.get(settings.weighting)
    check_settings("weightings", settings.weighting, settings.weighting_settings)
    try:
        weighting = make(tasks, settings.epochs, **settings.weighting_settings)
    except TypeError as error:
        raise SettingsError(f"weighting {settings.weighting!r}: {error}") from None
    if not isinstance(weighting, LossWeighting | GradientWeighting):
        raise SettingsError(
            f"weighting {settings.weighting!r}: {type(weighting).__name__} is not a weighting; expected a subclass of LossWeighting or "
            "GradientWeighting from endoarss.weightings.base."
        )
    weighting.seed(settings.seed + 2)  # the training's two generators use seed and seed + 1
    check_all_trained(settings.weighting, weighting, weighting.parameters())
    return weighting


def task_losses(
    outputs: dict[str, Tensor], masks: Tensor, activities: Tensor | None, ignores: bool = False
) -> dict[str, Tensor]:
    """Return the cross-entropy of each task: the mean over images for the activity, the mean over pixels with a class for the segmentation.

    Args:
        outputs: logits by task: (B, K) for K activities, (B, C, S, S) for C segmentation classes.
        masks: int64 (B, S, S), class ids or `IGNORED`.
        activities: int64 (B,), or None.
        ignores: whether masks may contain ignored pixels. If so, the segmentation loss of a batch without other pixels is 0.

    Returns:
        Scalars by task.
    """
    losses = {}
    for task, logits in outputs.items():
        if task == ACTIVITY:
            assert activities is not None, "a model with activities needs data with activities"
            losses[task] = F.cross_entropy(logits, activities)
        else:
            loss = _mean_over_pixels(logits, masks)
            # If all pixels are ignored, the mean is 0/0. `torch.where` replaces it without waiting for the device.
            losses[task] = torch.where((masks == IGNORED).all(), torch.zeros_like(loss), loss) if ignores else loss
    return losses


def _mean_over_pixels(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the mean cross-entropy over the pixels that have a class; NaN if there are none."""
    if logits.is_cuda and torch.are_deterministic_algorithms_enabled():
        # For this mean, torch's own kernel adds in any order, and it has no deterministic version.
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
        model: a model that was built after `seed_everything(settings.seed)`, so that the seed decides its initial weights.
        data: the training split.
        settings: the schedule and the weighting.
        device: the device to train on.
        label: the name of the training in the progress bar and in errors.
        validate: a function that returns the model's score; it is called every `validate_every` epochs and after the last epoch.
        choose: True for the parameters of the epoch with the highest score (of equal scores, the earliest), False for the last epoch's.
        resume: the folder of saved states, or None. A training continues from the last state; on a CPU, the result has the same bits.
        observe: a function that is called with each row of the history when its epoch is complete.

    Returns:
        One row per epoch, with the columns epoch, seconds, images_per_second, memory_mib and learning_rate; loss and weight per task; with
        several tasks, gradient_norm per task and the cosine of each pair of tasks; the measures of the architecture; and validation in the
        epochs that were validated. Norms and cosines belong to the gradients of the raw losses with respect to the shared parameters. If
        the weighting works on gradients, they are means over all steps of the epoch; otherwise they are the values of its first step.

    Raises:
        TrainingError: if a loss or a trained parameter is not finite, or memory runs out.
        SettingsError: if there are too few images, or the weighting cannot be used.
        OSError: if a state cannot be saved.
    """
    _check_enough(len(data), settings)
    with memory_explained(label, device, _settings_that_reduce_memory(model, settings)) as where:
        run = _Run(model, data, settings, device, label)
        saved = resume.load() if resume is not None else None
        if saved is not None:
            run.restore(saved)
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
        raise SettingsError(f"there are {images} training image(s); expected at least 2.")
    if settings.drop_last and images < settings.batch_size:
        raise SettingsError(
            f"there are {images} training images with batch_size {settings.batch_size} and drop_last; expected at least one whole batch."
        )


def _settings_that_reduce_memory(model: MultiTaskModel, settings: TrainingSettings) -> str:
    """Return the settings that reduce memory, for the message when memory runs out."""
    return (
        f"training.batch_size (now {settings.batch_size}), training.precision: bf16 (now {settings.precision}), "
        f"training.cells_per_gpu, input_size (now {model.settings.input_size}), sma_width and output_stride of the backbone, "
        "experts of the architecture"
    )


class _Run:
    """The state of a running training: everything that changes from step to step."""

    def __init__(
        self, model: MultiTaskModel, data: LabelledImages, settings: TrainingSettings, device: torch.device, label: str
    ) -> None:
        self.model, self.settings, self.device, self.label = model, settings, device, label
        self.order_generator = torch.Generator().manual_seed(settings.seed)
        self.augmentation_generator = torch.Generator().manual_seed(settings.seed + 1)
        with device:
            self.weighting = make_weighting(settings, model.tasks)
        self.weighting_parameters = list(self.weighting.parameters())
        model.to(device).train()
        model.precision = settings.precision
        choose_kernels(settings.deterministic)
        compiles = settings.compile or (settings.compile is None and device.type == "cuda")
        self.compiled = CompiledSteps(model, model.backbone.front) if compiles else nullcontext()
        self.data, self.ignores = ImagesOnDevice(data, device), data.ignores
        self.trained = TrainedParameters(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        rate, decay = settings.learning_rate, settings.weight_decay
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate, weight_decay=decay, fused=True)
        if self.weighting_parameters:
            self.optimizer.add_param_group({"params": self.weighting_parameters, "weight_decay": 0.0})
        self.history: History = []
        self.best = _Best()
        self.images: Tensor  # of the last step

    def epoch(self, number: int, where: list[str]) -> dict[str, float]:
        """Train for one epoch and return its row of the history.

        Args:
            number: the epoch, counted from 0.
            where: a list whose only entry names the current step; it is updated.

        Raises:
            TrainingError: if a loss is not finite, or a parameter is not finite at the end of the epoch.
            SettingsError: if the weighting returns a wrong value, or has tensors with `requires_grad` that nothing trains.
        """
        epoch = self.steps(number, where)
        check_gradients_set(self.settings.weighting, self.weighting_parameters)
        # Checked again, because steps may create tensors.
        check_all_trained(self.settings.weighting, self.weighting, self.weighting_parameters)
        row = epoch.row(self.settings.rate(number), self.device)
        with torch.no_grad():
            row |= {name: float(value) for name, value in self.model.measures(self.images).items()}
        if not math.isfinite(float(self.sum_of_norms())):
            raise TrainingError(
                f"{self.label}: trained parameters are not finite after epoch {number + 1}, although its losses were finite. A lower "
                "learning rate may help."
            )
        return row

    def steps(self, number: int, where: list[str]) -> Epoch:
        """Run the steps of one epoch. No step waits for a result of the GPU, because the GPU would be idle meanwhile."""
        self.model.train()
        self.weighting.start_epoch(number)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(number)
        epoch = Epoch(number, self.model.tasks, self.label)
        batches = self.data.epoch(self.settings.batch_size, self.order_generator, self.settings.drop_last)
        with self.compiled:
            for index, batch in enumerate(batches):
                where[0] = f"epoch {number + 1}, step {index + 1}"
                self._step(epoch, batch, first=index == 0)
        return epoch

    def sum_of_norms(self) -> Tensor:
        """Return the sum of the norms of the trained parameters, a scalar that is finite only if all parameters are."""
        parameters = [p.detach() for p in (*self.parameters, *self.weighting_parameters)]
        return torch.stack(torch._foreach_norm(parameters)).sum()

    def _step(self, epoch: Epoch, loaded: Batch, first: bool) -> None:
        corruption = self.settings.corruption
        batch = loaded if corruption is None else corrupt_images(loaded, corruption, self.augmentation_generator)
        batch = augment(batch, self.settings.augmentation, self.augmentation_generator)
        images = self.images = normalise(batch.images, self.model.settings.normalisation)

        def losses_of(outputs: dict[str, Tensor]) -> list[Tensor]:
            losses = task_losses(outputs, batch.masks, batch.activities, self.ignores)
            penalties = self.model.penalties(images)
            return [losses[t] + penalties[t] if t in penalties else losses[t] for t in self.model.tasks]

        self.optimizer.zero_grad(set_to_none=True)
        try:
            step = backward(self.model, self.trained, self.weighting, images, losses_of, measure=first)
        except ReturnedValueError as error:
            raise SettingsError(f"weighting {self.settings.weighting!r}: {error}") from None
        epoch.add(step, len(images))
        self.optimizer.step()
        if self.weighting.losses_after_step:
            with torch.no_grad():
                self.weighting.after_step(torch.stack(losses_of(self.model(images))))

    def state(self) -> TrainingState:
        """Return a copy of the whole state in the host's memory."""
        tensors = {f"model.{name}": tensor for name, tensor in changing(self.model).items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
        tensors |= {f"weighting.{key}": value for key, value in self.weighting.state_dict().items()}
        tensors |= {f"of_weighting.{index}": value for index, value in enumerate(self.weighting_parameters)}
        tensors |= {f"best.{name}": value for name, value in self.best.state.items()}
        tensors["random.order"] = self.order_generator.get_state()
        tensors["random.changes"] = self.augmentation_generator.get_state()
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        return TrainingState(copies, {"history": self.history.copy(), "best": self.best.score})

    def restore(self, saved: TrainingState) -> None:
        """Restore a saved state."""

        def tensors_of(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in saved.tensors.items() if n.startswith(prefix)}

        self.model.load_state_dict(tensors_of("model."), strict=False)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors_of("optimizer.").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.weighting.load_state_dict({n: t.to(self.device) for n, t in tensors_of("weighting.").items()})
        with torch.no_grad():
            for number, parameter in enumerate(self.weighting_parameters):
                parameter.copy_(saved.tensors[f"of_weighting.{number}"])
        self.order_generator.set_state(saved.tensors["random.order"])
        self.augmentation_generator.set_state(saved.tensors["random.changes"])
        torch.set_rng_state(saved.tensors["random.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(saved.tensors["random.cuda"], self.device)
        self.history = saved.facts["history"]
        self.best.score, self.best.state = saved.facts["best"], tensors_of("best.")


class _Best:
    """The trained values of a model at its highest score so far, in the host's memory."""

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
    """Return the tensors that training changes: trained parameters and buffers.

    Args:
        model: the model.

    Returns:
        The tensors by their names in the state dict.
    """
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}
