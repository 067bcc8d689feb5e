"""What jsonargparse says of a wrong value, in the words of a user."""

from __future__ import annotations

import re

EXAMPLES = {
    "list[str]": "a list such as [a,b]",
    "list[float]": "a list of numbers such as [1,9]",
    "tuple[int, int]": "two whole numbers such as [96,128]",
    "tuple[float, float]": "two numbers such as [0.75,1.25]",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
UNION = re.compile(
    r'Parser key "(?P<key>[^"]+)": Does not validate .*? Subtypes: [\[(](?P<type>.*) Errors: .* '
    r"Given value: (?P<value>.*)"
)
SINGLE = re.compile(r'Parser key "(?P<key>[^"]+)": Expected an? (?P<type>.*?)\. Got value: (?P<value>.*)')


def parsing_message(error: Exception) -> str:
    r"""An error's message on one line; of a value of a wrong type, the option, what it should be and what it is.

    >>> parsing_message(ValueError('Parser key "data.size": Expected a tuple[int, int]. Got value: 64'))
    '--data.size should be two whole numbers such as [96,128], not 64'
    >>> parsing_message(ValueError('Parser key "epochs": Expected a <class \'int\'>. Got value: many'))
    '--epochs should be a whole number, not many'
    """
    text = " ".join(str(error).split())
    found = UNION.search(text) or SINGLE.search(text)
    if not found:
        return text
    kind = re.sub(r"<class '(\w+)'>", r"\1", found["type"])
    if choices := re.match(r"typing\.Literal\[([^\]]*)\]", kind):
        *most, last = re.findall(r"'([^']*)'", choices[1])
        wanted: str | None = f"{', '.join(most)} or {last}" if most else last
    else:
        wanted = next((words for name, words in EXAMPLES.items() if kind.startswith(name)), None)
    return text if wanted is None else f"--{found['key']} should be {wanted}, not {found['value']}"
