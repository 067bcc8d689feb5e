"""What the command line says is what a user would type, and can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.evaluation.run_scores import read_run_scores
from mtpsl.training.run_folder import RunFolder


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["check"], "DATA is missing"),
        (["predict", "runs/first", "pictures"], "--out is missing"),
        (["predict"], "RUN and PICTURES and --out are missing"),
    ],
)
def test_what_is_missing_is_named_as_it_is_typed(arguments, missing, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"mtpsl: {missing} (`mtpsl {arguments[0]} --help` lists all)\n"


def test_commands_to_paste_quote_names_with_spaces(tmp_path: Path):
    run = tmp_path / "my run"
    run.mkdir()
    (run / "config.yaml").write_text("")
    with pytest.raises(UserError) as existing:
        RunFolder(run).check_new()
    with pytest.raises(UserError) as unfinished:
        read_run_scores(run)
    for error, command in ((existing, "train --resume"), (unfinished, "train --resume"), (unfinished, "evaluate")):
        assert f"`mtpsl {command} {shlex.quote(str(run))}`" in str(error.value)
    assert "another --out begins a new run" in str(existing.value)


def test_commands_that_come_next_run_as_they_are_printed(tmp_path: Path, capsys):
    scenes, packed = tmp_path / "my scenes", tmp_path / "my set"
    assert main(["scenes", str(scenes), "--train", "2", "--val", "1", "--size", "32,32"]) == 0
    assert capsys.readouterr().out.endswith(f"next: mtpsl check '{scenes}'\n")
    assert main(["convert", str(scenes), str(packed)]) == 0
    assert capsys.readouterr().out.endswith(f"next: mtpsl train --data.root '{packed}' --out runs/first\n")
