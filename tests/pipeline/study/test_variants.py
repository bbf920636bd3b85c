"""Variants: the same kind several times in one study, under names of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from endoarss.registry import WEIGHTINGS, register_weighting
from endoarss.weightings.equal import EqualWeighting
from pipeline.errors import InputError
from pipeline.reporting.captions import has_other_ranks
from pipeline.reporting.models import asked_for_claims, label_of
from pipeline.reporting.tables.paper_tables import _note, labels_of_paper
from pipeline.reporting.tables.score_tables import _note_on_incomplete_ablations
from pipeline.results.paths import tables_against_paper
from pipeline.status.list_study import list_study
from pipeline.study.cells import cells_of, find_cell
from pipeline.study.fingerprints import cell_settings
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Study
from pipeline.study.paper_cells import PaperNames, ablation_cells, cells_by_rank, stand_ins
from pipeline.study.variants import has_adapters
from pipeline.training.model_settings import model_settings, training_settings
from pipeline.workflow.step_code import code_of_cells
from reports.statistics.claim_scores import Model

Make = Callable[..., dict[str, Any]]
VIT = {"weights": {"file": "vit.safetensors"}, "model": "vit_small_patch14_dinov2"}


@pytest.fixture
def study(minimal: Make) -> Study:
    return make_study(
        minimal(
            compare_with_paper=True,
            backbones={
                "dinov2_s": {"kind": "dinov2", "label": "ViT-S", **VIT},
                "dinov2_b": {"kind": "dinov2", "label": "ViT-B", **VIT, "model": "vit_base_patch14_dinov2"},
                "resnet": {"label": "R", "model": "resnet26", "weights": "none"},
            },
            architectures={"mmoe4": {"kind": "mmoe", "label": "MMoE, 4 experts", "experts": 4}, "mmoe": {"experts": 2}},
            weightings={"db_mtl": {"beta": 0.9}, "db_mtl_05": {"kind": "db_mtl", "beta": "5e-1"}},
            cells=[
                {
                    "datasets": ["mtlesd"],
                    "backbones": ["dinov2_s", "dinov2_b", "resnet"],
                    "architectures": ["mmoe4", "mmoe", "tesla"],
                    "weightings": ["db_mtl_05", "db_mtl"],
                },
                {
                    "datasets": ["mtlesd"],
                    "backbones": ["dinov2_b"],
                    "architectures": ["tesla"],
                    "weightings": ["db_mtl_05", "db_mtl"],
                    "ranks": [1, 8],
                },
            ],
        )
    )


def test_each_variant_is_a_model_of_its_own(study: Study) -> None:
    assert len(cells_of(study)) == 18 + 4
    cell = find_cell(study, "mtlesd/dinov2_b/mmoe4/db_mtl_05/r4-s0")
    model, training = model_settings(study, cell), training_settings(study, cell)
    assert (model.backbone, model.architecture, model.architecture_settings) == ("dinov2", "mmoe", {"experts": 4})
    assert model.backbone_settings.model == "vit_base_patch14_dinov2"
    assert (training.weighting, training.weighting_settings) == ("db_mtl", {"beta": 0.5})
    assert label_of(study, cell) == "ViT-B MMoE, 4 experts db_mtl_05", "a variant without a label is called by its name"
    assert len({str(cell_settings(study, one)) for one in cells_of(study)}) == len(cells_of(study))
    code = code_of_cells("pipeline.training.train_cell", study, cell)
    assert {"endoarss/weightings/db_mtl.py", "endoarss/architectures/mmoe.py", "endoarss/backbones/dinov2.py"} <= set(
        code
    )


def test_a_label_decides_nothing(study: Study, minimal: Make) -> None:
    cell = find_cell(study, "mtlesd/dinov2_b/mmoe4/db_mtl_05/r4-s0")
    settings = study.as_dict()
    settings["weightings"]["db_mtl_05"]["label"] = "DB-MTL, beta 0.5"
    other = make_study(settings)
    assert cell_settings(other, cell) == cell_settings(study, cell)
    assert label_of(other, cell) == "ViT-B MMoE, 4 experts DB-MTL, beta 0.5"


def test_what_is_named_like_the_paper_or_comes_first_is_compared_with_it(study: Study) -> None:
    names = PaperNames(study)
    assert names.backbones == {"dinov2_s": "dinov2", "resnet": "resnet"}, "of two without the kind's name the first"
    assert names.weightings == {"db_mtl": "db_mtl"} and names.architectures == {"mmoe": "mmoe", "tesla": "tesla"}
    assert names.of(find_cell(study, "mtlesd/dinov2_s/mmoe/db_mtl/r4-s0")) == ("dinov2", "mmoe", "db_mtl")
    assert names.of(find_cell(study, "mtlesd/dinov2_b/mmoe4/db_mtl_05/r4-s0")) == ("dinov2_b", "mmoe4", "db_mtl_05")
    assert labels_of_paper(study, names).model("dinov2", "mmoe", "db_mtl") == "ViT-S MMoE DB-MTL"
    asked = asked_for_claims(study, "mtlesd")
    assert Model("dinov2", "mmoe", "db_mtl", 4) in asked and Model("dinov2_b", "mmoe4", "db_mtl_05", 4) in asked
    assert "table2_mtlesd_against_paper" in tables_against_paper(study)


def test_a_table_says_which_models_stand_for_the_papers(study: Study) -> None:
    assert stand_ins(study) == "R stands for the paper's ResNet101; ViT-S stands for the paper's DINOv2."
    assert stand_ins(study, ["endoarss"]) == "", "the study has none"
    assert _note(study, "table2_mtlesd").startswith(
        f"Our scores come from SYNTHETIC data and say nothing about the paper's. {stand_ins(study)}"
    )
    assert "ResNet101" in _note(study, "table7_robustness") and "DINOv2" not in _note(study, "table7_robustness")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, ""),
        ({"weights": {"file": "vit.safetensors"}}, ""),
        ({"weights": "none"}, "V without pretrained weights stands for the paper's DINOv2."),
        ({"arguments": {"depth": 4}}, "V stands for the paper's DINOv2."),
        ({"model": "vit_small_patch14_dinov2"}, "V stands for the paper's DINOv2."),
    ],
)
def test_the_papers_own_model_stands_for_nothing(minimal: Make, changes: dict[str, Any], sentence: str) -> None:
    vit = {"label": "V", "model": "vit_base_patch14_dinov2.lvd142m", "weights": "hub"}
    cells = [{"datasets": ["mtlesd"], "backbones": ["dinov2"], "architectures": ["hps"], "weightings": ["db_mtl"]}]
    unused = {"resnet": {"label": "R", "model": "resnet26", "weights": "none"}}
    assert stand_ins(make_study(minimal(backbones={"dinov2": vit | changes, **unused}, cells=cells))) == sentence


def test_weights_pretrained_on_generated_scenes_are_named(minimal: Make) -> None:
    cells = [{"datasets": ["mtlesd"], "backbones": ["dinov2"], "architectures": ["tesla"], "weightings": ["db_mtl"]}]
    file = "data/weights/own.safetensors"
    vit = {"label": "V", "model": "vit_base_patch14_dinov2", "weights": {"file": file}}
    pretraining = {"name": "own", "backbone": "dinov2", "scenes": 16, "epochs": 1}
    study = make_study(minimal(backbones={"dinov2": vit}, pretraining=pretraining, cells=cells))
    assert stand_ins(study) == f"V with the weights {file} stands for the paper's DINOv2."


def test_a_study_of_variants_alone_has_the_papers_tables(minimal: Make) -> None:
    study = make_study(
        minimal(
            backbones={
                "r101": {"kind": "resnet", "label": "R", "model": "resnet101", "weights": "none"},
                "vit": {"kind": "dinov2", "label": "V", **VIT},
                "ours": {"kind": "endoarss", "label": "O", **VIT},
            },
            weightings={"balanced": {"kind": "db_mtl"}},
            cells=[
                {
                    "datasets": ["mtlesd"],
                    "backbones": ["r101", "vit", "ours"],
                    "architectures": ["mmoe", "tesla"],
                    "weightings": ["balanced"],
                }
            ],
        )
    )
    cells = ablation_cells(study, "mtlesd")
    assert len(cells) == 6 and cells["endoarss", "tesla"].backbone == "ours"


def test_every_model_that_differs_by_rank_alone_is_shown(study: Study) -> None:
    models = cells_by_rank(study, "mtlesd")
    assert [sorted(model) for model in models] == [[1, 4, 8]] * 2
    assert [model[8].weighting for model in models] == ["db_mtl", "db_mtl_05"]


def test_the_list_says_kinds_sources_and_variants(study: Study) -> None:
    said = list_study(study)
    assert re.search(r"(?m)^  db_mtl +endoarss/weightings/db_mtl\.py$", said)
    assert "  weightings.db_mtl_05: db_mtl {beta: 0.5}\n" in said
    assert "  backbones.dinov2_b: dinov2, vit_base_patch14_dinov2\n" in said and "mmoe: mmoe" not in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weightings": {"mine": {"beta": 0.5}}}, "weightings: unknown weighting 'mine'. Known: "),
        (
            {"weightings": {"mine": {"kind": "db"}}},
            "weightings.mine.kind: unknown weighting 'db'. Known: aligned_mtl",
        ),
        (
            {"weightings": {"mine": {"kind": "db_mtl", "betta": 1}}},
            "weightings.mine: unknown setting 'betta'. Did you mean 'beta'?",
        ),
        (
            {"weightings": {"moco": {"kind": "db_mtl"}}},
            "a weighting with the name of a registered one must be of that kind",
        ),
        (
            {"weightings": {"Mine": {"kind": "db_mtl"}}},
            "weightings.Mine: this name is not allowed; expected lower-case letters",
        ),
        (
            {"architectures": {"one": {"kind": "single_activity"}}},
            "architectures.one.kind: 'single_activity' cannot have variants",
        ),
        (
            {"weightings": {"mine": {"kind": "db_mtl", "label": "DB-MTL"}}},
            "weightings.mine: the label 'DB-MTL' cannot be used, because db_mtl has it too",
        ),
        (
            {"backbones": {"mine": {"label": "R", "model": "resnet26", "weights": "none"}}},
            "backbones: unknown backbone 'mine'. Known: ",
        ),
    ],
)
def test_what_is_wrong_with_a_variant_is_said(minimal: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        make_study(minimal(**changes))
    assert message in str(error.value)


def test_a_setting_that_no_study_could_give_is_refused(minimal: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WEIGHTINGS, "_imported", dict(WEIGHTINGS._imported))

    @register_weighting("labelled")
    class Labelled(EqualWeighting):
        def __init__(self, tasks: Sequence[str], epochs: int, label: str = "a") -> None:
            super().__init__(tasks, epochs)

    with pytest.raises(
        InputError,
        match="weightings.mine: the component labelled has a setting 'label', but kind and label are keys of every variant",
    ):
        make_study(minimal(weightings={"mine": {"kind": "labelled"}}))


def test_which_models_have_adapters(minimal: Make) -> None:
    study = make_study(minimal(backbones={**minimal()["backbones"], "dinov2": {"label": "V", **VIT}}))
    pairs = [(b, a) for b in ("resnet", "dinov2") for a in ("hps", "tesla") if has_adapters(study, b, a)]
    assert pairs == [("resnet", "tesla"), ("dinov2", "hps"), ("dinov2", "tesla")]


def test_notes_say_which_ranks_and_datasets_a_table_leaves_out() -> None:
    demo = load_study(Path(__file__).parents[3] / "studies/demo.yaml")
    assert has_other_ranks(demo, "mtlendovis") and has_other_ranks(demo, "mtlendovis_gen")
    assert has_other_ranks(demo) and not has_other_ranks(demo, "mtlesd")
    assert _note_on_incomplete_ablations(demo).endswith("models: MTLESD; MTLEndovis, by sequence.")
