"""Pretrain a small ViT on generated scenes: the demo's substitute for DINOv2, because the demo downloads nothing."""

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
    """Train the full ViT on activities and masks of scenes that no dataset contains, and save the ViT without heads.

    Raises:
        InputError: if the study has no pretraining.
    """
    run, path = RunStart(), pretrained_file(study)
    if path is None:
        raise InputError(f"study {study.name!r} has no pretraining.")
    given = pretraining_settings(study)
    size = given["input_size"]
    images, masks, activities = generate_scenes(given["scenes"], size, given["seed"])
    seed_everything(given["seed"])
    model = build_model(
        ModelSettings.from_dict(
            {
                "backbone": "dinov2",  # the plain ViT, without what is added in front of it later
                "architecture": "hps",
                "classes": CLASSES,
                "activities": ACTIVITIES,
                "input_size": size,
                "backbone_settings": {
                    "model": given["model"],
                    "arguments": given["arguments"],
                    "weights": {"source": "none"},
                },
                "heads": {"segmentation_channels": 64, "activity_channels": 64, "atrous_rates": ()},
            }
        )
    )
    training = TrainingSettings(given["epochs"], given["learning_rate"], 16, seed=given["seed"])
    history = train(model, LabelledImages(images, masks, activities), training, choose_device(), "pretrain")
    vit: Any = model.backbone.encoders[0].vit
    state = {name: tensor.cpu().contiguous() for name, tensor in vit.state_dict().items()}
    # Time and machine are stored next to the weights, so that equal weights are equal bytes.
    with whole_file(path) as partial:
        save_tensors(state, partial)
    about = {
        **about_run(study, run, datasets=()),
        "synthetic": True,
        "pretraining": given,
        "seed": given["seed"],
        "last_epoch": history[-1],
        "sha256": sha256_of(path),
    }
    write_provenance(path.with_suffix(".json"), about)
