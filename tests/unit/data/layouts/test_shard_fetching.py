"""Shards at an address: fetched once in an epoch, with few copies at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from webdataset.cache import FileCache

from folder_sets import assert_same_samples, write_folder_set
from mtpsl.data import FolderDataset, ShardsDataset, convert_dataset
from mtpsl.data.sampler import EpochSampler
from mtpsl.errors import UserError
from mtpsl.training.data import open_split
from mtpsl.training.data_settings import DataSettings

asked: Counter[str] = Counter()


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        asked[self.path.rpartition("/")[2]] += 1
        super().do_GET()

    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A folder of shards.yaml and indices; the shards are served from `there`, their source is `source`."""
    source = write_folder_set(tmp_path / "source", splits={"train": 24, "val": 2})
    convert_dataset(source, tmp_path / "here", to="shards", shard_mb=0.015, progress=False)
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "here").glob("*.tar"):
        path.rename(tmp_path / "there" / path.name)
    asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    say(tmp_path / "here", url=f"http://127.0.0.1:{server.server_address[1]}/there/")
    yield tmp_path / "here"
    server.shutdown()
    thread.join()
    server.server_close()


def say(here: Path, **entries: object) -> None:
    content = yaml.safe_load((here / "shards.yaml").read_text())
    (here / "shards.yaml").write_text(yaml.safe_dump({**content, **entries}, sort_keys=False))


def taken(copies: Path) -> int:
    return sum(path.stat().st_size for path in copies.rglob("*.tar*"))


def test_a_set_at_an_address_gives_the_samples_of_its_source(served: Path, tmp_path: Path):
    settings = DataSettings(root=str(served), cache_folder=str(tmp_path / "copies"))
    for split in ("train", "val"):
        dataset = open_split(settings, split, None)
        assert_same_samples(FolderDataset(tmp_path / "source", split), dataset)  # type: ignore[arg-type]
    assert set(asked.values()) == {1}
    assert taken(tmp_path / "copies") == taken(tmp_path / "there")


def test_copies_take_no_more_than_their_limit_and_are_fetched_once_in_an_epoch(served: Path, tmp_path: Path):
    largest = max(path.stat().st_size for path in (tmp_path / "there").iterdir())
    assert len([*(tmp_path / "there").glob("train-*")]) > 6
    limit = 4 * largest
    options = {"size": (12, 16), "window": 1, "cache_folder": tmp_path / "copies", "cache_limit": limit / 1e9}
    dataset = ShardsDataset(served, "train", **options)  # type: ignore[arg-type]
    sampler = EpochSampler(len(dataset), shuffle=True, windows=dataset.windows)
    for index in sampler:
        dataset[index]
        assert taken(tmp_path / "copies") <= limit
    assert len(asked) == len([*(tmp_path / "there").glob("train-*")])
    assert set(asked.values()) == {1}
    sampler.set_epoch(1)
    for index in sampler:
        dataset[index]
    assert max(asked.values()) == 2


def test_a_shard_is_fetched_again_where_a_signal_stopped_curl(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    get, failures = FileCache.get_file, [OSError("exit -15")]

    def stopped(self: FileCache, url: str) -> str:
        if failures:
            (Path(self.cache_dir) / "train-000000.tar.temp1").write_bytes(b"half")
            raise failures.pop()
        return get(self, url)

    monkeypatch.setattr(FileCache, "get_file", stopped)
    assert ShardsDataset(served, "train", cache_folder=tmp_path / "copies")[0].image.shape[0] == 3
    assert not failures
    assert [path.name for path in (tmp_path / "copies").rglob("*.tar*")] == ["train-000000.tar"]


def test_what_cannot_be_fetched_is_named_and_leaves_nothing(served: Path, tmp_path: Path):
    dataset = ShardsDataset(served, "train", cache_folder=tmp_path / "copies")
    os.truncate(tmp_path / "there" / "train-000000.tar", 5120)
    with pytest.raises(
        UserError, match=r"/there/train-000000\.tar: should have \d+ bytes as train\.index says, not 5120"
    ):
        dataset[0]
    (tmp_path / "there" / "train-000000.tar").write_bytes(b"no tar")
    with pytest.raises(UserError, match=r"/there/train-000000\.tar: cannot be fetched"):
        dataset[0]
    (tmp_path / "there" / "train-000000.tar").unlink()
    with pytest.raises(UserError, match=r"/there/train-000000\.tar: cannot be fetched"):
        dataset[0]
    assert taken(tmp_path / "copies") == 0


@pytest.mark.parametrize("url", ["pipe:touch made", "file:///tmp", "https://host/a b", "https://host/'x", 7])
def test_other_addresses_are_refused(served: Path, url: object):
    say(served, url=url)
    with pytest.raises(UserError, match=r"shards\.yaml: `url` should be that of a folder, as https://HOST/FOLDER"):
        ShardsDataset(served, "train")


def test_a_limit_has_to_hold_the_shards_that_are_read_at_a_time(served: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"data\.cache_limit leaves .* raise it, or lower --data\.window"):
        ShardsDataset(served, "train", cache_folder=tmp_path / "copies", cache_limit=1e-5)
