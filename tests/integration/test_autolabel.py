"""A data set in which runs fill labels that are missing: marked, sure ones only, none over a label."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from command import PLAIN, write_dataset
from PIL import Image

from mtpsl.cli import main
from mtpsl.data.layouts.folder import FolderDataset
from mtpsl.training.autolabel.predict import Drafts

OPTIONS = [
    *PLAIN,
    "--network.width", "0.0625",
    "--objective.name", "supervised",
    "--training.batch_size", "2",
    "--training.accelerator", "cpu",
    "--training.sheets", "0",
    "--training.report", "false",
    "--training.epochs", "1",
    "--quiet",
]  # fmt: skip
TASKS = ("segmentation", "depth", "normals")
MISSING = {"segmentation": (0, 1, 2), "depth": (2, 3, 4), "normals": (0, 5)}
"""The training images without a label, by task."""


def train(data: Path, out: Path, *words: str) -> int:
    return main(["train", "--data.root", str(data), "--out", str(out), *OPTIONS, *words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `data`, with labels missing, and `run`, trained on it; of three classes one is never predicted surely."""
    folder = tmp_path_factory.mktemp("autolabel")
    data = write_dataset(folder / "data", size=(32, 32))
    for task, images in MISSING.items():
        for image in images:
            (data / "train" / task / f"{image:03}.png").unlink()
    camera = {"file": "views.csv", "name": "id", "focal": "f", "size": [32, 32]}
    content = yaml.safe_load((data / "dataset.yaml").read_text())
    (data / "dataset.yaml").write_text(yaml.safe_dump({**content, "camera": camera}, sort_keys=False))
    (data / "views.csv").write_text("id,f\n000,40\n")
    assert train(data, folder / "run") == 0
    return folder


@pytest.fixture(scope="module")
def filled(made: Path) -> Path:
    assert label(made, made / "filled") == 0
    return made / "filled"


def label(
    made: Path, out: Path, *words: str, data: Path | None = None, run: Path | None = None, more: Sequence[Path] = ()
) -> int:
    runs = [run or made / "run", *more]
    return main(["autolabel", *map(str, runs), str(data or made / "data"), "--out", str(out), *words])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_labels_are_copied_bit_for_bit_and_those_that_are_missing_are_filled(made: Path, filled: Path) -> None:
    before, after = files(made / "data"), files(filled)
    description = {"dataset.yaml"}
    assert all(after[name] == content for name, content in before.items() if name not in description)
    new = {name for name in after if name not in before and name != "source.json"}
    assert all(name.startswith("autolabels/train/") for name in new)
    suffixes = {"segmentation": "png", "depth": "npy", "normals": "npy"}
    wanted = {f"autolabels/train/{t}/{i:03}.{suffixes[t]}" for t, images in MISSING.items() for i in images}
    assert new <= wanted
    assert {name for name in wanted if "depth" in name or "normals" in name} <= new
    content = yaml.safe_load((filled / "dataset.yaml").read_text())
    mark = content.pop("autolabels")
    assert content == yaml.safe_load((made / "data" / "dataset.yaml").read_text())
    assert (mark["run"], mark["epoch"], mark["hidden"]) == ("run", 1, False)
    assert not [path for path in made.iterdir() if path.name.startswith(".")]


def test_a_share_of_the_pixels_counts_over_all_images(filled: Path) -> None:
    depth = [np.load(path) for path in sorted((filled / "autolabels/train/depth").iterdir())]
    known = np.isfinite(np.stack(depth)).mean()
    assert known == pytest.approx(0.8, abs=0.02)
    data = FolderDataset(filled, "train")
    for index in MISSING["normals"]:
        target, valid = data.label(index, "normals", (32, 32))
        assert np.allclose(target.norm(dim=0)[valid], 1, atol=1e-5)
        assert not target[:, ~valid].any()
    for path in (filled / "autolabels/train/segmentation").iterdir():
        assert {*np.unique(np.asarray(Image.open(path))).tolist()} <= {0, 1, 2, 255}


def test_training_and_check_know_the_new_data_set(
    made: Path, filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["check", str(filled), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    tasks = report["splits"]["train"]["tasks"]
    assert [tasks[name]["predicted"] for name in ("depth", "normals")] == [3, 2]
    assert tasks["depth"]["labels"] == 6
    assert all(task["predicted"] == 0 for task in report["splits"]["val"]["tasks"].values())
    assert any("train/depth: labels of 3 images are predicted by the run run (epoch 1" in x for x in report["notes"])
    assert main(["check", str(filled)]) == 0
    assert "3 predicted" in capsys.readouterr().out
    assert train(filled, tmp_path / "again") == 0
    assert main(["convert", str(filled), str(tmp_path / "packed")]) == 0


def test_a_label_that_is_given_goes_before_one_that_is_predicted(filled: Path, tmp_path: Path) -> None:
    data = shutil.copytree(filled, tmp_path / "data")
    (index,) = [i for i in MISSING["depth"] if i == 2]
    Image.fromarray(np.full((32, 32), 7000, np.uint16)).save(data / "train/depth/002.png")
    dataset = FolderDataset(data, "train")
    assert dataset.label(index, "depth", (32, 32))[0].unique().tolist() == [7.0]
    assert dataset.predicted is not None
    assert dataset.predicted[:, [*dataset.tasks].index("depth")].tolist() == [False, False, False, True, True, False]


def test_a_call_that_was_interrupted_goes_on(made: Path, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = made / "interrupted"
    predicted: list[object] = []
    kept = Drafts.predict

    def stop(self: Drafts, predictor: object) -> object:
        for count, _ in enumerate(kept(self, predictor)):  # type: ignore[arg-type]
            if count == 2:
                raise KeyboardInterrupt
            yield

    monkeypatch.setattr(Drafts, "predict", stop)
    assert label(made, out) == 2
    assert not out.exists()
    monkeypatch.setattr(Drafts, "predict", kept)
    assert label(made, out, "--confidence.probability", "0.7") == 2  # begun with other options
    raw = "mtpsl.training.autolabel.predict.judge_picture"
    judge = __import__("mtpsl.training.autolabel.predict", fromlist=["judge_picture"]).judge_picture
    monkeypatch.setattr(raw, lambda *arguments: (predicted.append(1), judge(*arguments))[1])
    assert label(made, out) == 0
    assert len(predicted) == 6 - 3
    assert files(out) == files(filled)
    assert label(made, made / "other", "--force") == 0


def test_labels_that_the_regime_hid_are_left_out_and_filled(made: Path, tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data", size=(32, 32)), tmp_path / "run"
    assert train(data, run, "--data.regime", "one", "--data.limit", "5") == 0
    assert label(made, tmp_path / "all", data=data, run=run) == 2  # every label exists
    assert label(made, tmp_path / "filled", "--hidden", data=data, run=run) == 0
    assert len([*(tmp_path / "filled/train/image").iterdir()]) == 5
    given = [path for task in TASKS for path in (tmp_path / "filled/train" / task).glob("*")]
    assert len(given) == 5
    assert all(path.read_bytes() == (data / path.relative_to(tmp_path / "filled")).read_bytes() for path in given)
    dataset = FolderDataset(tmp_path / "filled", "train")
    assert len(dataset) == 5
    assert dataset.predicted is not None
    assert dataset.predicted[:, [*dataset.tasks].index("depth")].sum() == 5 - len(
        [path for path in given if "depth" in path.parts]
    )
    validation = [path for path in (tmp_path / "filled/val").rglob("*") if path.is_file()]
    assert len(validation) == 4 * 3


def test_several_runs_label_together_with_their_mean(made: Path, filled: Path, tmp_path: Path) -> None:
    longer = ["--training.epochs", "4"]
    assert train(made / "data", tmp_path / "second", "--training.seed", "1", *longer) == 0
    everything = ["--confidence.value_share", "1"]
    for name, runs in {"one": ["run"], "two": ["second"], "both": ["run", "second"]}.items():
        first, *more = [made / run if run == "run" else tmp_path / run for run in runs]
        assert label(made, tmp_path / name, *everything, run=first, more=more) == 0
    one, two, both = (
        np.stack([np.load(tmp_path / name / f"autolabels/train/depth/{i:03}.npy") for i in MISSING["depth"]])
        for name in ("one", "two", "both")
    )
    compared = (one > 0) & (two > 0)  # below, a label is 0, whatever is predicted
    assert compared.any()
    assert np.abs(one - two)[compared].max() > 1e-3
    assert np.allclose(both[compared], ((one + two) / 2)[compared], atol=1e-6)
    mark = yaml.safe_load((tmp_path / "both/dataset.yaml").read_text())["autolabels"]
    assert [mark["run"], *(other["run"] for other in mark["others"])] == ["run", "second"]
    assert train(tmp_path / "both", tmp_path / "again") == 0


def test_runs_that_saw_other_labels_are_refused_for_hidden_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_dataset(tmp_path / "data", size=(32, 32))
    for name, seed, label_seed in (("a", "0", "0"), ("b", "1", "0"), ("c", "1", "1")):
        words = ["--data.regime", "one", "--training.seed", seed, "--data.label_seed", label_seed]
        assert train(data, tmp_path / name, *words) == 0
    runs = [tmp_path / name for name in "abc"]
    assert label(tmp_path, tmp_path / "filled", "--hidden", data=data, run=runs[0], more=runs[1:2]) == 0
    capsys.readouterr()
    assert label(tmp_path, tmp_path / "other", "--hidden", data=data, run=runs[0], more=runs[2:]) == 2
    error = capsys.readouterr().err
    assert "saw other labels" in error
    assert "--data.label_seed" in error
    assert label(tmp_path, tmp_path / "other", "--hidden", data=data, run=runs[0], more=runs[:1]) == 2
    assert "each run should be given once" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_what_no_pixel_is_sure_of_gets_no_label(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--confidence.probability", "1", "--confidence.class_share", "0", "--confidence.value_share", "0"]
    assert label(made, made / "nothing", *words) == 2
    assert "is sure of no pixel" in capsys.readouterr().err
    assert label(made, made / "some", *words[:5], "0.5") == 0
    assert not (made / "some/autolabels/train/segmentation").exists()
    assert len([*(made / "some/autolabels/train/depth").iterdir()]) >= 2


def test_only_the_chosen_tasks_are_filled(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(made, made / "depth", "--tasks", "depth") == 0
    assert "predicted depth of 3 images" in capsys.readouterr().out
    assert [path.name for path in (made / "depth/autolabels/train").iterdir()] == ["depth"]


def edited(made: Path, tmp_path: Path, **changes: object) -> Path:
    data = shutil.copytree(made / "data", tmp_path / "edited")
    content = yaml.safe_load((data / "dataset.yaml").read_text())
    content["tasks"] = {k: v for k, v in {**content["tasks"], **changes}.items() if v is not None}
    (data / "dataset.yaml").write_text(yaml.safe_dump(content))
    return data


def test_the_same_call_again_does_nothing_and_another_one_is_refused(
    made: Path, filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "filled"
    assert label(made, out) == 0
    first, before = capsys.readouterr().out, files(out)
    lock = tmp_path / ".filled.lock"  # a process was killed between the folder's appearance and its last words
    lock.touch()
    assert label(made, out) == 0
    assert (capsys.readouterr().out, files(out)) == (first, before)
    assert not lock.exists()
    assert label(made, out, "--confidence.value_share", "0.5") == 2
    assert "exists and is not an empty folder" in capsys.readouterr().err
    assert files(out) == before


WRONG = {
    "an existing folder": ("exists and is not an empty folder", {}),
    "a folder inside": ("should lie outside the data set", {}),
    "other classes": ("segmentation has num_classes 4, but the network was trained with 3", {"segmentation": 4}),
    "a task that the set lacks": ("has no task depth, which", {"depth": None}),
    "an unknown task": ("does not predict 'edges'", {}),
    "no run": ("is not a run folder", {}),
    "no data": ("no such", {}),
    "a wrong share": ("--confidence.class_share is a share of a class's pixels", {}),
    "predicted labels": ("has labels predicted by the run run", {}),
    "another layout": ("mtpsl convert", {}),
    "nothing missing": (
        "has a label of depth, normals, segmentation: there is nothing to fill",
        {},
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_line(
    case: str, made: Path, filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message, changes = WRONG[case]
    out, words, data, run = tmp_path / "out", [], made / "data", made / "run"
    if "segmentation" in changes:
        data = edited(made, tmp_path, segmentation={"classes": ["a", "b", "c", "d"], "ignore": 255})
    elif "depth" in changes:
        data = edited(made, tmp_path, depth=None)
        shutil.rmtree(data / "train/depth")
    elif case == "an existing folder":
        out = made / "run"
    elif case == "a folder inside":
        out = made / "data" / "out"
    elif case == "an unknown task":
        words = ["--tasks", "edges"]
    elif case == "no run":
        run = made / "data"
    elif case == "no data":
        data = made / "nowhere"
    elif case == "a wrong share":
        words = ["--confidence.class_share", "1.5"]
    elif case == "predicted labels":
        data = filled
    elif case == "another layout":
        assert main(["convert", str(made / "data"), str(tmp_path / "packed")]) == 0
        data = tmp_path / "packed"
    elif case == "nothing missing":
        data = write_dataset(tmp_path / "whole", size=(32, 32))
    before = set(made.rglob("*"))
    capsys.readouterr()
    assert label(made, out, *words, data=data, run=run) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert set(made.rglob("*")) == before
    assert not (tmp_path / "out").exists()
