"""Readers on generated trees, on their irregularities, and on broken input."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import InputError
from pipeline.io.images import read_rgb, write_png
from pipeline.labels.activities import ENDOVIS_COUNTS, frame_activity
from pipeline.sources import endovis2017, endovis2018, released, vqla
from pipeline.sources.official_crop import crop_window
from pipeline.sources.vqla import State
from tests.pipeline.small_trees import expected_mask, few_2018, write_2018


@pytest.fixture
def copy(trees: Path, tmp_path: Path) -> Path:
    """A copy of the trees that a test may break."""
    return Path(shutil.copytree(trees, tmp_path / "raw"))


# EndoVis 2018


def test_endovis2018_reads_the_whole_tree(trees: Path) -> None:
    tree = endovis2018.read_tree(trees / "endovis2018")
    assert len(tree.frames) == 60 and not tree.unmatched
    assert {name: scheme.name for name, scheme in tree.schemes.items()} == {
        "instrument_labels_2017": "compatible2017",
        "instrument_labels": "native2018",
        "annotations": "native2018",
    }
    assert {sequence for sequence, _ in tree.frames} == {*range(1, 8), *range(9, 17)}
    assert {"suction-instrument", "ultrasound-probe", "instrument-shaft"} <= set(tree.colours)
    seen: Counter[int] = Counter()
    for frame in tree.frames.values():
        seen.update(np.unique(endovis2018.type_mask(tree, frame)).tolist())
    assert set(seen) == set(range(8)), "every instrument type occurs"


def test_the_generated_tree_has_the_irregularities_of_real_downloads(trees: Path) -> None:
    root = trees / "endovis2018"
    assert (root / "miccai_challenge_release_2" / "miccai_challenge_release_2" / "seq_5").is_dir()
    assert (root / "miccai_challenge_release_4.zip").is_file()
    assert list(root.rglob("__MACOSX/**/._frame*.png")) and list(root.rglob("test_data/seq_1/left_frames/*.png"))
    assert list(root.glob("seq_3-*-001/seq_3/left_frames/*.png")) and list(
        root.glob("repairs/repairs/seq_4_frame*.png")
    )
    assert list(root.rglob("instrument_labels_2017/*_class10_inst*.png")), "the stapler"
    assert list(root.rglob("seq_5/right_frames")) and not list(root.rglob("seq_8"))
    modes = {Image.open(path).mode for path in root.rglob("seq_*/labels/*.png")}
    assert modes == {"RGB", "RGBA"}
    masks = [Image.open(path) for path in root.rglob("instrument_labels*/*.png")]
    assert {mask.mode for mask in masks} == {"L", "RGB"}
    assert {int(np.asarray(mask).max()) for mask in masks} >= {1, 255}
    lists = [json.loads(path.read_text()) for path in root.rglob("miccai*/labels.json")]
    assert {len(listed) for listed in lists} != {7}, "a release lists its own classes alone"
    built = endovis2018.read_tree(root).frames
    only_built = [frame for frame in built.values() if frame.sequence == 12]
    assert only_built and all(frame.label is None and frame.annotation for frame in only_built)
    texts = vqla.find_2018(root)
    assert not any(sequence == 13 or (sequence == 1 and frame < 11) for sequence, frame in texts)
    assert {path.suffix for paths in texts.values() for path in paths} == {".txt", ".xml"}
    assert {path.parent.name for paths in texts.values() for path in paths} == {"label", "Classification", "xml"}
    assert {path.parts[-3] for paths in texts.values() for path in paths} >= {"vqla", "vqa"}
    assert any(len(paths) == 2 for paths in texts.values()), "two editions of one frame"
    beginnings = {path.read_bytes()[:3] for paths in texts.values() for path in paths}
    assert b"\xef\xbb\xbf" in beginnings
    assert any(b"\r\n" in path.read_bytes() for paths in texts.values() for path in paths)


@pytest.mark.parametrize(
    ("written", "given", "scheme"),
    [
        ({1, 6, 8}, "detect", "compatible2017"),
        ({1, 2, 6, 9}, "detect", "compatible2017"),
        ({1, 2, 6}, "detect", "compatible2017"),
        ({1, 2, 6}, "native2018", "native2018"),
        ({1, 4}, "detect", "native2018"),
        ({1, 5, 6, 7}, "detect", "native2018"),
        ({1, 2, 4, 6, 8}, "detect", "native2018"),  # 8 is the stapler
        ({1, 5, 8}, "detect", "native2018"),
        ({1, 2, 3, 10}, "detect", "compatible2017"),  # 10 is the stapler
        ({1, 2, 6, 7, 8, 9, 10}, "detect", "compatible2017"),
        ({1, 2, 8}, "native2018", "native2018"),
        ({1, 2, 8}, "compatible2017", "compatible2017"),
        ({1, 2, 3}, "detect", "native2018"),
        ({1, 2, 3}, "compatible2017", "compatible2017"),
        ({1, 2, 3, 7}, "compatible2017", "compatible2017"),
    ],
)
def test_id_schemes_are_detected(written: set[int], given: str, scheme: str) -> None:
    settled = endovis2018.settle_scheme(Path("root"), "types", given, written)
    assert settled.name == scheme and "types: ids 1" in settled.reason


@pytest.mark.parametrize(
    ("written", "given", "message"),
    [
        ({1, 2, 7}, "detect", r"\[1, 2, 7\] fit both schemes: native2018 .* compatible2017 .* endovis2018_scheme"),
        (
            {1, 2, 8},
            "detect",
            r"\[1, 2, 8\] fit both schemes: native2018 .* 8 the stapler.* compatible2017 .* 8 suction.* raw:",
        ),
        ({4, 9}, "detect", "4 or 5 belong to native2018, 9 or 10 to compatible2017; one set cannot have both"),
        ({5, 10}, "detect", "4 or 5 belong to native2018, 9 or 10 to compatible2017; one set cannot have both"),
        ({1, 10}, "native2018", "the study has endovis2018_scheme: native2018, but .* Set it to compatible2017"),
        ({1, 4}, "compatible2017", "the study has endovis2018_scheme: compatible2017, but .* Set it to native2018"),
        ({1, 4}, "native", "id scheme 'native': expected detect, native2018 or compatible2017"),
    ],
)
def test_an_id_scheme_is_never_guessed(written: set[int], given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        endovis2018.settle_scheme(Path("root"), "types", given, written)


def test_a_colour_that_is_in_no_label_list_is_an_error(copy: Path) -> None:
    root = copy / "endovis2018"
    tree = endovis2018.read_tree(root)
    frame = next(frame for frame in tree.frames.values() if frame.label is not None)
    label = np.zeros((96, 120, 3), np.uint8)
    label[7, 11] = (1, 2, 3)
    write_png(frame.label, label)
    with pytest.raises(
        InputError, match=r"the colour \(1, 2, 3\) at row 7, column 11 is in no label list; known: backg"
    ):
        endovis2018.type_mask(tree, frame)
    write_png(frame.label, label[..., 0])
    with pytest.raises(InputError, match=r"grey; expected a label in colours"):
        endovis2018.type_mask(tree, frame)


def test_label_lists_that_contradict_each_other(tmp_path: Path) -> None:
    for name, colour in (("a", [1, 2, 3]), ("b", [1, 2, 4])):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"name": "thread", "color": colour, "classid": 1}]))
    with pytest.raises(InputError, match=r"b.json: thread is \(1, 2, 4\), but \(1, 2, 3\) in another list"):
        endovis2018.read_label_lists([tmp_path / "a.json", tmp_path / "b.json"])


def test_corrected_labels_count_instead_of_the_releases(copy: Path) -> None:
    root = copy / "endovis2018"
    tree = endovis2018.read_tree(root)
    repaired = {key: frame for key, frame in tree.frames.items() if frame.label and "repairs" in frame.label.parts}
    assert len(repaired) == 2 and all(f"seq_{s} frame{n:03d}" in tree.notes["corrected_labels"] for s, n in repaired)
    corrected = {key: endovis2018.type_mask(tree, frame) for key, frame in repaired.items()}
    shutil.rmtree(root / "repairs")
    released = endovis2018.read_tree(root)
    assert "corrected_labels" not in released.notes
    for key, mask in corrected.items():
        wrong = endovis2018.type_mask(released, released.frames[key])
        assert (mask != wrong).any() and (wrong[mask != wrong] == 6).all()


@pytest.mark.parametrize("scheme", sorted(endovis2018.SCHEMES))
def test_masks_are_those_of_a_set_without_the_stapler(scheme: str, tmp_path: Path) -> None:
    frames = few_2018()
    for types in ("instrument_labels_2017", "annotations"):
        root = write_2018(tmp_path / types, frames, types, scheme, stapler=True)
        tree = endovis2018.read_tree(root)
        assert tree.schemes[types].name == scheme
        for key, cast in frames.items():
            np.testing.assert_array_equal(endovis2018.type_mask(tree, tree.frames[key]), expected_mask(cast))
        if types != "annotations":
            assert "6 raw masks" in tree.notes["stapler"]


def test_a_built_set_of_one_sequence_is_not_guessed(tmp_path: Path) -> None:
    """The stapler's sequence has suction, but neither scissors nor probe: native ids 1, 2, 6, 8 fit both schemes."""
    cast = (State("bipolar_forceps", "idle"), State("suction", "suction"), State("stapler", "staple"))
    root = write_2018(tmp_path, {(7, n): cast for n in range(3)}, "annotations", "native2018", stapler=True)
    with pytest.raises(
        InputError, match=r"\[1, 6, 8\] fit both schemes.*8 the stapler.*8 suction.*raw: endovis2018_scheme"
    ):
        endovis2018.read_tree(root)
    tree = endovis2018.read_tree(root, "native2018")
    np.testing.assert_array_equal(endovis2018.type_mask(tree, tree.frames[7, 0]), expected_mask(cast))


def test_frames_in_jpeg_are_read_and_named(copy: Path) -> None:
    root = copy / "endovis2018"
    for path in sorted(root.rglob("miccai*/**/seq_2/left_frames/*.png")):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    tree = endovis2018.read_tree(root)
    assert len(tree.frames) == 60 and not tree.unmatched
    assert tree.notes["jpeg_frames"].startswith(
        "4 frames are stored as JPEG, e.g. miccai_challenge_2018_release_1/seq_2/"
    )


def test_built_types_alone_are_enough(copy: Path, tmp_path: Path) -> None:
    root = tmp_path / "built"
    shutil.copytree(copy / "endovis2018" / "isinet", root)
    tree = endovis2018.read_tree(root)
    assert {frame.sequence for frame in tree.frames.values()} == {9, 10, 11, 12}
    whole = endovis2018.read_tree(copy / "endovis2018")
    for key, frame in tree.frames.items():
        np.testing.assert_array_equal(
            endovis2018.type_mask(tree, frame), endovis2018.type_mask(whole, whole.frames[key])
        )


def test_masks_and_labels_without_a_frame_are_listed(copy: Path) -> None:
    root = copy / "endovis2018"
    frame = next(frame for frame in endovis2018.read_tree(root).frames.values() if frame.masks)
    frame.image.unlink()
    assert set(endovis2018.read_tree(root).unmatched) == {frame.label, *(path for _, path in frame.masks)}


def test_native_and_compatible_ids_give_the_same_masks(copy: Path) -> None:
    root = copy / "endovis2018"
    tree = endovis2018.read_tree(root)
    expected = {key: endovis2018.type_mask(tree, frame) for key, frame in tree.frames.items()}
    for path in sorted(root.rglob("instrument_labels_2017/*_class*_inst*.png")):
        for written, native in ((6, 4), (9, 7), (10, 8)):
            if f"_class{written}_" in path.name:
                path.rename(path.with_name(path.name.replace(f"_class{written}_", f"_class{native}_")))
    again = endovis2018.read_tree(root)
    assert again.schemes["instrument_labels_2017"].name == "native2018"
    for key, frame in again.frames.items():
        np.testing.assert_array_equal(endovis2018.type_mask(again, frame), expected[key])


def test_endovis2018_missing_or_broken(copy: Path) -> None:
    with pytest.raises(
        InputError, match=r"nowhere: no such folder\. EndoVis 2018 is expected here; it is available from https"
    ):
        endovis2018.read_tree(copy / "nowhere")
    with pytest.raises(InputError, match="no seq_"):
        endovis2018.read_tree(copy / "esd")
    root = copy / "endovis2018"
    label = next(root.rglob("seq_2/labels/*.png"))
    kept = label.read_bytes()
    label.unlink()
    tree = endovis2018.read_tree(root)
    frame = next(frame for frame in tree.frames.values() if frame.label is None and frame.sequence == 2)
    with pytest.raises(InputError, match=f"{label.name}: missing. Expected the official label"):
        endovis2018.type_mask(tree, frame)
    label.write_bytes(kept)
    lists = next(root.rglob("labels.json"))
    lists.write_text("[{]")
    with pytest.raises(InputError, match=r"labels.json: not a label list"):
        endovis2018.read_tree(root)


def test_a_sequence_without_instrument_types_is_not_read_as_background(copy: Path) -> None:
    """A download without the types must not be read as frames without instruments."""
    root = copy / "endovis2018"
    shutil.rmtree(next(root.rglob("seq_2/instrument_labels_2017")))
    tree = endovis2018.read_tree(root)
    frame = next(frame for frame in tree.frames.values() if frame.sequence == 2)
    with pytest.raises(
        InputError,
        match=r"seq_2: has no folder instrument_labels_2017 or instrument_labels.*they are available from https",
    ):
        endovis2018.type_mask(tree, frame)


def test_a_tree_without_any_type_mask_says_where_they_are(copy: Path) -> None:
    root = copy / "endovis2018"
    for path in [*root.rglob("*_class*_inst*.png"), *root.rglob("isinet/*/annotations/*.png")]:
        path.unlink()
    for scheme in ("detect", "native2018"):
        with pytest.raises(InputError, match=r"no sequence has instrument type masks.*they are available from https"):
            endovis2018.read_tree(root, scheme)


def test_a_root_may_lie_below_a_folder_named_test_data(copy: Path) -> None:
    root = copy / "test_data" / "endovis2018"
    root.parent.mkdir()
    shutil.move(copy / "endovis2018", root)
    assert len(endovis2018.read_tree(root).frames) == 60


def test_the_same_frame_twice_names_both(copy: Path) -> None:
    root = copy / "endovis2018"
    shutil.copytree(next(root.rglob("seq_2")), root / "again" / "seq_2")
    with pytest.raises(
        InputError, match=r"seq_2/left_frames/frame\d+.png: is the same frame as .*seq_2.*Expected every release once"
    ):
        endovis2018.read_tree(root)
    shutil.move(root / "again", root / "test_data")
    assert len(endovis2018.read_tree(root).frames) == 60, "the challenge's test data is no part of the releases"
    root = copy / "endovis2017"
    shutil.copytree(next((root / "train").glob("instrument_dataset_1")), root / "again" / "instrument_dataset_1")
    with pytest.raises(InputError, match="the same frame as .*Expected every download once"):
        endovis2017.read_tree(root)


def test_only_one_of_two_type_folders_is_used(copy: Path) -> None:
    root = copy / "endovis2018"
    expected = endovis2018.read_tree(root)
    for folder in list(root.rglob("seq_*/instrument_labels_2017")):
        other = folder.with_name("instrument_labels")
        other.mkdir()
        write_png(other / "frame000_class4_inst0.png", np.ones((96, 120), np.uint8))
    assert endovis2018.read_tree(root).frames == expected.frames


def test_an_empty_type_folder_does_not_hide_a_full_one(copy: Path) -> None:
    root = copy / "endovis2018"
    expected = endovis2018.read_tree(root)
    for folder in list(root.rglob("seq_5/instrument_labels")):
        (folder.parent / "instrument_labels_2017").mkdir()
    assert endovis2018.read_tree(root).frames == expected.frames


def test_frames_of_the_vqla_edition_and_hidden_folders_are_passed_over(copy: Path) -> None:
    root = copy / "endovis2018"
    sequence = next(root.rglob("miccai*/seq_2"))
    shutil.copytree(sequence / "left_frames", root / "EndoVis-18-VQLA/seq_2/left_frames")
    shutil.copytree(sequence, root / ".release_1.123.partial/seq_2")
    assert len(endovis2018.read_tree(root).frames) == 60


def test_folders_may_be_links(copy: Path, tmp_path: Path) -> None:
    root = copy / "endovis2018"
    shutil.move(root / "miccai_challenge_release_3", tmp_path / "elsewhere")
    (root / "miccai_challenge_release_3").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert len(endovis2018.read_tree(root).frames) == 60


def test_a_torn_mask_does_not_stop_the_detection(copy: Path) -> None:
    root = copy / "endovis2018"
    path = sorted(root.rglob("isinet/*/annotations/*.png"))[0]
    path.write_bytes(path.read_bytes()[:60])
    tree = endovis2018.read_tree(root)
    frame = next(frame for frame in tree.frames.values() if frame.annotation == path)
    with pytest.raises(InputError, match=f"{path.name}: it is not a readable image"):
        endovis2018.type_mask(tree, frame)


def test_a_mask_of_another_size_is_named(copy: Path) -> None:
    root = copy / "endovis2018"
    path = sorted(root.rglob("*_class*_inst*.png"))[0]
    write_png(path, np.zeros((10, 20), np.uint8))
    tree = endovis2018.read_tree(root)
    frame = next(f for f in tree.frames.values() if any(path == mask for _, mask in f.masks))
    with pytest.raises(InputError, match=rf"{path.name}: the mask is 20x10 pixels, its image .* is 120x96"):
        endovis2018.type_mask(tree, frame)


def test_what_lies_with_the_test_frames_stops_nothing(copy: Path) -> None:
    root = copy / "endovis2018"
    expected = endovis2018.read_tree(root)
    (root / "test_data/labels.json").write_text("[{]")
    (root / "test_data/seq_2/left_frames").mkdir(parents=True)
    write_png(root / "test_data/seq_2/left_frames/frame0000_copy.png", np.zeros((4, 4, 3), np.uint8))
    again = endovis2018.read_tree(root)
    assert again.frames == expected.frames and again.colours.items() <= expected.colours.items()


# EndoVis 2017


def test_jpegs_of_a_vqla_edition_under_another_name_are_no_frames(copy: Path) -> None:
    root = copy / "endovis2017"
    expected = endovis2017.read_tree(root).frames
    for name in ("seq1_frame015", "seq2_frame015"):
        path = root / "vqla_2017/left_frames" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    assert endovis2017.read_tree(root).frames == expected


def test_endovis2017_reads_both_layouts(trees: Path) -> None:
    frames = endovis2017.read_tree(trees / "endovis2017").frames
    assert {bool(frame.types) for frame in frames.values()} == {True, False}
    for frame in frames.values():
        types, parts = endovis2017.type_mask(frame), endovis2017.parts_mask(frame)
        assert types.shape == parts.shape == (72, 128)
        assert set(np.unique(parts)) <= {0, 10, 20, 30} and parts.any()
        assert (types[parts > 0] > 0).all()
        assert (types[parts == 0] > 0).sum() <= 24, "a part that is none of the three is in one frame alone"


@pytest.mark.parametrize(
    ("name", "type_id"),
    [
        ("Left_Prograsp_Forceps_labels", 2),
        ("Maryland_Bipolar_Forceps_labels", 1),
        ("Large_Needle_Driver_Right_labels", 3),
        ("Right_Vessel_Sealer", 4),
        ("Grasping_Retractor_Right_labels", 5),
        ("Monopolar_Curved_Scissors_labels", 6),
        ("Other_labels", 7),
    ],
)
def test_irregular_folder_names(name: str, type_id: int) -> None:
    assert endovis2017._known_type(Path(name)) == type_id


def test_an_instrument_that_is_not_known_is_refused() -> None:
    folder = Path("ground_truth/Chopsticks_labels")
    frame = endovis2017.Frame2017("instrument_dataset_1", 0, Path("frame000.png"), {0: [folder / "frame000.png"]})
    with pytest.raises(InputError, match="Chopsticks_labels: the folder's name contains no known instrument"):
        endovis2017.check_typed(frame)


def test_the_official_crop() -> None:
    assert crop_window(1080, 1920) == (28, 1052, 320, 1600)
    assert crop_window(1024, 1280) == (0, 1024, 0, 1280)
    assert endovis2017.crop(np.zeros((1080, 1920, 3), np.uint8)).shape == (1024, 1280, 3)


def test_endovis2017_missing_or_broken(copy: Path) -> None:
    with pytest.raises(InputError, match="EndoVis 2017 is expected here; it is available from https"):
        endovis2017.read_tree(copy / "nowhere")
    with pytest.raises(InputError, match="no left_frames"):
        endovis2017.read_tree(copy / "esd")
    root = copy / "endovis2017"
    parts = next(root.rglob("PartsSegmentation/*.png"))
    write_png(parts, np.full((72, 128), 17, np.uint8))
    frame = next(f for f in endovis2017.read_tree(root).frames.values() if f.parts == parts)
    with pytest.raises(InputError, match=rf"{parts.name}: holds the value 17; expected 0, 10 shaft"):
        endovis2017.parts_mask(frame)


def test_real_frames(sample_data: Path) -> None:
    frames = endovis2017.read_tree(sample_data / "endovis2017").frames
    assert sorted(frames) == [("five_frames", number) for number in range(5)]
    for frame in frames.values():
        image, parts = read_rgb(frame.image), endovis2017.parts_mask(frame)
        assert image.shape == (1080, 1920, 3) and set(np.unique(parts)) == {0, 10, 20, 30}
        assert endovis2017.crop(parts).shape == (1024, 1280)
        # Nothing is annotated outside the crop.
        assert (endovis2017.crop(parts) > 0).sum() >= 0.98 * (parts > 0).sum()


def test_real_label_list(sample_data: Path) -> None:
    colours = endovis2018.read_label_lists([sample_data / "endovis2018" / "labels.json"])
    assert len(colours) == 12
    assert colours["suction-instrument"] == (123, 15, 175) and colours["ultrasound-probe"] == (12, 255, 141)


# VQLA


def test_vqla_texts_of_generated_frames(trees: Path) -> None:
    texts = vqla.find_2018(trees / "endovis2018")
    assert len(texts) == 52
    activities = Counter(frame_activity(state.action for state in vqla.read_agreeing(path)) for path in texts.values())
    assert len(activities) == 12 and min(activities.values()) >= 2


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_vqla_accepts_its_variants(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "t.txt",
        "What organ is being operated?|kidney\n\n"
        "What is the state of bipolar_forceps?|Idle|12, 30, 100, 200\n"
        "What is the state of large needle-driver ? | Tool Manipulation\n"
        "What is the state of suction?|Suction|\n"
        "Where is suction located?|left-top|1, 1, 5, 5\n",
    )
    assert [(state.instrument, state.action) for state in vqla.read_states(path)] == [
        ("bipolar_forceps", "idle"),
        ("large_needle_driver", "tool_manipulation"),
        ("suction", "suction"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("What is the state of suction?", "line 2: found 'What is the state of suction.'; expected question"),
        ("What is the state of suction|Suction", "line 2: found 'What is the state of suction'; expected 'What is the"),
        ("a|b|c|d", "line 2: found 'a|b|c|d'"),
        ("|Idle", "line 2"),
        ("What is the state of suction?|Flying|1, 2, 3, 4", "line 2: unknown action 'Flying'; known: cauterization"),
        ("What is the state of suction?|Suction|1, 2, 3", "line 2: found the box '1, 2, 3'; expected four numbers"),
        ("What is the state of suction?|Suction|1, 2, x, 4", "line 2: found the box"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write_text(tmp_path / "frame007_QA.txt", f"What organ is being operated?|kidney\n{line}\n")
    with pytest.raises(InputError, match=f"frame007_QA.txt, {message}".replace("|", r"\|")):
        vqla.read_states(path)


@given(st.binary(max_size=200))
def test_any_text_is_read_or_refused(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.txt"
        path.write_bytes(content)
        try:
            vqla.read_states(path)
        except InputError as error:
            assert "t.txt" in str(error)


def test_a_long_line_is_read_quickly(tmp_path: Path) -> None:
    path = write_text(tmp_path / "t.txt", "What is the state of a" + " " * 1_000_000 + "b|Idle\n")
    with pytest.raises(InputError, match="expected 'What is the state of X"):
        vqla.read_states(path)


def test_vqla_byte_order_marks_and_outer_folders(tmp_path: Path) -> None:
    folder = tmp_path / "seq_99" / "EndoVis-18-VQLA" / "seq_2" / "vqla" / "label"
    folder.mkdir(parents=True)
    (folder / "frame004_QA.txt").write_bytes(b"\xef\xbb\xbfWhat is the state of suction?|Suction\n")
    ((key, (path,)),) = vqla.find_2018(tmp_path).items()
    assert key == (2, 4)
    assert vqla.read_states(path) == (vqla.State("suction", "suction"),)


def test_vqla_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains no EndoVis-18-VQLA text.*it is available from"):
        vqla.find_2018(tmp_path)
    with pytest.raises(InputError, match="contains no EndoVis-17-VQLA text.*it is available from"):
        vqla.find_2017(tmp_path)


def write_xml(path: Path, body: str) -> Path:
    return write_text(path, f"<annotation><filename>f.png</filename>{body}</annotation>")


def test_xml_and_text_give_the_same_states(tmp_path: Path) -> None:
    path = write_xml(
        tmp_path / "frame000.xml",
        "<objects><name>kidney</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></objects>"
        "<objects><name>Bipolar_Forceps</name><interaction>Tissue_Manipulation</interaction></objects>"
        "<object><name>suction</name><interaction>Suction</interaction></object>",
    )
    assert vqla.read_states(path) == (
        vqla.State("bipolar_forceps", "tissue_manipulation"),
        vqla.State("suction", "suction"),
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<objects><name>suction</name></objects>", "object 1: suction has no <interaction>"),
        ("<objects><interaction>Idle</interaction></objects>", "object 1: no <name>"),
        ("<objects><name>s</name><interaction>Flying</interaction></objects>", "object 1: unknown action 'Flying'"),
        (
            "<objects><name>s</name><interaction>Idle</interaction><bndbox><xmin>a</xmin></bndbox></objects>",
            "object 1: found the box 'a, , , '; expected four numbers",
        ),
        ("<objects>", "not XML"),
    ],
)
def test_a_malformed_xml_is_named(tmp_path: Path, body: str, message: str) -> None:
    path = write_xml(tmp_path / "frame007.xml", body)
    with pytest.raises(InputError, match=rf"frame007.xml[,:] {message}"):
        vqla.read_states(path)


def test_entities_are_refused(tmp_path: Path) -> None:
    lol = '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    with pytest.raises(InputError, match="contains a DOCTYPE or an entity"):
        vqla.read_states(write_text(tmp_path / "a.xml", lol))


def test_editions_must_agree(trees: Path, tmp_path: Path) -> None:
    one = write_text(tmp_path / "a.txt", "What is the state of suction?|Idle\nWhat is the state of stapler?|Staple\n")
    same = write_text(tmp_path / "b.txt", "What is the state of stapler?|Staple\nWhat is the state of suction?|Idle\n")
    other = write_text(tmp_path / "c.txt", "What is the state of suction?|Suction\n")
    assert vqla.read_agreeing([one, same]) == vqla.read_states(one)
    with pytest.raises(
        InputError, match=r"c.txt: suction suction; but .*a.txt: suction idle, stapler staple. Expected one"
    ):
        vqla.read_agreeing([one, other])


# Released trees


@pytest.mark.parametrize(
    ("source", "frames", "activities", "classes"), [("esd", 20, 3, 7), ("released_mtlendovis", 40, 12, 8)]
)
def test_released_trees_are_read_completely(
    trees: Path, source: str, frames: int, activities: int, classes: int
) -> None:
    found = released.read_tree(trees / source, source)
    assert len(found) == frames and len({frame.activity for frame in found}) == activities
    seen = {int(value) for frame in found for value in np.unique(released.class_mask(frame, source))}
    assert seen == set(range(classes))


def test_two_trees_below_a_released_root(copy: Path) -> None:
    shutil.copytree(copy / "esd", copy / "both/a")
    shutil.copytree(copy / "esd", copy / "both/b")
    with pytest.raises(InputError, match="train or test in 2 folders, .*Expected one; remove the others"):
        released.read_tree(copy / "both", "esd")
    shutil.rmtree(copy / "both/b")
    assert len(released.read_tree(copy / "both", "esd")) == 20


def test_released_missing_or_broken(copy: Path) -> None:
    with pytest.raises(InputError, match="The MTLESD tree is expected here; it is available from the authors"):
        released.read_tree(copy / "nowhere", "esd")
    (copy / "empty").mkdir()
    with pytest.raises(InputError, match="contains no image"):
        released.read_tree(copy / "empty", "esd")
    frame = released.read_tree(copy / "esd", "esd")[0]
    write_png(frame.mask, np.ones((96, 120), np.uint8))
    with pytest.raises(InputError, match=rf"{frame.mask.name}: holds the value 1; expected 0, 2, 3, 4, 5, 6, 7"):
        released.class_mask(frame, "esd")
    frame.mask.unlink()
    without = released.read_tree(copy / "esd", "esd")[0]
    with pytest.raises(InputError, match=rf"{frame.mask.name}: missing"):
        released.class_mask(without, "esd")
    (copy / "esd" / "train" / "9").mkdir()
    with pytest.raises(InputError, match=r"expected the activity folders 1 to 3 \(marking, injection, dissection"):
        released.read_tree(copy / "esd", "esd")


def test_the_order_of_released_folders_is_checked_against_the_counts(tmp_path: Path) -> None:
    def fill(order: list[str]) -> Path:
        root = tmp_path / order[0]
        for k, activity in enumerate(order, start=1):
            folder = root / "train" / str(k) / "image"
            folder.mkdir(parents=True)
            for index in range(ENDOVIS_COUNTS[activity]):
                (folder / f"{index}.png").touch()
        return root

    names = sorted(ENDOVIS_COUNTS)
    assert len(released.read_tree(fill(names), "released_mtlendovis")) == 1996
    swapped = [names[1], names[0], *names[2:]]
    with pytest.raises(InputError, match="cauterization 45 instead of 56.*another order; rename"):
        released.read_tree(fill(swapped), "released_mtlendovis")


# Pictures


def test_unreadable_pictures_are_named(tmp_path: Path) -> None:
    path = tmp_path / "frame000.png"
    with pytest.raises(InputError, match=r"frame000.png: missing"):
        read_rgb(path)
    path.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"frame000.png: it is not a readable image"):
        read_rgb(path)
    write_png(path, np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"frame000.png: it is not a readable image .*Expected a complete PNG"):
        read_rgb(path)
    Image.fromarray(np.zeros((5, 5), np.uint16)).save(path)
    with pytest.raises(InputError, match="grey of 16 bits per channel; expected RGB, grey or a palette with 8"):
        read_rgb(path)
