"""What jsonargparse says of a wrong option or value, in the words of a user."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

EXAMPLES = {
    "list[str]": "a list such as a,b",
    "list[float]": "a list of numbers such as 1,9",
    "tuple[int, int]": "two whole numbers such as 96,128",
    "tuple[float, float]": "two numbers such as 0.75,1.25",
    "tuple with 3 elements": "three values such as 1,2,3",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
UNION = re.compile(
    r'Parser key "(?P<key>[^"]+)": Does not validate .*? Subtypes: [\[(](?P<type>.*) Errors: .* '
    r"Given value: ?(?P<value>.*)"
)
UNKNOWN = re.compile(
    r"unrecognized arguments: --(?P<word>[^\s=]+)"
    r"|Group '(?P<group>[^']+)' does not accept option '(?P<name>[^']+)'"
    r"|Option '(?P<option>[^']+)' is not accepted"
)
GROUP = re.compile(r"""Parser key "(?P<key>[^"]+)": Unable to load config '(?P<value>[^']*)'""")
SINGLE = re.compile(r'Parser key "(?P<key>[^"]+)": Expected an? (?P<type>.*?)\. Got value: (?P<value>.*)')


def parsing_message(error: Exception) -> str:
    r"""An error's message on one line; of a value of a wrong type, the option, what it should be and what it is.

    >>> parsing_message(ValueError('Parser key "data.size": Expected a tuple[int, int]. Got value: 64'))
    '--data.size should be two whole numbers such as 96,128, not 64'
    >>> parsing_message(ValueError('Parser key "data.size": Expected a tuple[int, int]. Got value: [64]'))
    '--data.size should be two whole numbers such as 96,128, not 64'
    >>> parsing_message(ValueError('Parser key "epochs": Expected a <class \'int\'>. Got value: many'))
    '--epochs should be a whole number, not many'
    >>> union = "Subtypes: (<class 'int'>, typing.Literal['auto', 'short']) Errors: ... Given value: long"
    >>> parsing_message(ValueError(f'Parser key "epochs": Does not validate ... {union}'))
    '--epochs should be a whole number, auto or short, not long'
    >>> parsing_message(ValueError('Parser key "objective.mapping": Unable to load config \'resnet18\' - ...'))
    '--objective.mapping holds options, `--objective.mapping.NAME VALUE`, not resnet18'
    """
    text = " ".join(str(error).split())
    if group := GROUP.search(text):
        return f"--{group['key']} holds options, `--{group['key']}.NAME VALUE`, not {group['value']}"
    found = UNION.search(text) or SINGLE.search(text)
    if not found:
        return text
    kind = re.sub(r"<class '(\w+)'>", r"\1", found["type"])
    wanted = [words for name, words in EXAMPLES.items() if kind.startswith(name)][:1]
    if (choices := re.search(r"Literal\[([^\]]*)\]", kind)) and (wanted or kind.startswith("typing.Literal")):
        wanted += re.findall(r"'([^']*)'", choices[1])
    if not wanted:
        return text
    value = found["value"]
    if kind.startswith(("list", "tuple")):  # brackets that the user need not have written
        value = re.sub(r"^\[(.*)\]$", r"\1", value) or "empty"
    choice = " or ".join([*filter(None, [", ".join(wanted[:-1])]), wanted[-1]])
    return f"--{found['key']} should be {choice}, not {value}"


def unknown_option(error: Exception) -> str | None:
    """The option that an error calls unknown, None if it is about something else.

    >>> unknown_option(ValueError("unrecognized arguments: --training.epoch=3")), unknown_option(ValueError("no"))
    ('training.epoch', None)
    >>> unknown_option(ValueError("Group 'objective' does not accept option 'wieght'"))
    'objective.wieght'
    """
    found = UNKNOWN.search(" ".join(str(error).split()))
    if not found:
        return None
    if found["group"]:
        return f"{found['group']}.{found['name']}"
    return str(found["option"] or found["word"])


def unknown_message(option: str, known: Iterable[str]) -> str:
    """One line on an unknown option, with the one that was probably meant.

    >>> unknown_message("batch_size", ["training.batch_size", "data.size"])
    '--batch_size is unknown: did you mean --training.batch_size?'
    >>> unknown_message("objective.wieght", ["objective.term.weight", "training.weight_decay"])
    '--objective.wieght is unknown: did you mean --objective.term.weight?'
    >>> unknown_message("zebra", ["training.epochs"])
    '--zebra is unknown'
    """

    def likeness(candidate: str) -> tuple[float, float]:
        whole = SequenceMatcher(None, option, candidate).ratio()
        return max(whole, SequenceMatcher(None, leaf(option), leaf(candidate)).ratio()), whole

    def leaf(name: str) -> str:
        return name.rpartition(".")[2]

    best = max(known, key=likeness, default="")
    meant = f": did you mean --{best}?" if likeness(best)[0] >= 0.65 else ""
    return f"--{option} is unknown{meant}"
