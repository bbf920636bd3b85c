"""Pretrain a small ViT on generated scenes. The demo uses this ViT instead of DINOv2, so that it downloads no weights."""

from __future__ import annotations

from typing import Any

from endoarss.data import LabelledImages
from endoarss.devices import choose_device
from endoarss.models import build_model
from endoarss.saving import save_tensors
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train
from pipeline.errors import InputError
from pipeline.io.files import whole_file
from pipeline.io.hashing import sha256_of
from pipeline.results.provenance import RunStart, about_run, write_provenance
from pipeline.sources.synthetic.pretraining import ACTIVITIES, CLASSES, generate_scenes
from pipeline.study.fingerprints import pretraining_settings
from pipeline.study.folders import pretrained_file
from pipeline.study.models import Study


def pretrain_backbone(study: Study) -> None:
    """Train all weights of a ViT on activities and masks of scenes that no dataset contains, and save the ViT without heads.

    Raises:
        InputError: if the study has no pretraining.
    """
    run, path = RunStart(), pretrained_file(study)
    if path is None:
        raise InputError(f"study {study.name!r} has no key pretraining, so there is no backbone to pretrain.")
    settings = pretraining_settings(study)
    size = settings["input_size"]
    images, masks, activities = generate_scenes(settings["scenes"], size, settings["seed"])
    seed_everything(settings["seed"])
    model = build_model(
        ModelSettings.from_dict(
            {
                "backbone": "dinov2",  # the ViT without SMA
                "architecture": "hps",
                "classes": CLASSES,
                "activities": ACTIVITIES,
                "input_size": size,
                "backbone_settings": {
                    "model": settings["model"],
                    "arguments": settings["arguments"],
                    "weights": {"source": "none"},
                },
                "heads": {"segmentation_channels": 64, "activity_channels": 64, "atrous_rates": ()},
            }
        )
    )
    training = TrainingSettings(settings["epochs"], settings["learning_rate"], 16, seed=settings["seed"])
    history = train(model, LabelledImages(images, masks, activities), training, choose_device(), "pretrain")
    vit: Any = model.backbone.encoders[0].vit
    state = {name: tensor.cpu().contiguous() for name, tensor in vit.state_dict().items()}
    # Time and machine are in a file of their own, so that equal weights give equal files.
    with whole_file(path) as partial:
        save_tensors(state, partial)
    entries = {
        **about_run(study, run, datasets=()),
        "synthetic": True,
        "pretraining": settings,
        "seed": settings["seed"],
        "last_epoch": history[-1],
        "sha256": sha256_of(path),
    }
    write_provenance(path.with_suffix(".json"), entries)
