from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtpsl.errors import UserError
from mtpsl.evaluation.run_scores import UnfinishedRunError, load_runs, read_run_scores
from mtpsl.structures import Score
from run_folders import run_content, write_run

THREE = {"segmentation": 25.0, "depth": 0.5, "normals": 26.0}


def test_a_run_is_read_as_written(tmp_path: Path):
    run = read_run_scores(write_run(tmp_path, "cross_task", THREE, seed=3))
    assert (run.objective, run.regime, run.seed, run.commit) == ("cross_task", "one", 3, "c0ffee")
    assert run.tasks == ("segmentation", "depth", "normals")
    assert str(run.setting) == "rooms (val), segnet, 96 x 128, 20 epochs"
    assert run.scores["depth"] == {"abs_err": Score(0.5, "m", False), "rmse": Score(1.0, "m", False)}
    assert run.primary_scores()["segmentation"] == Score(25.0, "%", True)


def test_a_label_is_the_name_in_tables_and_runs_without_one_have_their_objectives(tmp_path: Path):
    plain, named = (
        write_run(tmp_path, "supervised", THREE),
        write_run(tmp_path, "supervised", THREE, seed=1, label="mgda"),
    )
    assert (read_run_scores(plain).method, read_run_scores(named).method) == ("supervised", "mgda")
    assert read_run_scores(named).objective == "supervised"


@pytest.mark.parametrize("written", [None, math.nan, math.inf])
def test_a_score_that_is_no_number_is_nan(tmp_path: Path, written: float | None):
    folder = write_run(tmp_path, "supervised", THREE)
    content = run_content("supervised", THREE)
    content["scores"]["depth"]["abs_err"]["value"] = written
    (folder / "scores.json").write_text(json.dumps(content))
    assert math.isnan(read_run_scores(folder).scores["depth"]["abs_err"].value)


def test_what_is_not_a_run_says_so(tmp_path: Path):
    (tmp_path / "file").touch()
    for name, state in {"gone": "not there", "file": "not a folder", ".": "a folder without config.yaml"}.items():
        with pytest.raises(UserError, match=f"should be the folder of a run, but is {state}"):
            read_run_scores(tmp_path / name)


def test_an_unfinished_run_says_what_to_do(tmp_path: Path):
    half = write_run(tmp_path, "supervised", THREE, complete=False, epochs=20)
    with pytest.raises(UnfinishedRunError, match=r"stopped at epoch 20 of 20: `mtpsl train --resume .*` goes on"):
        read_run_scores(half)
    (half / "scores.json").unlink()
    with pytest.raises(UnfinishedRunError, match=r"no scores.json yet: train it to the end .* or run `mtpsl evaluate "):
        read_run_scores(half)


def test_scores_of_an_earlier_epoch_are_not_taken_for_the_last(tmp_path: Path):
    folder = write_run(tmp_path, "supervised", THREE)
    (folder / "scores.json").write_text(json.dumps(run_content("supervised", THREE) | {"epoch": 19}))
    with pytest.raises(UnfinishedRunError, match="stopped at epoch 19 of 20"):
        read_run_scores(folder)


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return change


BROKEN = {
    "run: seed should be a whole number, but is '0'": _set("run", "seed", to="0"),
    "run: seed should be a whole number, but is True": _set("run", "seed", to=True),
    "run: regime should be text, but is absent": lambda content: content["run"].pop("regime"),
    "run: label should be text, but is 3": _set("run", "label", to=3),
    "split should be text, but is 3": _set("split", to=3),
    "run should be an object, but is []": _set("run", to=[]),
    "image_size should be [height, width], not [96]": _set("run", "image_size", to=[96]),
    "tasks should be a list of names, not []": _set("run", "tasks", to=[]),
    "(stl) should have one task, not segmentation, depth, normals": _set("run", "objective", to="stl"),
    "scores: depth should be an object, but is absent": lambda content: content["scores"].pop("depth"),
    "abs_err: value should be a number or null, but is 'low'": _set("scores", "depth", "abs_err", "value", to="low"),
    "abs_err: value should be a number or null, but is 'absent'": lambda content: content["scores"]["depth"][
        "abs_err"
    ].pop("value"),
    "depth should have one primary score, not 0": _set("scores", "depth", "abs_err", "primary", to=False),
    "depth should have one primary score, not 2": _set("scores", "depth", "rmse", "primary", to=True),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_file_is_named_with_what_is_wrong_in_one_line(tmp_path: Path, message: str):
    folder = write_run(tmp_path, "supervised", THREE)
    content = run_content("supervised", THREE)
    BROKEN[message](content)
    (folder / "scores.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_run_scores(folder)
    assert str(folder / "scores.json") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", "[" * 100_000])
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, text: str):
    folder = write_run(tmp_path, "supervised", THREE)
    (folder / "scores.json").write_text(text)
    with pytest.raises(UserError, match=r"scores\.json"):
        read_run_scores(folder)


def test_runs_are_found_at_any_depth_and_counted_once(tmp_path: Path):
    first = write_run(tmp_path / "a" / "deep", "supervised", THREE)
    second = write_run(tmp_path / "b", "supervised", THREE, seed=1)
    write_run(first / "inside", "supervised", THREE, seed=2)  # a run's own folders are not searched
    runs, notes = load_runs([tmp_path, tmp_path / "a" / ".." / "b", second])
    assert [run.path for run in runs] == [first, second]
    assert notes == []


def test_an_unfinished_run_is_left_out_with_a_note_unless_it_is_named_itself(tmp_path: Path):
    write_run(tmp_path, "supervised", THREE)
    half = write_run(tmp_path, "supervised", THREE, seed=1, complete=False)
    runs, (note,) = load_runs([tmp_path])
    assert [run.seed for run in runs] == [0]
    assert note.startswith(f"left out: {half} stopped at epoch 20")
    with pytest.raises(UnfinishedRunError):
        load_runs([tmp_path, half])


def test_a_folder_without_runs_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"or hold some, but no config.yaml is in it or below"):
        load_runs([tmp_path])
