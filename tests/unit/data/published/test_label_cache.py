import json
import os

import numpy as np
import pytest

from mtpsl.data.published import label_cache as derived_module
from mtpsl.data.published.label_cache import DerivedLabels, LateProgress
from mtpsl.errors import UserError


class Derive:
    """Makes a 2 x 3 label of the number in a file, None of 0, and remembers which files it opened."""

    def __init__(self):
        self.opened = []

    def __call__(self, path):
        self.opened.append(path.stem)
        number = int(path.read_text())
        if number < 0:
            raise KeyboardInterrupt
        return np.full((2, 3), number, np.uint8) if number else None


@pytest.fixture
def sources(tmp_path):
    paths = {key: tmp_path / f"{key}.mat" for key in "abcd"}
    for number, path in enumerate(paths.values()):
        path.write_text(str(number))
    return paths


@pytest.fixture
def derive():
    return Derive()


def change(path, text):
    """Another content, of another time even on a coarse clock."""
    status = path.stat()
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def test_a_label_is_computed_once(tmp_path, sources, derive):
    labels = DerivedLabels(tmp_path / "cache")
    for _ in range(2):
        assert labels.read("edges", "c", sources["c"], derive).tolist() == [[2, 2, 2], [2, 2, 2]]
    assert DerivedLabels(tmp_path / "cache").read("edges", "c", sources["c"], derive)[0, 0] == 2
    assert derive.opened == ["c"]
    assert [path.name for path in (tmp_path / "cache" / "edges").iterdir()] == ["c.png"]


def test_a_label_is_computed_again_when_its_source_changed(tmp_path, sources, derive):
    labels = DerivedLabels(tmp_path / "cache")
    labels.read("edges", "c", sources["c"], derive)
    change(sources["c"], "7")
    assert labels.read("edges", "c", sources["c"], derive)[0, 0] == 7
    assert derive.opened == ["c", "c"]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\nbroken", None])
def test_a_damaged_label_is_computed_again(tmp_path, sources, derive, content):
    labels = DerivedLabels(tmp_path / "cache")
    labels.read("edges", "c", sources["c"], derive)
    path = tmp_path / "cache" / "edges" / "c.png"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    assert labels.read("edges", "c", sources["c"], derive)[0, 0] == 2
    assert derive.opened == ["c", "c"]


def test_a_label_of_another_version_is_computed_again(tmp_path, sources, derive, monkeypatch):
    labels = DerivedLabels(tmp_path / "cache")
    labels.existing("edges", sources, derive, "")
    monkeypatch.setattr(derived_module, "VERSION", -1)
    labels.existing("edges", sources, derive, "")
    labels.read("edges", "c", sources["c"], derive)
    assert derive.opened == [*"abcd"] * 2


def test_which_labels_exist_is_known_without_opening_a_source_again(tmp_path, sources, derive):
    expected = {"a": False, "b": True, "c": True, "d": True}
    assert DerivedLabels(tmp_path / "cache").existing("parts", sources, derive, "") == expected
    assert DerivedLabels(tmp_path / "cache").existing("parts", sources, derive, "") == expected
    assert derive.opened == [*"abcd"]
    assert DerivedLabels(tmp_path / "cache").read("parts", "b", sources["b"], derive)[0, 0] == 1
    assert derive.opened == [*"abcd"]
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.png")) == ["b.png", "c.png", "d.png"]


def test_only_new_and_changed_sources_are_opened_again(tmp_path, sources, derive):
    labels = DerivedLabels(tmp_path / "cache")
    labels.existing("parts", {key: sources[key] for key in "ab"}, derive, "")
    change(sources["b"], "0")
    assert labels.existing("parts", sources, derive, "") == {"a": False, "b": False, "c": True, "d": True}
    assert derive.opened == [*"ab", *"bcd"]
    assert labels.existing("parts", {key: sources[key] for key in "ba"}, derive, "") == {"b": False, "a": False}
    assert len(derive.opened) == 5


def test_an_interrupted_search_goes_on_where_it_was(tmp_path, sources, derive):
    labels = DerivedLabels(tmp_path / "cache")
    change(sources["c"], "-1")
    with pytest.raises(KeyboardInterrupt):
        labels.existing("parts", sources, derive, "")
    change(sources["c"], "5")
    assert labels.existing("parts", sources, derive, "") == {"a": False, "b": True, "c": True, "d": True}
    assert derive.opened == [*"abc", *"cd"]


def test_a_killed_search_loses_at_most_two_seconds(tmp_path, sources, derive, monkeypatch):
    monkeypatch.setattr(derived_module, "SAVE_EVERY", 0.0)
    listed = []

    def look(path):
        if path.stem != "a":  # what a kill at this moment would leave
            listed.append([*json.loads((tmp_path / "cache" / "parts.json").read_text())])
        return derive(path)

    DerivedLabels(tmp_path / "cache").existing("parts", sources, look, "")
    assert listed == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_two_searches_at_a_time_keep_each_others_results(tmp_path, sources, derive):
    def look(path):
        DerivedLabels(tmp_path / "cache").existing("parts", {"a": sources["a"]}, derive, "")
        return derive(path)

    DerivedLabels(tmp_path / "cache").existing("parts", {"b": sources["b"]}, look, "")
    assert sorted(json.loads((tmp_path / "cache" / "parts.json").read_text())) == ["a", "b"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 3}', '{"a": ["x"]}', '{"a": ["x", "yes"]}', "[" * 10**5])
def test_a_damaged_list_is_made_again(tmp_path, sources, derive, content):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "parts.json").write_text(content)
    assert DerivedLabels(tmp_path / "cache").existing("parts", sources, derive, "")["b"]


def test_a_folder_that_cannot_be_written_is_named_with_its_option(tmp_path, sources, derive):
    (tmp_path / "cache").write_text("a file")
    labels = DerivedLabels(tmp_path / "cache")
    for call in (
        lambda: labels.read("edges", "c", sources["c"], derive),
        lambda: labels.existing("edges", sources, derive, ""),
    ):
        with pytest.raises(UserError, match=r"cache.*cannot be written \(.*--data\.label_cache \(check, convert"):
            call()


def test_a_missing_source_and_a_label_that_is_gone_are_named(tmp_path, sources, derive):
    labels = DerivedLabels(tmp_path / "cache")
    with pytest.raises(UserError, match=r"gone\.mat: is missing"):
        labels.read("edges", "gone", tmp_path / "gone.mat", derive)
    with pytest.raises(UserError, match=r"a\.mat: has no label of parts any more: start again"):
        labels.read("parts", "a", sources["a"], derive)


def test_the_bar_shows_only_after_its_time(capsys):
    with LateProgress("looking", 3) as quick:
        quick.advance()
    assert quick.bar is None
    assert capsys.readouterr().err == ""
    with LateProgress("looking", 3, after=0.0) as slow:
        slow.advance()
        slow.advance()
    assert slow.bar is not None
    assert slow.bar.tasks[0].completed == 2
    assert capsys.readouterr().out == ""
