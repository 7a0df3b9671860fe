"""Syncs that are asked for, previews, the way back to an earlier commit, pushes and intervals."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from ferris.errors import Conflict
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.catalog import repositories, selectors, services, sync_queue
from ferris_web.catalog.models import Repository, Service, SyncRun
from gateway.notices import Notices
from gateway.syncer import Syncer
from tests.web.calling import problem_of
from tests.web.console_pages import Page
from tests.web.folders import NOW, SourceFolder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


@pytest.fixture
def person(user: User) -> Client:
    """Who calls the API, in a browser."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def repository(source: SourceFolder) -> Repository:
    """Of one service, synced at its first commit."""
    source.service("orders", {"trigger_events": ["order.placed"]})
    source.commit("the first")
    made = repositories.repository_add("shop", f"file://{source.root}", "main", now=NOW)
    services.project_sync(made.project, now=NOW)
    made.refresh_from_db()
    return made


def text_of(person: Client, address: str) -> str:
    answer = person.get(address)
    assert answer.status_code == 200, address
    return Page(answer.content.decode()).text


def statuses() -> list[tuple[str, str]]:
    return list(SyncRun.objects.order_by("pk").values_list("cause", "status"))


def second(source: SourceFolder) -> str:
    source.service("orders", {"trigger_events": ["order.paid"], "priority": 3}, run_py="print('new')")
    source.service("mails", {"trigger_events": ["order.placed"]})
    return source.commit("the second")


def test_one_waits_however_often_it_is_asked_for(repository: Repository, person: Client, api) -> None:
    for _ in range(3):
        person.post("/projects/shop/sync/")
    asked = api.post("/api/v1/projects/shop/sync/", {"wait": False})
    assert asked.status_code == 202
    [run] = asked.json()["runs"]
    assert (run["status"], SyncRun.objects.filter(status="queued").count()) == ("queued", 1)
    assert "Waiting for a gateway" in text_of(person, f"/projects/shop/syncs/{run['id']}/")
    assert sync_queue.sync_run_next(NOW)
    assert sync_queue.sync_run_next(NOW) is False
    assert api.get(f"/api/v1/projects/shop/syncs/{run['id']}/").json()["status"] == "completed"
    api.post("/api/v1/projects/", {"name": "bank", "source": "https://git.example.org/x.git"})
    assert api.get(f"/api/v1/projects/bank/syncs/{run['id']}/").status_code == 404


def test_a_gateway_hears_of_it_and_shows_how_far_it_is(
    repository: Repository, source: SourceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferris_web.catalog import sync, sync_progress

    for name in "abc":
        source.service(name)
    source.commit()
    monkeypatch.setattr(sync_progress, "_PACE", 0.0)
    seen: list[Any] = []
    prepare = sync.prepare

    def watching(*arguments: Any) -> Any:
        seen.append(SyncRun.objects.order_by("pk").last().progress)
        return prepare(*arguments)

    monkeypatch.setattr(sync, "prepare", watching)
    run = sync_queue.sync_request(repository, "person", now=NOW)
    role = Syncer(Notices(wiring.event_log()))
    role.turn()
    role.close()
    run.refresh_from_db()
    assert (run.status, run.progress) == ("completed", {})
    assert [(one["phase"], one["done"], one["total"]) for one in seen] == [
        ("reading", n, 4) for n in range(4)
    ]


def test_two_at_once(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferris_web.catalog import sync

    reading, go_on = threading.Event(), threading.Event()
    prepare = sync.prepare

    def hold(*arguments: Any) -> Any:
        reading.set()
        assert go_on.wait(60)
        return prepare(*arguments)

    monkeypatch.setattr(sync, "prepare", hold)
    sync_queue.sync_request(repository, "person", now=NOW)

    def first() -> None:
        sync_queue.sync_run_next(NOW)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert reading.wait(60)
    again = sync_queue.sync_request(repository, "push", now=NOW)
    assert sync_queue.sync_run_next(NOW) is None
    assert sync_queue.syncs_abandoned(NOW) == 0
    go_on.set()
    thread.join(60)
    assert sync_queue.sync_run_next(NOW)
    again.refresh_from_db()
    assert again.status == "completed"


_KILLED = """
import os, signal, sys, django
django.setup()
from datetime import UTC, datetime
from ferris_web.catalog import sync, sync_queue
sync.prepare = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
sync_queue.sync_run_next(datetime.now(UTC))
"""


def test_what_a_killed_gateway_left_is_done_again(repository: Repository, source: SourceFolder) -> None:
    second(source)
    sync_queue.sync_request(repository, "push", now=NOW)
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED], cwd=root, env=os.environ, check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert statuses()[-1] == ("push", "running")
    assert sync_queue.syncs_abandoned(NOW) == 1
    assert statuses()[-2:] == [("push", "failed"), ("push", "queued")]
    assert sync_queue.sync_run_next(NOW)
    assert selectors.service_get("mails").runs


def test_a_run_of_another_machine_is_waited_for(repository: Repository) -> None:
    SyncRun.objects.create(repository=repository, runner="elsewhere", started_at=NOW, seen_at=NOW)
    with pytest.raises(Conflict, match="another machine"):
        services.project_sync(repository.project, now=NOW)
    sync_queue.sync_request(repository, "push", now=NOW)
    assert sync_queue.sync_run_next(NOW) is None
    later = NOW + timedelta(minutes=16)
    assert sync_queue.syncs_abandoned(later) == 1
    assert sync_queue.sync_run_next(later)


def test_an_interval(repository: Repository, api) -> None:
    address = f"/api/v1/projects/shop/repositories/{repository.pk}/"
    assert api.patch(address, {"every_minutes": 60}).json()["every_minutes"] == 60
    due = sync_queue.syncs_next()
    assert due is not None
    assert sync_queue.syncs_due(due - timedelta(seconds=1)) == 0
    assert sync_queue.syncs_due(due) == 1
    assert sync_queue.syncs_due(due) == 0
    following = sync_queue.syncs_next()
    assert following is not None
    assert timedelta(minutes=53) < following - due < timedelta(minutes=67)
    assert statuses()[-1] == ("interval", "queued")
    assert api.patch(address, {"every_minutes": 0}).json()["next_sync_at"] is None
    assert api.patch(address, {"every_minutes": -1}).status_code == 400


def test_what_a_sync_changed_is_kept(repository: Repository, source: SourceFolder, person: Client) -> None:
    commit = second(source)
    [run] = services.project_sync(repository.project, now=NOW)
    found = run.result["services"]["orders"]
    assert [one["event_type"] for one in found["triggers"]["gained"]] == ["order.paid"]
    assert [one["event_type"] for one in found["triggers"]["lost"]] == ["order.placed"]
    assert {"key": "priority", "before": 5, "after": 3} in found["manifest"]
    assert found["files"] == {"changed": ["manifest.json", "run.py"]}
    text = text_of(person, f"/projects/shop/syncs/{run.pk}/")
    for words in (
        "+ trigger order.paid",
        "- trigger order.placed",
        "priority: 5 → 3",
        commit,
        "the second",
        "Ada",
    ):
        assert words in text


def test_a_branch_is_previewed_of_the_repositories_that_have_it(
    repository: Repository, source: SourceFolder, tmp_path: Path, api
) -> None:
    source.git("checkout", "--quiet", "-b", "next")
    second(source)
    other = SourceFolder(tmp_path / "other")
    other.service("bills")
    other.commit("its only branch")
    repositories.repository_add("shop", f"file://{other.root}", now=NOW)
    folder = SourceFolder(tmp_path / "folder")
    repositories.repository_add("shop", str(folder.root), now=NOW)
    [found] = api.post("/api/v1/projects/shop/preview/", {"branch": "next"}).json()["previews"]
    assert (found["repository"], found["result"]["added"]) == (repository.pk, ["mails"])
    out = io.StringIO()
    call_command("sync", "shop", "--preview", "--branch", "next", "--json", stdout=out)
    assert [json.loads(line)["source"] for line in out.getvalue().splitlines()] == [repository.source]
    refused = problem_of(api.post("/api/v1/projects/shop/preview/", {"branch": "gone"}), 409)
    assert "has no branch 'gone'" in refused["detail"]


def test_a_preview_changes_nothing(repository: Repository, source: SourceFolder, person: Client, api) -> None:
    source.git("checkout", "--quiet", "-b", "next")
    second(source)
    source.service("wrong", {"priority": "high"}, config_json={"a": 1})
    source.commit("the third")
    source.git("checkout", "--quiet", "main")
    before = (statuses(), selectors.revision())
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("sync", "shop", "--preview", "--branch", "next", stdout=out)
    assert ended.value.code == 1
    for line in (
        "  added     mails",
        "  changed   orders",
        "    - trigger order.placed",
        "  refused   wrong",
    ):
        assert line in out.getvalue()
    out = io.StringIO()
    call_command("sync", "shop", "--preview", "--json", stdout=out)
    assert json.loads(out.getvalue())["result"]["unchanged"] == ["orders"]
    text = text_of(person, f"/projects/shop/repositories/{repository.pk}/preview/?branch=next&look=1")
    assert "+ trigger order.paid" in text
    assert "priority" in text
    [found] = api.post("/api/v1/projects/shop/preview/", {"branch": "next"}).json()["previews"]
    assert (found["clean"], found["changes"], found["result"]["added"]) == (False, True, ["mails"])
    refused = problem_of(api.post("/api/v1/projects/shop/preview/", {"branch": "gone"}), 409)
    assert "has no branch 'gone'" in refused["detail"]
    assert "has no branch" in text_of(
        person, f"/projects/shop/repositories/{repository.pk}/preview/?branch=gone&look=1"
    )
    assert (statuses(), selectors.revision()) == before
    assert list(Service.objects.values_list("name", flat=True)) == ["orders"]
    assert [t.event_type for t in selectors.triggers_all()] == ["order.placed"]


def test_files_that_git_lfs_keeps_elsewhere(
    repository: Repository, source: SourceFolder, person: Client
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 48213\n"
    source.service("orders", {"trigger_events": ["order.placed"]}, run_py=pointer)
    source.service("mails", {"trigger_events": ["order.placed"]}, model_bin=pointer)
    source.commit("tracked by LFS")
    [run] = services.project_sync(repository.project, now=NOW)
    assert (run.status, run.result["refused"], run.result["added"]) == ("completed", ["orders"], ["mails"])
    assert selectors.service_get("orders").runs, "what it was stays"
    shown = text_of(person, f"/projects/shop/syncs/{run.pk}/")
    for file in ("run.py", "model.bin"):
        assert re.search(rf"{re.escape(file)}\s*(: )?is a pointer of Git LFS", shown), shown
    assert "or put it into a bucket" in shown


def test_back_to_an_earlier_commit_and_on_again(
    repository: Repository, source: SourceFolder, person: Client, api
) -> None:
    first = repository.commit
    newest = second(source)
    services.project_sync(repository.project, now=NOW)
    run = SyncRun.objects.get(commit=first)
    address = f"/projects/shop/repositories/{repository.pk}/rollback/"
    assert f"{address}?commit={first}" in person.get(f"/projects/shop/syncs/{run.pk}/").content.decode()
    text = text_of(person, f"{address}?commit={first}")
    assert "+ trigger order.placed" in text
    assert "mails" in text
    assert person.post(address, {"commit": first}).status_code == 302
    assert sync_queue.sync_run_next(NOW)
    repository.refresh_from_db()
    assert (repository.commit, repository.pinned, repository.pinned_by) == (first, first, "ada")
    assert not selectors.service_get("mails").runs
    assert [t.event_type for t in selectors.triggers_all()] == ["order.placed"]
    assert statuses()[-1] == ("rollback", "completed")

    services.project_sync(repository.project, now=NOW)
    repository.refresh_from_db()
    assert repository.commit == first, "a sync does not move it on"
    repositories.repository_change(repository, every_minutes=1, now=NOW)
    assert sync_queue.syncs_due(NOW + timedelta(hours=1)) == 0
    assert "kept at" in text_of(person, "/projects/shop/")
    secret = sync_queue.push_secret_make(repository)
    assert push(repository.pk, secret, {"ref": "refs/heads/main"}).json() == {
        "ignored": "the repository is kept at a commit"
    }

    assert api.post(f"/api/v1{address}", {"commit": "0" * 40}).status_code == 409
    assert api.post(f"/api/v1/projects/shop/repositories/{repository.pk}/follow/").status_code == 202
    assert sync_queue.sync_run_next(NOW)
    repository.refresh_from_db()
    assert (repository.commit, repository.pinned) == (newest, "")
    assert selectors.service_get("mails").runs


def test_back_to_a_commit_of_before_the_first_sync(source: SourceFolder, person: Client, api) -> None:
    source.service("orders", {"trigger_events": ["order.early"]})
    ids = [source.commit("the earliest")]
    for number in range(60):
        source.git("commit", "--quiet", "--allow-empty", "--message", f"nothing <b>{number}</b>")
    source.git("config", "uploadpack.allowAnySHA1InWant", "true")
    source.git("checkout", "--quiet", "-b", "aside")
    source.service("evil")
    elsewhere = source.commit("of another branch")
    source.git("checkout", "--quiet", "main")
    newest = second(source)
    repository = repositories.repository_add("shop", f"file://{source.root}", "main", now=NOW)
    services.project_sync(repository.project, now=NOW)
    address = f"/projects/shop/repositories/{repository.pk}/rollback/"
    assert address in person.get(f"/projects/shop/repositories/{repository.pk}/").content.decode()
    chosen = person.get(address).content.decode()
    assert "nothing &lt;b&gt;59&lt;/b&gt;" in chosen
    assert f"?commit={newest}" not in chosen, "it is there already"
    assert f"?commit={ids[0]}" not in chosen
    [behind] = re.findall(r"\?behind=([0-9a-f]{40})", chosen)
    older = person.get(f"{address}?behind={behind}").content.decode()
    assert f"?commit={ids[0]}" in older
    assert "?behind=" not in older
    assert "+ trigger order.early" in text_of(person, f"{address}?commit={ids[0]}")

    for wrong in (elsewhere, "0" * 40, "main", ids[0][:10], f"--output={source.root}"):
        shown = person.get(address, {"commit": wrong}).content.decode()
        assert '<input type="hidden" name="commit"' not in shown, wrong
        assert "evil" not in shown
        person.post(address, {"commit": wrong})
        assert api.post(f"/api/v1{address}", {"commit": wrong}).status_code in (400, 409), wrong
        assert "has no commit" in person.get(address, {"behind": wrong}).content.decode(), wrong
    repository.refresh_from_db()
    assert repository.pinned == ""
    assert not (source.root / "evil").exists()

    assert api.post(f"/api/v1{address}", {"commit": ids[0]}).status_code == 202
    assert sync_queue.sync_run_next(NOW)
    repository.refresh_from_db()
    assert (repository.commit, repository.pinned) == (ids[0], ids[0])
    assert [t.event_type for t in selectors.triggers_all()] == ["order.early"]
    repositories.repository_remove(repository, now=NOW)
    left = wiring.config().home / "repositories"
    assert [path.name for path in left.iterdir() if path.is_dir()] == []


def push(pk: int, secret: str, said: Any) -> Any:
    body = json.dumps(said).encode()
    signed = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": signed, "X-GitHub-Event": "push"}
    return Client(headers=headers).post(f"/hooks/repositories/{pk}/", body, content_type="application/json")


def test_a_push_asks_for_a_sync(repository: Repository, person: Client, api) -> None:
    pushed = {"ref": "refs/heads/main", "after": "a" * 40}
    assert push(repository.pk, "", pushed).status_code == 401
    page = person.post(
        f"/projects/shop/repositories/{repository.pk}/push/", {"action": "make"}
    ).content.decode()
    assert "shown this once" in page
    made = api.post(f"/api/v1/projects/shop/repositories/{repository.pk}/push-secret/").json()
    secret = made["secret"]
    assert secret not in person.get(f"/projects/shop/repositories/{repository.pk}/").content.decode()
    assert made["address"].endswith(f"/hooks/repositories/{repository.pk}/")
    for pk, with_secret in ((repository.pk, "wrong"), (repository.pk + 1, secret)):
        assert push(pk, with_secret, pushed).status_code == 401
    assert not SyncRun.objects.filter(status="queued").exists()
    assert push(repository.pk, secret, {"ref": "refs/heads/next"}).json()["ignored"]
    answer = push(repository.pk, secret, pushed)
    assert answer.status_code == 202
    assert push(repository.pk, secret, pushed).json() == answer.json(), "sent again, it waits once"
    assert statuses()[-1] == ("push", "queued")
    assert api.delete(f"/api/v1/projects/shop/repositories/{repository.pk}/push-secret/").status_code == 204
    assert push(repository.pk, secret, pushed).status_code == 401
