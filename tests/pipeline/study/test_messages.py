"""What people are told of a study that cannot be used: key, value, what is allowed, and the closest name. Never a traceback."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.study.loading import load_study, make_study

ROOT = Path(__file__).parents[3]
Make = Callable[..., dict[str, Any]]
SCHEDULES = {"mtlesd": {"epochs": 3, "learning_rate": 0.001}}
BLOCK = {"datasets": ["mtlesd"], "backbones": ["resnet"], "architectures": ["hps"], "weightings": ["equal"]}
RESNET = {"label": "R", "model": "resnet26", "weights": "none"}


def training(**changes: Any) -> dict[str, Any]:
    return {"training": {"schedules": SCHEDULES, **changes}}


def resnet(**changes: Any) -> dict[str, Any]:
    return {"backbones": {"resnet": {**RESNET, **changes}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0.0]}, "seeds.0: 0.0 is not allowed; expected a whole number from 0 to 4,294,967,295."),
        ({"seeds": [True]}, "seeds.0: True is not allowed; expected a whole number"),
        ({"seeds": [0, 0]}, "seeds: 0 occurs twice; name each value once."),
        (training(schedules={"mtlesd": {"epochs": 10**400, "learning_rate": 1}}), "expected a whole number from 1 to"),
        (
            training(schedules={"mtlesd": {"epochs": 3, "learning_rate": float("nan")}}),
            "training.schedules.mtlesd.learning_rate: nan is not allowed; expected a number greater than 0 and up to 10.",
        ),
        ({"merging": {"memory_mib": float("inf")}}, "merging.memory_mib: inf is not allowed; expected a number greater"),
        ({"lora": {"rank": 10**9}}, "lora.rank: 1000000000 is not allowed; expected a whole number from 1 to 1,024."),
        (training(augmentation={"rotation": 400}), "rotation: 400 is not allowed; expected a number from 0 to 180."),
        (training(batchsize=3), "training.batchsize: unknown key. Did you mean 'batch_size'? Known keys: batch_size,"),
        (training(select_on="Last"), "'Last' is not allowed; expected last, val or test. Did you mean 'last'?"),
        (training(compile=True), "expected auto, yes or no. YAML reads on, off, yes and no as true and false"),
        (resnet(label=True), "put the word in quotes"),
        (resnet(weights="x.pth"), "expected hub (timm downloads the weights), none (random weights), or a file: weights: {file: x.pth}."),
        (resnet(weights={"fil": "x"}), "backbones.resnet.weights.fil: unknown key. Did you mean 'file'?"),
        ({"backbones": {"resnet": {"label": "x", "model": "resnet26"}}}, "weights: missing; expected hub, none, or {file: PATH}."),
        (
            resnet(weights={"file": "x.pkl"}),
            "weights.file: 'x.pkl' is not allowed; expected a file that ends with .safetensors, .pth, .pt, .bin",
        ),
        (resnet(weights={"file": "x.pth", "drop": [""]}), "weights.drop: [''] is not allowed"),
        (resnet(weights={"file": "x.pth", "rename": {"a": 1}}), "weights.rename.a: 1 is not allowed"),
        (resnet(weights=3), "backbones.resnet.weights: 3 is not allowed; expected hub, none, or {file: PATH}."),
        (resnet(model="resnet_26"), "timm has no model 'resnet_26'. Did you mean 'resnet26'"),
        (resnet(model="resnet50.a1_in2k"), "timm has no weights 'a1_in2k' of resnet50. Did you mean 'a1_in1k'"),
        ({"backbones": {True: RESNET}}, "backbones: the key True is not text. YAML reads words such as on, off"),
        ({"heads": {"atrous_rates": [1, 2]}}, "heads.atrous_rates: [1, 2] is not allowed; expected a list of 3, each a whole number"),
        ({"robustness": {"cells": [{"weighting": "equall"}]}}, "cells.0.weighting: unknown name 'equall'. Did you mean 'equal'?"),
        (
            {"cells": [BLOCK, {**BLOCK, "architectures": ["mmoe"], "weightings": ["db_mtl"]}],
             "robustness": {"cells": [{"architecture": "hps", "weighting": "db_mtl"}]}},
            "robustness.cells.0: no cell has all of architecture hps, weighting db_mtl",
        ),
        ({"cells": [{**BLOCK, "architectures": ["merged"]}]}, "cells.0.architectures: merged models are not trained"),
        ({"cells": [{**BLOCK, "architectures": ["mtan"]}]}, "Known: cgc, cross_stitch, dselect_k, hps, mmoe, single_activity"),
        ({"robustness": {}}, "robustness.cells: missing; expected a list of patterns that is not empty, each with any of the keys"),
        ({"robustness": {"cells": []}}, "[{}] selects all cells. If nothing is to be evaluated under corruption, leave out the whole key"),
        ({"robustness": {"cells": [{}], "baseline": {}}}, "robustness.baseline: empty"),
        ({"robustness": {"cells": [{}], "corruptions": ["smok"]}}, "unknown corruption 'smok'. Did you mean 'smoke'?"),
        ({"datasets": {"mtlendoviss": {}}}, "datasets: unknown name 'mtlendoviss'. Did you mean 'mtlendovis'"),
        ({"weightings": {"db_mtl": 3}}, "weightings.db_mtl: 3 is not allowed; expected names with values."),
        ({"robustness": {"cells": [{}], "baseline": {"backbone": "resnett"}}}, "baseline.backbone: unknown name 'resnett'. Did"),
        ({"architectures": {"mmeo": {}}}, "architectures: unknown architecture 'mmeo'. Did you mean 'mmoe'?"),
        (resnet(weights="\x1b" * 2000), "or a file: weights: {file: PATH}."),
        (resnet(arguments={"channels": [1, 2]}), "[1, 2] is not allowed; expected a list of 4, each a whole number from 1 to 8,192."),
        (resnet(arguments={"channels": [1, 2, 3, "x"]}), "arguments.channels.3: 'x' is not allowed; expected a whole number from"),
        (resnet(arguments={"drop_path_rate": 1}), "arguments.drop_path_rate: 1 is not allowed; expected a number from 0 to below 1."),
        (resnet(arguments={"stem_type": "flat"}), "expected '', deep or deep_tiered."),
        (resnet(label="=1+1"), "backbones.resnet.label: '=1+1' is not allowed; expected a name of at most 200 printable characters"),
        (resnet(label="two\nlines"), "backbones.resnet.label: 'two\\nlines' is not allowed; expected a name of at most 200"),
        (resnet(label="a;b"), "without ; and not beginning with = + - or @"),
        ({"title": "\ud800"}, "the study: holds text that is not Unicode"),
    ],
)  # fmt: skip
def test_key_value_and_what_is_allowed_are_named(minimal: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        make_study(minimal(**changes))
    assert message in str(error.value), error.value


def test_1e_3_is_a_number_wherever_a_number_is_expected(minimal: Make) -> None:
    study = make_study(minimal(weightings={"db_mtl": {"beta": "1e-3"}}, **resnet(arguments={"drop_path_rate": "1e-1"})))
    assert study.weightings["db_mtl"].settings["beta"] == 1e-3
    assert study.backbones["resnet"].arguments["drop_path_rate"] == 0.1


def test_a_module_without_components_is_refused(minimal: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "nothing_of_mine.py").write_text("x = 1\n")
    with pytest.raises(InputError, match="components: nothing_of_mine registers no component"):
        make_study(minimal(components=["nothing_of_mine"]))


def test_several_faults_are_told_at_once(minimal: Make) -> None:
    with pytest.raises(InputError) as error:
        make_study(minimal(seeds=[-1], title=3, input_size="x", lora=1, heads=1, raw=1, datasets={}))
    lines = str(error.value).split("\n")
    assert len(lines) == 6 and lines[-1] == "and 2 more." and lines[0].startswith("title: 3 is not allowed")


@pytest.mark.parametrize("written", ["1e-3", "1E-3", "1.0e-3"])
def test_a_number_that_yaml_takes_for_text_is_a_number(tmp_path: Path, minimal: Make, written: str) -> None:
    text = yaml.safe_dump(minimal()).replace("learning_rate: 0.001", f"learning_rate: {written}")
    path = tmp_path / "study.yaml"
    path.write_text(text)
    assert load_study(path).training.schedules["mtlesd"].learning_rate == 0.001


@pytest.mark.parametrize(
    ("changed", "now"),
    [
        ({"datasets": {"mtlesd": {"split": "released"}}}, "given"),
        ({"datasets": {"mtlendovis": {"split": "published"}}}, "random_by_activity"),
        ({"protocol": "published"}, "authors_code"),
        ({"robustness": {"cells": [{}], "profile": "published"}}, "authors_code"),
    ],
)
def test_an_earlier_value_is_refused_with_its_new_name(minimal: Make, changed: dict[str, Any], now: str) -> None:
    with pytest.raises(InputError, match=f"It is called '{now}' now"):
        make_study(minimal(**changed))


def test_null_stands_for_a_key_that_is_left_out(minimal: Make) -> None:
    assert make_study(minimal(pretraining=None, robustness=None)) == make_study(minimal())


ODD: list[Any] = [
    None, True, False, 0, -1, 0.0, 1.5, 10**9, 10**400, float("nan"), float("inf"), -float("inf"), 1e300,
    "", "x", "a/b", "x" * 5000, "\ud800", "\x00", "../..", "${NOT_SET}", "1e-3", "1e999",
    [], [[]], [None], ["x"], [0] * 50, {}, {"x": None}, {"": 1}, {1: 2}, {True: 1},
]  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a study with each of its keys."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in [(value, key), *_places(one)]]


def _mutated(settings: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    mutated = copy.deepcopy(settings)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        container, key = rng.choice(_places(mutated))
        what = rng.randrange(4)
        if what == 0:
            container.pop(key)
        elif what == 1 and isinstance(container, dict):
            container[rng.choice(("x", f"{key}s", 3, True, None))] = container.pop(key)
        elif what == 2:
            other, name = rng.choice(_places(settings))
            container[key] = copy.deepcopy(other[name])
        else:
            container[key] = rng.choice(ODD)
        if not mutated:
            break
    return mutated


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "paper", "authors_code", "endovis2017_parts"])
def test_mutated_studies_are_read_or_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 of each; what is accepted is written and read again as the same study."""
    monkeypatch.setenv("ENDOARSS_SAMPLE_DATA", "x")
    settings, rng = yaml.safe_load((ROOT / f"studies/{name}.yaml").read_text()), random.Random(name)
    accepted = 0
    for _ in range(500):
        mutated = _mutated(settings, rng)
        try:
            study = make_study(mutated)
        except InputError as error:
            assert len(str(error)) > 15 and "Traceback" not in str(error)
            continue
        accepted += 1
        assert make_study(study.as_dict()) == study
    assert 20 < accepted < 400
