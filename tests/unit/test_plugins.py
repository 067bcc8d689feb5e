"""FILE.py:Class: what is refused, and that nothing is run without trust."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtpsl.errors import UserError
from mtpsl.objectives import Objective, Supervised
from mtpsl.plugins import CodeRecord, copy_code, load_class, named_code, running, trusting
from mtpsl.plugins.modules import IMPORTED, VARIABLE, known, sha256

HEAD = "from mtpsl.objectives import Supervised\n\n"
GOOD = HEAD + "class Mine(Supervised):\n    pass\n"
SUPPLIED = ("tasks", "network")


@pytest.fixture(autouse=True)
def nothing_is_imported() -> Iterator[None]:
    yield
    for name in [*IMPORTED, *known()]:
        sys.modules.pop(name, None)
    IMPORTED.clear()
    os.environ.pop(VARIABLE, None)


def load(file: Path, cls: str = "Mine", record: CodeRecord | None = None, *, named: bool = True) -> type[Objective]:
    record = record or CodeRecord("config.yaml")
    return load_class(f"{file}:{cls}", Objective, record, supplied=SUPPLIED, named=named)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


WRONG = {
    "no subclass": ("\nclass Mine:\n    pass\n", "line 2: Mine should be a subclass of Objective"),
    "a function": ("def Mine():\n    pass\n", "line 1: Mine should be a subclass of Objective"),
    "raises": ("\n\nx = 1 / 0\n", "line 3: cannot be imported: ZeroDivisionError: division by zero"),
    "asks for a module": ("import no_such_module\n", "line 1: cannot be imported: ModuleNotFoundError"),
    "syntax": ("\nclass Mine(:\n", "line 2: cannot be imported: SyntaxError: invalid syntax"),
    "null bytes": ("x = '\0'\n", "cannot be imported: SyntaxError"),
    "exits": ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
    "no such class": (HEAD + "class Other(Supervised):\n    pass\n", "has no class Mine: it has Other"),
    "no class": ("x = 1\n", "has no class Mine: it has none"),
    "abstract": (
        "from mtpsl.objectives import Objective\n\nclass Mine(Objective):\n    pass\n",
        "line 3: Mine lacks what every Objective has: forward",
    ),
    "untyped": (
        HEAD + "class Mine(Supervised):\n    def __init__(self, tasks, network, weight=1.0):\n        pass\n",
        "line 4: option weight of Mine has no type: write e.g. weight: float",
    ),
    "unknown type": (
        "from __future__ import annotations\n"
        + HEAD
        + "class Mine(Supervised):\n    def __init__(self, tasks, network, weight: Weight = 1.0):\n        pass\n",
        "line 5: the types of Mine's options cannot be read: NameError: name 'Weight' is not defined",
    ),
    "keywords": (
        HEAD + "class Mine(Supervised):\n    def __init__(self, tasks, network, **options):\n        pass\n",
        "line 4: Mine.__init__ should name its options one by one, with types: not **options",
    ),
    "arguments": (
        HEAD + "class Mine(Supervised):\n    def __init__(self, network, tasks):\n        pass\n",
        "line 4: Mine.__init__ should begin with (self, tasks, network)",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_plug_in_is_named_in_one_line(text: str, said: str, tmp_path: Path):
    file = write(tmp_path / "mine.py", text)
    with pytest.raises(UserError) as error:
        load(file)
    assert str(error.value).startswith(str(file))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    (tmp_path / "folder.py").mkdir()
    for name in ("none.py", "folder.py"):
        with pytest.raises(UserError, match=f"config.yaml: {tmp_path / name}: there is no such file"):
            load(tmp_path / name)


def test_a_file_is_run_only_if_it_is_named_or_trusted_or_was_run(tmp_path: Path):
    ran = tmp_path / "ran"
    file = write(tmp_path / "mine.py", f"with open({str(ran)!r}, 'a') as f:\n    f.write('x')\n{GOOD}")
    with pytest.raises(UserError, match=r"config.yaml names code, .*mine.py \(Mine\), .* --trust-code"):
        load(file, named=False)
    assert not ran.exists()
    with trusting(), trusting(False), pytest.raises(UserError, match="trust"):
        load(file, named=False)
    assert not ran.exists()
    with trusting():
        first = load(file, named=False)
    assert load(file, named=False) is first
    assert ran.read_text() == "x"
    file.write_text(f"{file.read_text()}# changed\n")
    with pytest.raises(UserError, match="trust"):
        load(file, named=False)
    assert issubclass(load(file), Supervised)
    assert ran.read_text() == "xx"


def test_what_failed_once_can_be_mended(tmp_path: Path):
    file = write(tmp_path / "mine.py", "class Mine(")
    with pytest.raises(UserError):
        load(file)
    assert issubclass(load(write(file, GOOD)), Supervised)


def test_the_copy_serves_where_the_file_is_gone_or_changed(tmp_path: Path):
    file = write(tmp_path / "mine.py", GOOD)
    hashes = named_code([load(file)])
    assert hashes == {str(file): sha256(GOOD.encode())}
    copies = tmp_path / "run" / "code"
    copy_code(hashes, copies)
    copy_code(hashes, copies)
    (copy,) = copies.iterdir()
    assert copy.read_text() == GOOD
    record = CodeRecord("RUN", hashes, copies)
    first = load(file)
    write(file, GOOD + "# changed\n")
    assert load(file, record=record) is first
    file.unlink()
    assert load(file, record=record) is first
    copy.write_text("changed")
    with pytest.raises(UserError, match=r"RUN: .*code/mine-.*py is not the file it was made with"):
        load(file, record=record)
    copy.unlink()
    with pytest.raises(UserError, match=r"RUN: .*mine.py: there is no such file, nor its copy .*: put one"):
        load(file, record=record)


def test_objects_reach_a_process_that_imported_nothing(tmp_path: Path):
    cls = load(write(tmp_path / "my file.py", GOOD + "    value = 3\n"))
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).value)"
    child = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(cls), capture_output=True, check=True)
    assert child.stdout.split() == [b"3"]


def test_what_a_constructor_raises_names_the_place(tmp_path: Path):
    text = HEAD + "class Mine(Supervised):\n    def __init__(self, tasks, network):\n        raise KeyError('a')\n"
    file = write(tmp_path / "mine.py", text)
    cls = load(file)
    with pytest.raises(UserError, match=f"{file}, line 5: Mine: KeyError: 'a'"), running(cls):
        cls([], None)  # type: ignore[arg-type]
    with pytest.raises(KeyError), running(Supervised):
        raise KeyError
