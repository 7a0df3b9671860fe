"""Repositories of projects over ssh: keys made and changed, hosts known by their keys; console, API and command."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from ferris.errors import Conflict
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import repositories, selectors, services
from ferris_web.catalog.models import Project, Repository, RepositorySecret
from tests.git_servers import SshServer, ssh_server
from tests.web.calling import Caller, problem_of
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
def ssh(source: SourceFolder, monkeypatch: pytest.MonkeyPatch):
    source.service("orders")
    source.commit("the first")
    config = replace(wiring.config(), git_hosts=("127.0.0.1",))
    monkeypatch.setattr(wiring, "config", lambda: config)
    with ssh_server(source.root.parent) as server:
        yield server


def synced(repository: Repository):
    [run] = services.project_sync(repository.project, now=NOW)
    repository.refresh_from_db()
    return run


def test_from_the_key_to_a_changed_host(ssh: SshServer, person, api) -> None:
    made = api.post("/api/v1/projects/", {"name": "shop", "source": "ssh://git@127.0.0.1:1/x"})
    assert made.status_code == 201
    added = api.post("/api/v1/projects/shop/repositories/", {"source": ssh.url("source")}).json()
    assert added["public_key"].startswith("ssh-ed25519 ")
    address = f"/api/v1/projects/shop/repositories/{added['id']}/"
    api.delete(f"/api/v1/projects/shop/repositories/{Repository.objects.order_by('pk').first().pk}/")
    repository = Repository.objects.get()
    held = RepositorySecret.objects.get()
    assert "PRIVATE" not in held.ciphertext
    assert "Permission denied" in synced(repository).error

    page = Page(person.get(f"/projects/shop/repositories/{repository.pk}/").content.decode())
    assert added["public_key"] in page.text
    assert "PRIVATE KEY" not in page.text
    ssh.keys.append(added["public_key"])
    assert synced(repository).result["added"] == ["orders"]
    [pinned] = api.get(address).json()["host_keys"]
    assert pinned["kind"] == "ssh-ed25519"

    ssh.stop()
    ssh.start()
    run = synced(repository)
    assert run.status == "failed"
    assert pinned["fingerprint"] in run.error
    [offered] = api.get(address).json()["offered_host_keys"]
    logins = ssh.logins
    assert synced(repository).status == "failed"
    assert ssh.logins == logins, "nothing is asked any more"
    assert (
        "Accept the new key" in person.get(f"/projects/shop/repositories/{repository.pk}/").content.decode()
    )
    assert api.post(f"{address}accept-host-key/", {"fingerprint": "SHA256:other"}).status_code == 409
    person.post(
        f"/projects/shop/repositories/{repository.pk}/key/",
        {"action": "accept", "fingerprint": offered["fingerprint"]},
    )
    assert synced(repository).status == "completed"
    assert [key["fingerprint"] for key in api.get(address).json()["host_keys"]] == [offered["fingerprint"]]

    rotated = api.post(f"{address}deploy-key/").json()["public_key"]
    assert rotated != added["public_key"]
    assert "Permission denied" in synced(repository).error
    ssh.keys[:] = [rotated]
    assert synced(repository).status == "completed"
    assert api.delete(f"{address}deploy-key/").status_code == 204
    assert RepositorySecret.objects.count() == 0
    assert api.delete(address).status_code == 204
    assert not selectors.service_get("orders").runs


def test_the_command_prints_the_key_and_nothing_secret(ssh: SshServer) -> None:
    out = io.StringIO()
    call_command("project", "add", "shop", ssh.url("source"), "--deploy-key", stdout=out)
    key = Repository.objects.get().public_key
    assert key in out.getvalue()
    assert "PRIVATE" not in out.getvalue()


def test_a_folder_inside_and_two_repositories(source: SourceFolder, tmp_path: Path, api) -> None:
    inner = SourceFolder(source.root / "services" / "shop")
    inner.service("orders")
    source.service("elsewhere")
    (source.root / "away").symlink_to(tmp_path)
    source.commit()
    one = repositories.repository_add("shop", f"file://{source.root}", "", "services/shop", now=NOW)
    assert synced(one).result["added"] == ["orders"]
    other = SourceFolder(tmp_path / "other")
    other.service("mails")
    added = api.post("/api/v1/projects/shop/repositories/", {"source": str(other.root)}).json()
    runs = services.project_sync(one.project, now=NOW)
    assert [run.result["added"] for run in runs] == [[], ["mails"]]
    for folder, says in (("gone", "has no folder"), ("away", "has no folder")):
        repositories.repository_change(one, folder=folder, now=NOW)
        assert says in synced_first(one).error
    assert selectors.service_get("orders").runs
    gone = repositories.repository_remove(Repository.objects.get(pk=added["id"]), now=NOW)
    assert gone == ["mails"]
    assert api.get("/api/v1/projects/shop/repositories/").json()["results"][0]["folder"] == "away"


def synced_first(repository: Repository):
    return services.project_sync(repository.project, now=NOW)[0]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"branch": "--upload-pack=id"}, "branch"),
        ({"branch": "a..b"}, "branch"),
        ({"folder": "../x"}, "folder"),
        ({"folder": "/etc"}, "folder"),
        ({"folder": ".git/hooks"}, "folder"),
        ({"token": "x"}, "token"),
    ],
)
def test_what_is_no_repository(given: dict[str, str], field: str, api) -> None:
    answer = api.post("/api/v1/projects/", {"name": "shop", "source": "ssh://git@example.org/x"})
    assert answer.status_code == 201
    answer = api.post("/api/v1/projects/shop/repositories/", {"source": "ssh://git@example.org/y", **given})
    assert answer.status_code == 400
    assert field in answer.content.decode()
    assert Repository.objects.count() == 1


def test_a_token_is_never_shown(api, person) -> None:
    api.post("/api/v1/projects/", {"name": "shop", "source": "https://git.example.org/x.git"})
    pk = Repository.objects.get().pk
    answer = api.patch(
        f"/api/v1/projects/shop/repositories/{pk}/", {"token": "hidden-token", "username": "ada"}
    )
    assert answer.json()["has_token"] is True
    for content in (answer.content, person.get(f"/projects/shop/repositories/{pk}/").content):
        assert b"hidden-token" not in content
    assert "hidden" not in RepositorySecret.objects.get().ciphertext
    answer = api.patch(f"/api/v1/projects/shop/repositories/{pk}/", {"token": ""})
    assert answer.json()["has_token"] is False


def test_a_repository_is_its_project_s(api) -> None:
    api.post("/api/v1/projects/", {"name": "shop", "source": "https://git.example.org/x.git"})
    api.post("/api/v1/projects/", {"name": "bank", "source": "https://git.example.org/x.git"})
    pk = Repository.objects.get(project__name="shop").pk
    for method in (api.get, api.delete):
        assert method(f"/api/v1/projects/bank/repositories/{pk}/").status_code == 404
    assert api.post(f"/api/v1/projects/bank/repositories/{pk}/deploy-key/").status_code == 404


def test_folders_of_the_machine_are_for_administrators(
    source: SourceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.service("orders")
    ada = User.objects.create_user("bea")
    allowed = tmp_path / "allowed"
    (allowed / "in").mkdir(parents=True)
    (allowed / "link").symlink_to(source.root)
    config = replace(wiring.config(), source_folders=(str(allowed),))
    monkeypatch.setattr(wiring, "config", lambda: config)
    for place in (
        str(source.root),
        f"file://{source.root}",
        str(allowed / "link"),
        f"file://{allowed}/../source",
    ):
        with pytest.raises(ValidationError, match="FERRIS_SOURCE_FOLDERS"):
            repositories.repository_add("shop", place, actor=ada, now=NOW)
    repositories.repository_add("shop", str(allowed / "in"), actor=ada, now=NOW)
    root = User.objects.create_superuser("root")
    repositories.repository_add("shop", str(source.root), actor=root, now=NOW)
    with pytest.raises(Conflict):
        repositories.repository_add("shop", str(source.root), actor=root, now=NOW)


def test_a_token_for_one_project_reads_no_folder_of_the_machine(
    source: SourceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator's token may be made for less than they may: it is worth no more than that."""
    config = replace(wiring.config(), source_folders=())
    monkeypatch.setattr(wiring, "config", lambda: config)
    source.service("orders")
    shop = Project.objects.create(name="shop")
    root = User.objects.create_superuser("root")
    given = {"source": str(source.root)}
    for limits in ({"projects": [shop.pk]}, {"scopes": ["read", "run", "write"]}):
        limited = Caller(token_create(root, **limits))
        answer = limited.post("/api/v1/projects/shop/repositories/", given)
        assert problem_of(answer, 400)["errors"][0]["field"] == "source"
    assert not Repository.objects.exists()
    assert Caller(token_create(root)).post("/api/v1/projects/shop/repositories/", given).status_code == 201


def test_a_name_that_is_taken_is_said_when_a_folder_is_added(
    api: Caller, person: Client, tmp_path: Path, source: SourceFolder
) -> None:
    source.service("orders")
    repositories.repository_add("shop", str(source.root), now=NOW)
    services.project_sync(Project.objects.get(name="shop"), now=NOW)
    theirs = SourceFolder(tmp_path / "theirs")
    theirs.service("orders")
    theirs.service("other")
    user = User.objects.get(username="ada")
    user.is_staff = user.is_superuser = True  # who may read any folder of the machine
    user.save()
    taken = [{"service": "orders", "project": "shop"}]
    made = api.post("/api/v1/projects/", {"name": "their", "source": str(theirs.root)}).json()
    assert (made["name"], made["taken"]) == ("their", taken)
    address = "/api/v1/projects/their/repositories/"
    [one] = api.get(address).json()["results"]
    assert "taken" not in one
    assert api.patch(f"{address}{one['id']}/", {"folder": "other"}).json()["taken"] == []
    assert api.patch(f"{address}{one['id']}/", {"folder": ""}).json()["taken"] == taken
    assert api.patch(f"{address}{one['id']}/", {"folder": "none"}).json()["taken"] == []  # the sync says so
    other = f"file://{theirs.root}"
    assert api.post(address, {"source": other}).json()["taken"] == [], "known once it was fetched"
    err = io.StringIO()
    call_command("project", "add", "fourth", str(theirs.root), "--no-sync", stdout=io.StringIO(), stderr=err)
    assert "orders: the name is taken by a service of project shop" in err.getvalue()
    assert "other:" not in err.getvalue()
    again = SourceFolder(tmp_path / "again")
    again.service("orders")
    form = {"source": str(again.root), "branch": "", "folder": "", "every_minutes": ""}
    page = Page(person.post("/projects/fourth/repositories/add/", form, follow=True).content.decode())
    assert "A folder has the name of a service of another project" in page.text
    assert "orders (shop)" in page.text
