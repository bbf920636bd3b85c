"""Studies: validated at the edge, with messages that name key, value and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.results.paths import table_files
from pipeline.study.cells import cells_of, find_cell, schedule_of, trainings_of
from pipeline.study.datasets import dataset_settings, evaluated_on, leakage_datasets, titles_of
from pipeline.study.fingerprints import OF_TRAINING, cell_settings
from pipeline.study.folders import check_weights, dataset_folder, raw_roots
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Training
from pipeline.study.paper_cells import ablation_cells, cells_by_rank, leakage_pairs
from pipeline.study.robust_models import robustness_cells
from pipeline.training.model_settings import model_settings, training_settings
from pipeline.workflow.use_study import names_for_dvc

ROOT = Path(__file__).parents[3]
RESNET = {"resnet": {"label": "R", "model": "resnet26", "weights": "none"}}
VIT = {"label": "V", "model": "vit_small_patch14_dinov2", "weights": "hub"}
Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_kept_studies_are_valid(path: Path) -> None:
    study = load_study(path)
    assert study.name == path.stem and cells_of(study)
    assert len({cell.id for cell in cells_of(study)}) == len(cells_of(study))


def test_real_studies_share_their_trees() -> None:
    """Studies share built datasets: with other roots each would build them again after the other."""
    raw: dict[str, str] = {}
    for name in ("paper", "quick"):
        for source, root in load_study(ROOT / f"studies/{name}.yaml").raw.as_dict().items():
            assert raw.setdefault(source, root) == root, (name, source)


def test_the_default_study_is_the_demo() -> None:
    """As `endoarss use studies/demo.yaml` writes it."""
    demo = load_study(ROOT / "studies/demo.yaml")
    assert yaml.safe_load((ROOT / "params.yaml").read_text()) == json.loads(json.dumps(demo.as_dict()))
    assert yaml.safe_load((ROOT / ".dvc/study.yaml").read_text()) == names_for_dvc(demo)


def test_the_demo_is_what_it_promises() -> None:
    study = load_study(ROOT / "studies/demo.yaml")
    cells = [cell for cell in cells_of(study) if not cell.architecture.startswith("single")]
    pairs = {(cell.backbone, cell.architecture) for cell in cells}
    assert len(pairs) == 7 and len(trainings_of(study)) <= 14
    assert {cell.weighting for cell in trainings_of(study)} == {"equal", "moco", "stch", "db_mtl"}
    table6 = [
        cell.rank
        for cell in cells
        if cell.model[:3] == ("endoarss", "tesla", "db_mtl") and cell.dataset == "mtlendovis"
    ]
    assert sorted(table6) == [1, 4]
    assert len(robustness_cells(study)) == 3
    assert study.synthetic and str(dataset_folder(study, "mtlesd")) == "data/datasets/mtlesd-synthetic"


@pytest.mark.parametrize("name", ["paper", "demo_full"])
def test_the_papers_82_trainings_are_there(name: str) -> None:
    """36 combinations, two single tasks and three more ranks, on two datasets."""
    study = load_study(ROOT / f"studies/{name}.yaml")
    cells = [
        c for c in cells_of(study) if c.seed == 0 and c.dataset in ("mtlesd", "mtlendovis") and c.architecture != "hps"
    ]
    assert len(cells) == 82
    grid = {c.model[:3] for c in cells if c.rank == 4 and not c.architecture.startswith("single")}
    assert len(grid) == 36 and sum(c.rank != 4 for c in cells) == 6
    assert ablation_cells(study, "mtlendovis") and [sorted(model) for model in cells_by_rank(study, "mtlesd")] == [
        [1, 4, 8, 16]
    ]
    assert name == "paper" or len(cells_of(study)) == 82


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weightings": {"stch": {"warmup_epochs": "one"}}},
            "weightings.stch.warmup_epochs: 'one' is not allowed; expected a whole number",
        ),
        ({"weightings": {"db_mtl": {"beta": None}}}, "weightings.db_mtl.beta: None is not allowed; expected a number"),
        ({"architectures": {"mmoe": {"experts": "two"}}}, "architectures.mmoe.experts: 'two' is not allowed"),
    ],
)
def test_settings_of_components_have_a_type(changes: dict[str, Any], message: str, minimal: Make) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        make_study(minimal(**changes))


RANDOM_VIT = {**VIT, "weights": "none"}


@pytest.mark.parametrize(
    ("backbone", "given", "block", "message"),
    [
        (
            "dinov2",
            RANDOM_VIT,
            {"architectures": ["tesla"]},
            "tesla needs adapters, but dinov2 is a ViT with weights: none",
        ),
        (
            "resnet",
            {**RANDOM_VIT, "model": "resnet18"},
            {"architectures": ["task_adapters"]},
            "task_adapters on resnet: the tasks would share no trained parameter. Set backbones.resnet.sma: true",
        ),
        (
            "timm_features",
            {**RANDOM_VIT, "model": "convnext_tiny", "arguments": {"depth": 3}},
            {},
            "backbones.timm_features: arguments.'depth': not allowed for a convnext. Did you mean 'depths'?",
        ),
        (
            "timm_features",
            {**RANDOM_VIT, "model": "swin_tiny_patch4_window7_224"},
            {"ranks": [1, 4]},
            "ranks: hps on timm_f",
        ),
        (
            "timm_vit",
            {**RANDOM_VIT, "model": "vit_small_patch16_dinov3", "sma": True},
            {},
            "input_size: 64; SMA before vit_small_patch16_dinov3 needs a multiple of 7",
        ),
        ("dinov2", RANDOM_VIT, {"ranks": [1, 4]}, "ranks: hps on dinov2 has no low-rank adapters"),
        (
            "dinov2",
            {**RANDOM_VIT, "model": "resnet18"},
            {},
            "backbones.dinov2.model: 'resnet18'; expected a vision transformer",
        ),
        (
            "endoarss",
            {**RANDOM_VIT, "model": "vit_small_patch16_224"},
            {},
            "SMA before vit_small_patch16_224 needs a multiple of 7",
        ),
        (
            "dinov2",
            RANDOM_VIT,
            {"architectures": ["single_activity"], "weightings": ["moco"]},
            "'moco' with single_activity. A single-task model has only one loss",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(
    backbone: str, given: dict[str, Any], block: dict[str, Any], message: str, minimal: Make
) -> None:
    settings = minimal()
    settings["input_size"] = 64 if "patch16" in given["model"] else 56
    settings["backbones"][backbone] = given
    settings["cells"][0] = {**settings["cells"][0], "backbones": [backbone], "architectures": ["hps"], **block}
    with pytest.raises(InputError, match=re.escape(message)):
        make_study(settings)


def test_the_released_study_sets_every_switch() -> None:
    """Every default that spec'd differences of the authors' code touch is another one there."""
    released, default = load_study(ROOT / "studies/authors_code.yaml"), load_study(ROOT / "studies/paper.yaml")
    settings, paper = released.as_dict(), default.as_dict()
    for key in ("input_size", "normalisation", "align_corners", "heads"):
        assert settings.get(key) != paper.get(key), key
    for key in ("targets", "random_vectors"):
        assert settings["lora"][key] != paper["lora"][key], key
    for key in ("weights", "token_map", "sma_width", "sma_trained", "sma_residual", "network_size"):
        assert settings["backbones"]["endoarss"][key] != paper["backbones"]["endoarss"].get(key), key
    for key in ("model", "output_stride"):
        assert settings["backbones"]["resnet"][key] != paper["backbones"]["resnet"][key], key
    for key in ("batch_size", "drop_last", "weight_decay", "select_on", "schedules"):
        assert settings["training"][key] != paper["training"][key], key
    for key in ("mmoe", "dselect_k"):
        assert settings["architectures"][key] != paper["architectures"][key], key
    assert settings["weightings"]["moco"] == {"simplex": "softmax"}
    assert {cell.architecture for cell in cells_of(released)} == {"hps", "mmoe", "dselect_k"}
    assert all(cell.variant == "r4-s0-test" for cell in cells_of(released))


def test_the_switches_of_the_released_code_reach_models_and_trainings() -> None:
    study = load_study(ROOT / "studies/authors_code.yaml")
    cells = {(cell.backbone, cell.architecture): cell for cell in cells_of(study)}
    models = {pair: model_settings(study, cell, "0" * 64) for pair, cell in cells.items()}
    assert {pair[0]: model.seen_size for pair, model in models.items()} == {
        "resnet": 244,
        "dinov2": 224,
        "endoarss": 224,
    }
    assert all(model.align_corners and model.backbone_settings.lora.random_vectors for model in models.values())
    resnet = models["resnet", "dselect_k"]
    assert (resnet.backbone_settings.model, resnet.backbone_settings.output_stride) == ("resnet101.tv_in1k", 32)
    assert resnet.architecture_settings["selector_input"] == "raw_pixels"
    training = training_settings(study, cells["dinov2", "hps"])
    assert training.drop_last and training.weight_decay == 1e-4


def test_a_side_of_a_backbone_alone_is_checked(minimal: Make) -> None:
    settings = minimal(input_size=61)
    settings["backbones"] = {**settings["backbones"], "dinov2": {**VIT, "network_size": 57}}
    with pytest.raises(InputError, match=r"backbones.dinov2.network_size: 57; .* needs a multiple of 14"):
        make_study(settings)


def test_real_and_generated_data_have_folders_of_their_own() -> None:
    paper, demo = load_study(ROOT / "studies/paper.yaml"), load_study(ROOT / "studies/demo.yaml")
    assert not {dataset_folder(paper, d) for d in paper.datasets} & {dataset_folder(demo, d) for d in demo.datasets}


def test_defaults_are_filled_in_and_valid(minimal: Make) -> None:
    settings = make_study(minimal()).as_dict()
    assert settings["lora"] == {"rank": 4, "alpha": 0, "targets": ["q", "v"], "random_vectors": False}
    assert settings["seeds"] == [0]
    assert settings["heads"]["segmentation_channels"] == 256
    assert make_study(json.loads(json.dumps(settings))).as_dict() == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sead": [1]}, r"sead: unknown key. Did you mean 'seeds' or 'heads'\? Known keys: study, title"),
        ({"input_size": "big"}, "input_size: 'big' is not allowed"),
        ({"seeds": []}, r"seeds: \[\]"),
        ({"study": "My Study"}, "study: 'My Study' is not allowed"),
        ({"datasets": {"mtlesdd": {}}}, "datasets: unknown name 'mtlesdd'.*Known: mtlesd, mtlendovis"),
        (
            {"datasets": {"mtlesd": {"split": "random_by_activity"}}},
            "datasets.mtlesd.split: unknown name 'random_by_activity'.*Known: given",
        ),
        ({"weightings": {"nash_mtl": {}}}, "unknown weighting 'nash_mtl'.*Known: aligned_mtl"),
        ({"architectures": {"mtan": {}}}, "unknown architecture 'mtan'.*Known: .*dselect_k, hps"),
        (
            {"backbones": {"vgg": {"label": "V", "model": "vgg", "weights": "none"}}},
            "unknown backbone 'vgg'.*Known: dinov2",
        ),
        (
            {"raw": {}},
            "raw.esd: missing; the dataset mtlesd is built from this raw tree.*the data is available from the authors",
        ),
        (
            {"robustness": {"cells": [{}], "severities": [6]}},
            "robustness.severities.0: 6 is not allowed; expected a whole number from 1 to 5",
        ),
        (
            {"robustness": {"cells": [{}], "corruptions": ["fog"]}},
            "robustness.corruptions: unknown corruption 'fog'.*Known: gauss",
        ),
        (
            {"robustness": {"cells": [{"backbone": "dinov2"}]}},
            "robustness.cells.0.backbone: unknown name 'dinov2'. Known: resnet.",
        ),
        ({"weightings": {"stch": {"mew": 4}}}, "weightings.stch: unknown setting 'mew'.*Known: mu, warmup_epochs"),
        (
            {"architectures": {"mmoe": {"experst": 4}}},
            "architectures.mmoe: unknown setting 'experst'.*Known: experts, gate_input",
        ),
        ({"raw": {"generate": {"name": "toy"}, "esd": "x"}}, "raw: generate and esd exclude each other"),
        (
            {"datasets": {"mtlesd": {"test": ["a"]}}},
            "datasets.mtlesd.test: only a dataset with split: by_sequence uses this key",
        ),
        ({"input_size": 100, "backbones": {**RESNET, "dinov2": VIT}}, "input_size: 100; .* needs a multiple of 14"),
        (
            {"backbones": {**RESNET, "dinov2": {**VIT, "label": "R"}}},
            "backbones.resnet: the label 'R' cannot be used, because dinov2 has it too",
        ),
        (
            {"backbones": {"resnet": {**RESNET["resnet"], "label": "reference"}}},
            "backbones.resnet: the label 'reference' cannot be used, because it is reserved",
        ),
        (
            {"pretraining": {"name": "p", "backbone": "resnet", "scenes": 16, "epochs": 1}},
            "'resnet' is not a vision transformer",
        ),
        ({"robustness": {"cells": [{}], "severities": [1, 1]}}, "robustness.severities"),
        ({"training": {"schedules": {}}}, "training.schedules.mtlesd: missing, and cells.0 needs it"),
        ({"components": ["no_such_module"]}, "components: there is no module 'no_such_module'"),
        (
            {"backbones": {"resnet": {"label": "R", "model": "resnet26", "weights": "imagenet"}}},
            "backbones.resnet.weights",
        ),
    ],
)
def test_a_mistake_is_named(minimal: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_study(minimal(**changes))


def test_a_warm_up_needs_epochs_left(minimal: Make) -> None:
    settings = minimal()
    settings["cells"][0]["weightings"] = ["stch"]
    with pytest.raises(
        InputError, match="3 epochs for mtlesd/resnet, but stch has warmup_epochs 4; expected more than 5"
    ):
        make_study(settings)
    assert cells_of(make_study({**settings, "weightings": {"stch": {"warmup_epochs": 1}}}))


def test_the_most_particular_schedule_counts(minimal: Make) -> None:
    settings = minimal()
    settings["cells"][0]["architectures"] = ["hps", "mmoe"]
    settings["training"]["schedules"]["mtlesd/resnet/mmoe"] = {"epochs": 7, "learning_rate": 1}
    study = make_study(settings)
    assert [schedule_of(study, cell).epochs for cell in cells_of(study)] == [3, 7]
    settings["training"]["schedules"]["mtlesd/resnet"] = {"epochs": 5, "learning_rate": 1}
    study = make_study(settings)
    assert [schedule_of(study, cell).epochs for cell in cells_of(study)] == [5, 7]


@pytest.mark.parametrize("key", ["mtlesdd", "mtlesd/resnt", "mtlesd/resnet/hpss"])
def test_schedules_of_nothing_are_named(minimal: Make, key: str) -> None:
    settings = minimal()
    settings["training"]["schedules"][key] = {"epochs": 1, "learning_rate": 1}
    with pytest.raises(InputError, match="training.schedules: unknown name"):
        make_study(settings)


def test_a_schedule_of_one_weighting_is_refused(minimal: Make) -> None:
    settings = minimal()
    settings["training"]["schedules"]["mtlesd/resnet/hps/equal"] = {"epochs": 1, "learning_rate": 1}
    with pytest.raises(
        InputError,
        match="'mtlesd/resnet/hps/equal'; expected <dataset>, <dataset>/<backbone> or <dataset>/<backbone>/<architecture>",
    ):
        make_study(settings)


@pytest.mark.parametrize(("key", "name"), [("architectures", "mtan"), ("weightings", "moco2"), ("backbones", "vgg")])
def test_unknown_names_in_cells(minimal: Make, key: str, name: str) -> None:
    settings = minimal()
    settings["cells"][0][key] = [name]
    with pytest.raises(InputError, match=f"unknown .* '{name}'.*Known: "):
        make_study(settings)


def test_files_that_are_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such study"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match=r"bad.yaml, line 1: not YAML"):
        load_study(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(InputError, match=r"list.yaml: holds no keys"):
        load_study(tmp_path / "list.yaml")


def test_environment_variables_in_paths(minimal: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(minimal(raw={"esd": "${TOY_DATA}/esd"}))
    monkeypatch.setenv("TOY_DATA", "somewhere")
    assert raw_roots(study)["esd"] == Path("somewhere/esd")
    monkeypatch.delenv("TOY_DATA")
    with pytest.raises(InputError, match="the environment variable TOY_DATA is not set"):
        raw_roots(study)


def test_every_key_of_training_decides_a_model_or_is_known_to_decide_none() -> None:
    """A new key that no fingerprint holds would retrain nothing."""
    decides_nothing = {"checkpoint_every", "cells_per_gpu", "tensorboard"}
    told_by_cell = {"select_on", "score_every", "schedules"}
    assert {*OF_TRAINING, *told_by_cell, *decides_nothing} == set(Training.model_fields)


def test_settings_of_a_cell_are_what_it_depends_on(minimal: Make) -> None:
    base = make_study(minimal())
    (cell,) = cells_of(base)
    same = make_study(minimal(title="Another", seeds=[0, 1]))
    assert cell_settings(same, cell) == cell_settings(base, cell)
    other = make_study(minimal(input_size=112))
    assert cell_settings(other, cell) != cell_settings(base, cell)
    assert len(cells_of(same)) == 2
    with pytest.raises(InputError, match=r"has no cell 'x'. Its first cells: mtlesd/resnet/hps/equal/r4-s0"):
        find_cell(base, "x")


def test_one_kind_under_two_names(minimal: Make) -> None:
    """The same frames with another split: own folder, own cells, and evaluated on Gen under the kind's own name alone."""
    given = {"mtlendovis": {}, "mtlendovis_gen": {}, "by_video": {"kind": "mtlendovis", "split": "by_sequence"}}
    settings = minimal(raw={"generate": {"name": "toy"}}, datasets=given)
    settings["training"] = {
        "schedules": {key: {"epochs": 3, "learning_rate": 0.1} for key in ("mtlendovis", "by_video")}
    }
    settings["cells"][0]["datasets"] = ["mtlendovis", "by_video"]
    study = make_study(settings)
    assert titles_of(study) == {
        "mtlendovis": "MTLEndovis",
        "mtlendovis_gen": "MTLEndovis-Gen",
        "by_video": "MTLEndovis, by sequence",
    }
    assert dataset_settings(study, "by_video")["test"] == ["seq_1", "seq_5", "seq_16"]
    assert evaluated_on(study, "mtlendovis") == ("mtlendovis", "mtlendovis_gen")
    assert evaluated_on(study, "by_video") == ("by_video",)
    ((published, by_sequence),) = leakage_pairs(study)
    assert (published.dataset, by_sequence.dataset) == (
        "mtlendovis",
        "by_video",
    ) and published.model == by_sequence.model
    assert leakage_datasets(study) == ("mtlendovis",)


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        (
            {"mtlesd": {"kind": "mtlendovis"}},
            "datasets.mtlesd.kind: 'mtlendovis'; a dataset with the name of a known kind",
        ),
        ({"x": {"kind": "mtlendovis_gen"}}, "datasets.x.kind: 'mtlendovis_gen' is for evaluation only"),
        ({"x": {"kind": "nothing"}}, "datasets.x.kind: unknown name 'nothing'.*Known: mtlesd"),
        ({"My Data": {"kind": "mtlesd"}}, "datasets"),
    ],
)
def test_kinds_are_checked(minimal: Make, datasets: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_study(minimal(datasets=datasets))


def test_a_validation_variant_has_a_name_of_its_own(minimal: Make) -> None:
    settings = minimal()
    settings["training"]["select_on"] = "val"
    (cell,) = cells_of(make_study(settings))
    assert cell.variant == "r4-s0-val" and cell.id.endswith("/r4-s0-val")
    settings["training"]["select_on"] = "best"
    with pytest.raises(InputError, match="training.select_on: 'best' is not allowed"):
        make_study(settings)


def test_a_file_of_weights_that_is_not_there_is_named(
    minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake leaves out a job that lacks a file which nobody makes, if its outputs are there: it would never run again."""
    monkeypatch.chdir(tmp_path)
    backbones = {"resnet": {**RESNET["resnet"], "weights": {"file": "data/weights/own.safetensors"}}}
    study = make_study(minimal(backbones=backbones))
    with pytest.raises(InputError, match=r"backbones\.resnet\.weights\.file: data/weights/own\.safetensors is missing"):
        check_weights(study)
    Path("data/weights").mkdir(parents=True)
    Path("data/weights/own.safetensors").touch()
    check_weights(study)


def test_scores_on_the_way_are_a_setting_of_the_training(minimal: Callable[..., dict[str, Any]]) -> None:
    """They stand in its history, whatever chooses the epoch."""
    found = []
    for every in (None, 1, 2):
        given = minimal()
        given["training"] |= {} if every is None else {"score_every": every}
        study = make_study(given)
        found.append(cell_settings(study, cells_of(study)[0])["score_every"])
    assert found == [None, 1, 2]


def test_ranks_of_another_model_are_not_set_beside_the_papers(minimal: Callable[..., dict[str, Any]]) -> None:
    (cells,) = minimal()["cells"]
    study = make_study(minimal(backbones={"dinov2": VIT}, cells=[{**cells, "backbones": ["dinov2"], "ranks": [4, 8]}]))
    names = {path.stem for path in table_files(study)}
    assert "table6_rank" in names and "table6_rank_against_paper" not in names


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"model": "hf-hub:timm/resnet26"}, "backbones.resnet: timm model 'hf-hub:timm/resnet26'; expected the name"),
        (
            {"arguments": {"cache_dir": "/tmp/x"}},
            "backbones.resnet: arguments.'cache_dir': not allowed for a resnet. Allowed: ",
        ),
        ({"arguments": {"pretrained_cfg": {"url": "file:///etc/passwd"}}}, "arguments.'pretrained_cfg': not allowed"),
        ({"arguments": {"channels": [8]}}, "arguments.channels: .* is not allowed"),
    ],
)
def test_what_may_not_reach_timm_is_refused_when_the_study_is_read(
    minimal: Callable[..., dict[str, Any]], backbone: dict[str, Any], message: str
) -> None:
    given = {"label": "R", "model": "resnet26", "weights": "none", **backbone}
    with pytest.raises(InputError, match=message):
        make_study(minimal(backbones={"resnet": given}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)),
            "line 5: expands to more than 50,000 values",
        ),
        ("a: &a [*a]", r"line 1: \*a refers to an anchor that is not defined before it, or to itself"),
        ("a: " + "[" * 20_000, "line 1: nested more than 40 levels deep"),
        ("a: " + "9" * 5000, "line 1: 99999999999999999999... is a number of more"),
        ("study: a\nseeds: [0]\nstudy: b", "line 3: the key 'study' occurs twice, here and in line 1"),
        ("lora:\n  rank: 4\n  alpha: 2\n  rank: 8", "line 4: the key 'rank' occurs twice, here and in line 2"),
        ("__use_yte__: true\na: ?1+1", "with the key __use_yte__, Snakemake would run"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("x" * 300_000, "300,000 bytes; expected a text of at most 262,144"),
    ],
)
def test_a_studys_text_is_bounded_before_it_is_expanded(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_study(path)


def test_a_name_with_a_newline_is_no_name(minimal: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="study: 'demo.n' is not allowed"):
        make_study(minimal(study="demo\n"))
