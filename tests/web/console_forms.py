"""Forms of the console's pages, filled in and sent as a browser without JavaScript does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    """One form: where it goes, and what a browser would send of its fields."""

    attributes: dict[str, str]
    values: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    buttons: set[tuple[str, str]] = field(default_factory=set)

    @property
    def asks(self) -> bool:
        """Whether somebody writes or chooses something in it."""
        return any(kind not in ("hidden", "submit") for kind in self.kinds.values())


class Forms(HTMLParser):
    """The forms of a page that send, and what its fields say of themselves."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.by_id: dict[str, dict[str, str]] = {}
        self.texts: dict[str, str] = {}
        self.focused: list[str] = []
        self._form: Form | None = None
        self._select: tuple[str, bool] | None = None
        self._option: str | None = None  # whose value is its text
        self._area: str | None = None
        self._told: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if "id" in found:
            self.by_id[found["id"]] = found
        if "autofocus" in found:
            self.focused.append(found.get("id", ""))
        if "id" in found and tag in ("p", "div", "section", "span"):
            self._told.append((tag, found["id"]))
            self.texts[found["id"]] = ""
        elif self._told and tag == self._told[-1][0]:
            self._told.append((tag, ""))
        if tag == "form":
            self._form = Form(found)
            if found.get("method") == "post":
                self.forms.append(self._form)
        elif self._form is not None:
            self._field(tag, found)

    def _field(self, tag: str, found: dict[str, str]) -> None:
        assert self._form is not None
        name, kind = found.get("name", ""), found.get("type", "text" if tag == "input" else tag)
        form = self._form
        if tag == "button" and name:
            form.buttons.add((name, found.get("value", "")))
        elif tag == "select":
            form.kinds[name] = "select"
            self._select = (name, False)
        elif tag == "option" and self._select is not None:
            of, chosen = self._select
            if "selected" in found or not (chosen or form.values.get(of)):
                form.values[of] = [found.get("value", "")]
                self._select = (of, chosen or "selected" in found)
                self._option = of if "value" not in found else None
            else:
                self._option = None
        elif tag == "textarea":
            form.kinds[name] = "textarea"
            form.values[name] = [""]
            self._area = name
        elif tag == "input" and name:
            form.kinds[name] = kind
            if kind == "file" or (kind in ("checkbox", "radio") and "checked" not in found):
                form.values.setdefault(name, [])
            else:
                form.values.setdefault(name, []).append(
                    found.get("value", "on" if kind == "checkbox" else "")
                )

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if self._told and tag == self._told[-1][0]:
            self._told.pop()
        if tag == "form":
            self._form = None
        elif tag in ("select", "option"):
            self._option = None
            self._select = None if tag == "select" else self._select
        elif tag == "textarea" and self._area is not None and self._form is not None:
            text = self._form.values[self._area][0]
            self._form.values[self._area] = [text.removeprefix("\n")]
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None and self._form is not None:
            self._form.values[self._area][0] += data
        if self._option is not None and self._form is not None:
            self._form.values[self._option][0] += data.strip()
        for _, told in self._told:
            if told:
                self.texts[told] += data

    def form(self, *names: str, button: str = "") -> Form:
        """The first that has these fields, and a button of that value."""
        return next(
            form
            for form in self.forms
            if set(names) <= set(form.kinds)
            and (not button or button in {value for _, value in form.buttons})
        )
