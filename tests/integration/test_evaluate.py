"""Scores of a run: of its own data, of other data, of every class, on any terminal."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command import write_dataset
from PIL import Image

from made_runs import make_run
from mtpsl.cli import main
from mtpsl.training.trained import load_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "own", train=2, val=3)


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", ["--data.root", str(data)]).path


def test_scores_of_other_data_never_replace_those_of_the_run(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_dataset(tmp_path / "other", train=1, val=2, size=(64, 32))
    assert main(["evaluate", str(run)]) == 0
    before = (run / "scores.json").read_text()
    assert json.loads(before)["run"]["image_size"] == [32, 64]
    assert "scores.json keeps" not in capsys.readouterr().out
    file = tmp_path / "other.json"
    assert main(["evaluate", str(run), "--data.root", str(other), "--json", str(file), "--sheets", "1"]) == 0
    assert "scores.json keeps the scores of the run's own data (--json FILE writes these)" in capsys.readouterr().out
    assert (run / "scores.json").read_text() == before
    found = json.loads(file.read_text())
    assert found["root"] == str(other)
    assert found["scores"] != json.loads(before)["scores"]
    assert [path.name for path in (run / "pictures").iterdir()] == ["sheets-other-val"]
    (run / "scores.json").unlink()
    assert main(["evaluate", str(run), "--data.root", str(other)]) == 0
    assert not (run / "scores.json").exists()  # also where there are none yet
    assert main(["evaluate", str(run), "--data.root", str(data)]) == 0  # its own data, named
    assert json.loads((run / "scores.json").read_text())["scores"] == json.loads(before)["scores"]


def test_a_run_that_knows_no_data_belongs_to_the_first_it_is_scored_on(data: Path, tmp_path: Path) -> None:
    tasks = load_run(make_run(tmp_path / "known", ["--data.root", str(data)]).path).tasks
    run = make_run(tmp_path / "run", [], tasks).path
    assert main(["evaluate", str(run), "--data.root", str(data)]) == 0
    before = (run / "scores.json").read_text()
    other = write_dataset(tmp_path / "other", train=1, val=2)
    assert main(["evaluate", str(run), "--data.root", str(other)]) == 0
    assert (run / "scores.json").read_text() == before


def test_sheets_of_the_validation_images_lie_where_training_draws_them(run: Path) -> None:
    assert main(["evaluate", str(run), "--sheets", "2"]) == 0
    assert main(["evaluate", str(run), "--split", "train", "--sheets", "1"]) == 0
    sheets = sorted(path.relative_to(run / "pictures").as_posix() for path in (run / "pictures").rglob("*.png"))
    assert sheets == ["sheets-train/000.png", "sheets/000.png", "sheets/001.png"]


def test_json_holds_the_iou_of_every_class(run: Path, data: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(run), "--json", str(tmp_path / "a.json")]) == 0
    found = json.loads((tmp_path / "a.json").read_text())
    network, hits, union = load_run(run).network, np.zeros(3), np.zeros(3)
    for number in range(3):
        image = np.asarray(Image.open(data / f"val/image/{number:03}.png"))
        label = np.asarray(Image.open(data / f"val/segmentation/{number:03}.png"))
        with torch.no_grad():
            raw = network(torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255).predictions
        classes = raw["segmentation"][0].argmax(0).numpy()
        hits += [((classes == c) & (label == c)).sum() for c in range(3)]
        union += [((classes == c) | (label == c)).sum() for c in range(3)]
    assert found["class_iou"] == {"segmentation": pytest.approx(dict(zip("abc", 100 * hits / union, strict=True)))}
    assert np.mean([*found["class_iou"]["segmentation"].values()]) == pytest.approx(
        found["scores"]["segmentation"]["miou"]["value"]
    )


def test_the_objective_is_built_only_where_it_is_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--objective", "cross_task", "--objective.mapping.width", "0.125"]
    run = make_run(tmp_path / "run", ["--data.root", str(data), *options]).path
    with monkeypatch.context() as patch:
        patch.setattr("mtpsl.training.trained.build_objective", lambda *_: pytest.fail("it was built"))
        assert main(["evaluate", str(run)]) == 0
        assert main(["predict", str(run), str(data / "val/image"), "--out", str(tmp_path / "out")]) == 0
    stored = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name, value in load_run(run).objective.state_dict().items():
        assert torch.equal(value, stored[f"objective.{name}"])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_tables_and_names_are_printed_in_any_encoding(
    data: Path, tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    strange = data.rename(data.with_name("Straße Δ"))
    make_run(tmp_path / "run", ["--data.root", str(strange)])
    try:
        for words in (["evaluate", "run"], ["check", str(strange)], ["compare", "run"], ["recipes"]):
            stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            monkeypatch.setattr(sys, "stdout", stream)
            assert main(words) == 0
            stream.flush()
            text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
            assert words[0] != "evaluate" or text.count("↑" if encoding == "utf-8" else "^") >= 2
    finally:
        strange.rename(data)
