"""Synchronisations in words: what `manage.py sync` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ferris.differences import difference_lines
from ferris_web.catalog.models import SyncRun
from ferris_web.catalog.outcome import KINDS
from ferris_web.catalog.preview import Preview


def clean(runs: Sequence[SyncRun]) -> bool:
    """True when every repository was read and no folder was refused."""
    return all(run.status == SyncRun.Status.COMPLETED and not run.result.get("refused") for run in runs)


def lines(run: SyncRun) -> Iterator[str]:
    """One repository: what became of each service, with every message about it."""
    commit = f" at {run.commit[:12]}{'-dirty' if run.commit.endswith('-dirty') else ''}" if run.commit else ""
    yield f"{run.repository}{commit}" + (f" ({run.subject})" if run.subject else "")
    if run.status != SyncRun.Status.COMPLETED:
        yield f"  failed: {run.error}"
        return
    yield from _result(run.result)


def preview_lines(preview: Preview) -> Iterator[str]:
    """One repository: what would become of each service, what would be different, every message about it."""
    branch = f" branch {preview.branch}" if preview.branch else ""
    subject = f" ({preview.commit.subject})" if preview.commit.subject else ""
    yield f"{preview.repository}{branch} at {preview.commit.id[:12]}{subject}: nothing is changed yet"
    yield from _result(preview.result, different=True)


def _result(result: Mapping[str, Any], *, different: bool = False) -> Iterator[str]:
    said = _by_service(result.get("messages", ()))
    for kind in KINDS:
        for name in result.get(kind, ()):
            messages = said.pop(name, [])
            if kind != "unchanged" or messages:
                yield f"  {kind:<9} {name}"
                yield from messages
                if different:
                    yield from (f"    {line}" for line in difference_lines(result["services"].get(name, {})))
    for name, messages in said.items():
        yield f"  {'skipped' if name else 'note':<9} {name}".rstrip()
        yield from messages
    counts = ", ".join(f"{len(result.get(kind, ()))} {kind}" for kind in KINDS)
    yield f"  {counts}"


def _by_service(messages: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for message in messages:
        place = ": ".join(part for part in (message["file"], message["key"]) if part)
        level = "" if message["level"] == "info" else f"{message['level']}: "
        said.setdefault(message["service"], []).append(
            f"    {level}{place + ': ' if place else ''}{message['text']}"
        )
    return said
