"""Names and files of very many images in arrays behave like the lists and dictionaries that they replace."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from mtpsl.data.tables import FileTable, StringTable
from mtpsl.files import files_below, leads_nowhere, names_below

STRINGS = ["b", "", "über", "a/c", "\udcff", "zz" * 40]


def test_a_table_of_strings_is_like_a_list():
    table = StringTable(STRINGS)
    assert table == STRINGS
    assert table == STRINGS
    assert table != STRINGS[1:]
    assert table != [*STRINGS[1:], "b"]
    assert [table[index] for index in range(-6, 6)] == STRINGS * 2
    assert table[1:4] == STRINGS[1:4]
    assert repr(table) == repr(STRINGS)
    assert "über" in table
    assert StringTable([]) == []
    with pytest.raises(IndexError):
        table[6]


def test_a_table_of_files_is_like_a_dictionary():
    files = {key: Path(f"/data/{place % 2}") / f"{place}.png" for place, key in enumerate(STRINGS)}
    files["x"] = Path("/x.png")
    files["here"] = Path("here.png")
    table = FileTable(files)
    assert {**table} == files
    assert [*table] == [*files]
    assert len(table) == 8
    assert "none" not in table
    assert 3 not in table
    with pytest.raises(KeyError, match="none"):
        table["none"]
    assert {**FileTable({})} == {}


def test_tables_take_a_few_bytes_per_image():
    keys = [f"scene/{index:07}" for index in range(10_000)]
    table = FileTable({key: Path(f"/a/long/folder/of/images/{key}.png") for key in keys})
    assert len(pickle.dumps(table)) < 60 * len(keys)


def test_files_are_listed_in_one_order_by_folder_and_by_name(tmp_path: Path):
    for name in ("b/2.png", "b/10.png", "a.png", "b.png", ".hidden/x.png", "b/.hidden", "c/d/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c" / "around").symlink_to(tmp_path)
    (tmp_path / "c" / "linked").symlink_to(tmp_path / "b")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.png")
    found = [*names_below(tmp_path)]
    assert [tmp_path / name for name, _ in found] == [*files_below(tmp_path)]
    assert [name for name, is_file in found if not is_file] == ["lost.png", "pipe.png"]
    assert leads_nowhere(tmp_path / "lost.png")
