"""Promises as a project's ferris.json makes, changes and withdraws them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ferris_web.catalog import services
from ferris_web.catalog.models import Project, PromiseRule, SyncRun
from ferris_web.catalog.repositories import repository_add
from ferris_web.executions.models import Promise
from tests.web.folders import SourceFolder
from tests.web.platform import NOW
from tests.web.promises.promising import at, of, send, tell

pytestmark = pytest.mark.django_db(transaction=True)
FILE = {"promises": [{"name": "in time", "after": "order.placed", "expect": "order.shipped", "within": "1m"}]}


@pytest.fixture
def project(backends: Any, source: SourceFolder) -> Project:
    source.service("shipping", {"trigger_events": ["order.placed"]})
    return repository_add("shop", str(source.root), now=NOW).project


def sync(project: Project, later: float = 0) -> SyncRun:
    [run] = services.project_sync(project, now=at(later))
    assert run.status == "completed", run.error
    return run


def write(source: SourceFolder, said: Any) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    (source.root / "ferris.json").write_text(text)


def said(run: SyncRun) -> list[tuple[str, str, str]]:
    return [(m["level"], m["file"], m["key"]) for m in run.result["messages"] if m["service"] == ""]


def test_a_sync_makes_changes_and_withdraws_promises(project: Project, source: SourceFolder) -> None:
    write(source, FILE)
    assert said(sync(project)) == [("info", "ferris.json", "")]
    send((of("order.placed"), 0))
    assert Promise.objects.get().rule.name == "in time"
    assert said(sync(project)) == [], "nothing new, nothing said"
    write(source, {"promises": [{**FILE["promises"][0], "within": "5m"}]})
    sync(project, 1)
    assert PromiseRule.objects.filter(vanished_at=None).count() == 1
    assert tell(100) == [], "what is no longer promised is not broken"
    assert Promise.objects.get().state == "withdrawn"
    send((of("order.placed", "G"), 200))
    assert Promise.objects.get(flow_id="G").due_at == at(500)
    write(source, FILE)
    sync(project, 2)
    (source.root / "ferris.json").unlink()
    sync(project, 3)
    send((of("order.placed", "H"), 210))
    assert not Promise.objects.filter(flow_id="H").exists()


def test_a_mistake_leaves_the_promises_there_are_and_does_not_hold_up_services(
    project: Project, source: SourceFolder
) -> None:
    write(source, FILE)
    sync(project)
    write(source, {"promises": [{**FILE["promises"][0], "within": "soon"}]})
    source.service("other", {"trigger_events": ["order.placed"]})
    run = sync(project, 1)
    assert said(run) == [("error", "ferris.json", "promises[0].within")]
    assert run.result["added"] == ["other"]
    write(source, "{,}")
    assert said(sync(project, 2)) == [("error", "ferris.json", "")]
    (source.root / "ferris.json").unlink()
    (source.root / "ferris.json").symlink_to("/etc/hostname")
    assert said(sync(project, 3)) == [("error", "ferris.json", "")]
    assert PromiseRule.objects.get().vanished_at is None


def test_a_project_that_is_removed_promises_nothing_more(project: Project, source: SourceFolder) -> None:
    write(source, FILE)
    sync(project)
    send((of("order.placed"), 0))
    services.project_remove(project, now=NOW)
    send((of("order.placed", "G"), 1))
    assert tell(100) == []
    assert list(Promise.objects.values_list("flow_id", "state")) == [("F", "withdrawn")]
