"""Reads the console's pages as a browser would, as far as tests need it: what stands in them, and what would run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

from django.test import Client

_VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
_RUNS_SCHEMES = {"javascript", "data", "vbscript"}


@dataclass
class Page(HTMLParser):
    """One parsed page."""

    html: str
    ids: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    dangers: list[str] = field(default_factory=list)
    inputs: list[dict[str, str]] = field(default_factory=list)
    labelled: set[str] = field(default_factory=set)
    tags: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self._labels = 0
        self.feed(self.html)
        self.close()
        self.unclosed += self._open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.tags[tag] += 1
        if tag not in _VOID:
            self._open.append(tag)
        if "id" in found:
            self.ids[found["id"]] += 1
        self._look_for_danger(tag, found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "label":
            self._labels += 1
            self.labelled.add(found.get("for", ""))
        if tag in ("input", "select", "textarea") and found.get("type") not in ("hidden", "submit"):
            named = self._labels > 0 or "aria-label" in found or "aria-labelledby" in found
            self.inputs.append({**found, "named": "yes" if named else ""})

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._labels -= 1
        if tag in _VOID:
            return
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.unclosed.append(f"/{tag} within {self._open[-3:]}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script" and data.strip():
            self.dangers.append(f"inline script {data[:80]!r}")
        self.texts.append(data)

    def _look_for_danger(self, tag: str, found: dict[str, str]) -> None:
        if tag == "script" and not found.get("src", "").startswith("/static/"):
            self.dangers.append(f"script {found}")
        # Pictures of ours, and small ones of what steps left, which are served so that nothing in them runs.
        shown = ("/static/", "/executions/") if found.get("class") == "thumb" else "/static/"
        ours = tag == "img" and found.get("src", "").startswith(shown)
        if tag in ("iframe", "object", "embed", "base", "style", "img") and not ours:
            self.dangers.append(f"<{tag}> {found}")
        for name, value in found.items():
            if name.startswith(("on", "hx-on")) or name == "style":
                self.dangers.append(f"{tag} {name}={value!r}")
            if name in ("href", "src", "action", "formaction", "xlink:href", "hx-get"):
                address = urlsplit(value.strip())
                if address.scheme in _RUNS_SCHEMES or (tag in ("link", "use") and address.netloc):
                    self.dangers.append(f"{tag} {name}={value!r}")


def page(client: Client, address: str, status: int = 200) -> Page:
    """The page at an address, which must answer with this status."""
    answer = client.get(address)
    assert answer.status_code == status, f"{address}: {answer.status_code}"
    return Page(answer.content.decode())
