"""HTML files as tests see them."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "link", "input", "br", "hr"}
ADDRESSES = {"src", "href", "srcset", "poster", "data", "action", "formaction", "background"}


class Page(HTMLParser):
    """The elements of a page, in order; whatever is not closed as it was opened is an error.

    Attributes:
        elements: tag and attributes of each.
        texts: the words of each element, by tag, with those of what it holds.
    """

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(content)
        self.close()
        assert not self._open, f"not closed: {[tag for tag, _ in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append((tag, []))

    def handle_endtag(self, tag: str) -> None:
        opened, words = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}> at {self.getpos()}"
        self.texts.append((tag, " ".join("".join(words).split())))
        if self._open and tag not in ("script", "style"):
            self._open[-1][1].extend([" ", *words, " "])

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][1].append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self, tag: str) -> list[str]:
        """The words of all elements of a kind."""
        return [words for name, words in self.texts if name == tag]

    def addresses(self) -> set[str]:
        """All that a browser might ask for, but for parts of the page and what it carries itself."""
        found = {value for _, attributes in self.elements for name, value in attributes.items() if name in ADDRESSES}
        return {one for one in found if not one.startswith(("data:", "#"))}
