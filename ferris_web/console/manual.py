"""The documentation as pages of the console: the Markdown files of `docs/`, their order, and a search over them.

`docs/README.md` is the table of contents, here and wherever the repository is read. The arrangement by tutorial,
how-to, reference and explanation is that of https://diataxis.fr.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from django.contrib.staticfiles.finders import find
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ferris.config import ROOT
from ferris.errors import NotFound
from ferris_web.console import presentation, reference
from ferris_web.console.picture_names import picture_name

_DOCS = ROOT / "docs"
_STATIC = ROOT / "ferris_web" / "console" / "static"
# Pages that lie elsewhere in the repository, and the one that goes on with what the commands say themselves.
_ELSEWHERE = {"compose": ROOT / "compose" / "README.md"}
_COMMANDS = "commands"
_SUFFIXES = {"python": "py", "bash": "sh"}
MOST_FOUND = 30
_EXCERPT = 160


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the table of contents: its title and its pages as (name, title)."""

    title: str
    pages: tuple[tuple[str, str], ...]


_TITLES = {
    "Tutorial": _("Tutorial"),
    "How to": _("How to"),
    "Reference": _("Reference"),
    "Explanation": _("Explanation"),
}


def groups() -> list[tuple[Group, str]]:
    """The table of contents, each part with its title in the reader's language. Pages are in English, and so are their
    titles."""
    return [(group, str(_TITLES.get(group.title, group.title))) for group in contents()]


@dataclass(frozen=True, slots=True)
class Page:
    """A page: `html` is safe, `headings` are (anchor, text) of its second level."""

    name: str
    title: str
    html: SafeString
    headings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A section that holds every word looked for; `excerpt` marks them and is safe."""

    page: str
    title: str
    heading: str
    anchor: str
    excerpt: SafeString


@dataclass(frozen=True, slots=True)
class _Section:
    page: str
    title: str
    heading: str
    anchor: str
    text: str


@cache
def contents() -> tuple[Group, ...]:
    """The table of contents in the order of `docs/README.md`."""
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for line in (_DOCS / "README.md").read_text().splitlines():
        if line.startswith("## "):
            groups.append((line[3:], []))
        elif found := re.match(r"- \[(.+?)\]\((\S+?)\)", line):
            name = _page_behind(_DOCS / "README.md", found[2])
            if name is not None:
                groups[-1][1].append((name, found[1]))
    dict(groups)["Reference"].append((_COMMANDS, "Each command with all its options"))
    return tuple(Group(title, tuple(pages)) for title, pages in groups if pages)


@cache
def decisions() -> tuple[tuple[str, str], ...]:
    """(page, title) of every decision, in the order they were taken."""
    return tuple((name, page(name).title) for name in _sources() if name.startswith("decisions/"))


@cache
def page(name: str) -> Page:
    """The page of that name; NotFound."""
    source = _sources().get(name)
    if source is None:
        raise NotFound(f"the documentation has no page {name!r}")
    tokens = _parse(_text(name))
    title = _inline_text(tokens[1]) if tokens and tokens[0].tag == "h1" else name
    body = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens
    headings = tuple(
        (str(token.attrs["id"]), _inline_text(body[place + 1]))
        for place, token in enumerate(body)
        if token.type == "heading_open" and token.tag == "h2"
    )
    for token in body:
        opened: Token | None = None
        for child in token.children or ():
            if child.type == "link_open":
                opened = child
                _lead(child, source)
            elif child.type == "link_close" and opened is not None:
                child.tag = opened.tag
            elif child.type == "image":
                _show(child, source)
    html = _parser().renderer.render(body, _parser().options, {})
    html = html.replace("<th></th>", "<td></td>")  # what is empty heads nothing
    return Page(name, title, mark_safe(html), headings)  # noqa: S308 - our own files, and raw HTML is off


def search(query: str) -> list[Hit]:
    """The sections that hold every word of `query`, those with the words in their headings first."""
    words = query.casefold().split()
    if not words:
        return []
    found: list[tuple[int, int, _Section]] = []
    for order, section in enumerate(_sections()):
        heading, text = f"{section.title} {section.heading}".casefold(), section.text.casefold()
        if all(word in heading or word in text for word in words):
            worth = sum(10 * (word in heading) + min(5, text.count(word)) for word in words)
            found.append((-worth, order, section))
    return [
        Hit(s.page, s.title, s.heading, s.anchor, _excerpt(s.text, words))
        for _, _, s in sorted(found, key=lambda one: one[:2])[:MOST_FOUND]
    ]


def _excerpt(text: str, words: list[str]) -> SafeString:
    places = [place for word in words if (place := text.casefold().find(word)) >= 0]
    start = max(0, min(places, default=0) - _EXCERPT // 3)
    if start:
        start = text.find(" ", start) + 1
    piece = text[start : start + _EXCERPT]
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    parts = re.split(f"({pattern})", piece, flags=re.IGNORECASE)
    marked = "".join(
        f"<mark>{escape(part)}</mark>" if at % 2 else str(escape(part)) for at, part in enumerate(parts)
    )
    ends = ("… " if start else ""), (" …" if start + _EXCERPT < len(text) else "")
    return mark_safe(ends[0] + marked + ends[1])  # noqa: S308 - every part is escaped


@cache
def _sources() -> dict[str, Path]:
    """The file behind each page."""
    pages = {
        path.relative_to(_DOCS).with_suffix("").as_posix(): path
        for path in sorted(_DOCS.rglob("*.md"))
        if path.name != "README.md"
    }
    elsewhere = {
        name: path for name, path in _ELSEWHERE.items() if path.exists()
    }  # an image has no compose/README
    return {"": _DOCS / "README.md", **pages, **elsewhere}


def _text(name: str) -> str:
    text = _sources()[name].read_text()
    return text + reference.commands() if name == _COMMANDS else text


@cache
def _sections() -> tuple[_Section, ...]:
    return tuple(section for name in _sources() if name for section in _sections_of(name))


def _sections_of(name: str) -> Iterator[_Section]:
    tokens = _parse(_text(name))
    title = heading = anchor = ""
    texts: list[str] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag in ("h1", "h2", "h3"):
            if texts:
                yield _Section(name, title, heading, anchor, " ".join(texts))
            heading, anchor, texts = _inline_text(tokens[place + 1]), str(token.attrs["id"]), []
            if token.tag == "h1":
                title, anchor = heading, ""
        elif token.type == "inline" and tokens[place - 1].type != "heading_open":
            texts.append(_inline_text(token))
        elif token.type == "fence" and token.info != "mermaid":
            texts.append(" ".join(token.content.split()))
    if texts:
        yield _Section(name, title, heading, anchor, " ".join(texts))


def _page_behind(source: Path, link: str) -> str | None:
    """The name of the page that a relative link leads to; None where it leads to no page."""
    target = (source.parent / link).resolve()
    return next((name for name, path in _sources().items() if path == target), None)


def _lead(link: Token, source: Path) -> None:
    """Turns a link between files into one between pages; what is no page becomes plain text."""
    href = str(link.attrs["href"])
    if "://" in href or href.startswith(("#", "mailto:")):
        link.attrs["rel"] = "noopener noreferrer"
        return
    path, _, anchor = href.partition("#")
    if (source.parent / path).resolve() == ROOT / "README.md":
        name: str | None = ""
    elif (source.parent / path).resolve() == _DOCS / "decisions":
        name, anchor = "", "decisions"
    else:
        name = _page_behind(source, path)
    if name is None:
        link.tag = "span"
        link.attrs = {"class": "file", "title": PurePosixPath(path).name}
        return
    link.attrs["href"] = address(name) + (f"#{anchor}" if anchor else "")


def _show(image: Token, source: Path) -> None:
    """A picture lies among the static files, where the console serves it and the repository shows it as well."""
    path = (source.parent / str(image.attrs["src"])).resolve()
    image.attrs |= {"src": static(path.relative_to(_STATIC).as_posix()), "class": "screen", "loading": "lazy"}


def address(name: str) -> str:
    """Where the console shows the page of that name."""
    return reverse("console:help-page", args=[name]) if name else reverse("console:help")


def _inline_text(token: Token) -> str:
    return "".join(
        " " if child.type in ("softbreak", "hardbreak") else child.content for child in token.children or ()
    )


def _parse(text: str) -> list[Token]:
    """The tokens of a file, each heading with the anchor that GitHub would give it."""
    tokens = _parser().parse(text)
    seen: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            anchor = re.sub(r"[^\w\- ]", "", _inline_text(tokens[place + 1]).lower()).replace(" ", "-")
            seen[anchor] = seen.get(anchor, -1) + 1
            token.attrs["id"] = f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
    return tokens


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>')
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    return parser


def _fence(self: Any, tokens: list[Token], place: int, options: Any, env: Any) -> str:
    """A block of code, coloured; of a diagram its picture, with the source below for those who can't see it."""
    token = tokens[place]
    if token.info != "mermaid":
        return str(
            presentation.code_block(
                token.content, f"x.{_SUFFIXES.get(token.info, token.info or 'txt')}", lines=False
            )
        )
    source = presentation.code_block(token.content, "x.txt", lines=False)
    name = picture_name(token.content)
    if find(name) is None:
        return str(source)
    return format_html(
        '<figure class="diagram"><img src="{}" alt="Diagram; its text follows" loading="lazy">'
        "<details><summary>The diagram as text</summary>{}</details></figure>",
        static(name),
        source,
    )
