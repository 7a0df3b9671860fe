"""Files that somebody has changed in the editor and not saved yet. No store holds them: the form carries them from page
to page, so that they are saved, or refused, together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.http import QueryDict

from ferris_web.catalog.archive import SourceFile
from ferris_web.catalog.differences import Change, files_compared
from ferris_web.catalog.edits import NOTHING, Edit, fingerprint
from ferris_web.catalog.models import Service, ServiceVersion
from ferris_web.catalog.selectors import version_files

Files = Mapping[str, SourceFile]
_FIELDS = ("path", "text", "seen", "base")


@dataclass(frozen=True)
class Draft:
    """A text that is to be a file. `seen` is the SHA-256 of the file as its author saw it, `base` its version."""

    path: str
    text: str
    seen: str = NOTHING
    base: str = ""

    def content(self, files: Files) -> bytes:
        """What the file is to hold, with the ends of lines that it has."""
        text = self.text.replace("\r\n", "\n")
        before = files.get(self.path)
        return (text.replace("\n", "\r\n") if before and b"\r\n" in before.content else text).encode()

    def touched(self, files: Files) -> bool:
        """Whether its author changed it."""
        if self.seen == NOTHING:
            return bool(self.path and self.text.strip())
        return fingerprint(SourceFile(self.content(files))) != self.seen


def opened(said: QueryDict) -> Draft | None:
    """The file that is open in a form, if it is one that can be edited."""
    if "content" not in said:
        return None
    path, text = said.get("path", "").strip(), said.get("content", "")
    return Draft(path, text, said.get("seen", NOTHING), said.get("base", ""))


def carried(said: QueryDict) -> dict[str, Draft]:
    """The others that the form carries, by path."""
    rows = zip(*(said.getlist(f"draft-{field}") for field in _FIELDS), strict=False)
    return {path: Draft(path, *rest) for path, *rest in rows}


def edit_of(drafts: Iterable[Draft], files: Files) -> Edit:
    """All of them as one change."""
    kept = list(drafts)
    return Edit(
        put={draft.path: draft.content(files) for draft in kept},
        seen={draft.path: draft.seen for draft in kept},
    )


def renewed(draft: Draft, service: Service, files: Files) -> Draft:
    """As seen now: saving it again is over what is there."""
    number = service.version.number if service.version else 0
    return replace(draft, seen=fingerprint(files.get(draft.path)), base=str(number))


@dataclass(frozen=True)
class Meanwhile:
    """What others did to the files of drafts, and what saving those over it would change."""

    theirs: tuple[Change, ...]
    ours: tuple[Change, ...]
    since: tuple[ServiceVersion, ...]


def meanwhile(service: Service, drafts: Iterable[Draft], files: Files) -> Meanwhile:
    """Of drafts that others were quicker with."""
    theirs: list[Change] = []
    ours: list[Change] = []
    first = None
    for draft in drafts:
        number = int(draft.base) if draft.base.isdecimal() and len(draft.base) < 10 else 0
        first = number if first is None else min(first, number)
        version = service.versions.filter(number=number).first()
        before = version_files(version) if version else {}
        old = {draft.path: before[draft.path]} if draft.path in before else {}
        now = {draft.path: files[draft.path]} if draft.path in files else {}
        theirs += files_compared(old, now)
        ours += files_compared(now, {draft.path: SourceFile(draft.content(files))})
    since = service.versions.filter(number__gt=first or 0).order_by("-number").defer("readme", "requirements")
    return Meanwhile(tuple(theirs), tuple(ours), tuple(since[:5]))
