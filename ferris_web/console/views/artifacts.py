"""Artifacts: a page that shows one, and its content."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from ferris.artifacts import BUCKET
from ferris_web import wiring
from ferris_web.console import previews
from ferris_web.console.middleware import POLICY
from ferris_web.executions import selectors
from ferris_web.executions.models import Artifact, Execution
from ferris_web.files import PREVIEW, SANDBOX, file_response

_SHOWN = 200


@dataclass(frozen=True)
class Row:
    """One artifact in a list, and where it is shown."""

    artifact: Artifact

    @property
    def page(self) -> str:
        return _address("console:artifact", self.artifact)

    @property
    def content(self) -> str:
        return _address("console:artifact-file", self.artifact)

    @property
    def download(self) -> str:
        return f"{self.content}&download=1"

    @property
    def thumbnail(self) -> bool:
        return previews.has_thumbnail(self.artifact)


@dataclass(frozen=True)
class Shown:
    """The artifacts on an execution's page."""

    rows: list[Row]
    total: int


def shown(execution: Execution) -> Shown:
    """Its artifacts, the latest attempt's first."""
    found = list(selectors.artifact_list(execution.pk).order_by("-attempt", "step", "name")[: _SHOWN + 1])
    total = len(found) if len(found) <= _SHOWN else selectors.artifact_list(execution.pk).count()
    return Shown([Row(artifact) for artifact in found[:_SHOWN]], total)


def _address(name: str, artifact: Artifact) -> str:
    place = reverse(name, args=[artifact.execution_id, "n"])[:-1] + quote(artifact.name, safe="/")
    return f"{place}?attempt={artifact.attempt}&step={artifact.step}"


def preview(request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
    """One artifact, as far as it can be shown."""
    row = Row(_artifact(request, pk, name))
    context = {
        "row": row,
        "artifact": row.artifact,
        "execution": row.artifact.execution,
        "preview": previews.preview_of(row.artifact),
    }
    answer = render(request, "console/artifact.html", context)
    # The one page that frames something: a file of the same execution, which may do nothing there.
    answer.headers["Content-Security-Policy"] = f"{POLICY}; frame-src 'self'"
    return answer


def content(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """The content: to look at inside a page when it is a picture or a page, else as a download."""
    artifact = _artifact(request, pk, name)
    download = "download" in request.GET or not previews.framed(artifact)
    return file_response(
        wiring.object_store().open(BUCKET, artifact.key),
        artifact.name,
        artifact.content_type,
        artifact.size,
        download=download,
        policy=SANDBOX if download else PREVIEW,
    )


def _artifact(request: HttpRequest, pk: UUID, name: str) -> Artifact:
    attempt, step = (_whole(request.GET.get(which, "")) for which in ("attempt", "step"))
    return selectors.artifact_get(pk, name, attempt=attempt, step=step)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
