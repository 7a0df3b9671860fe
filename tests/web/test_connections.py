"""Database connections: administrators make them, projects are let use them, passwords come out in claims only."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import connections, services
from ferris_web.catalog.models import Connection, Project, Service
from ferris_web.catalog.repositories import repository_add
from ferris_web.executions.models import Execution, Step
from ferris_web.executions.services import reports_apply
from tests.web.calling import Caller, problem_of
from tests.web.folders import SourceFolder
from tests.web.platform import NOW, dispatch, event, report, service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

URL = "postgresql://ferris:op%21en-sesame@db.example.org:5433/sales?sslmode=require"


@pytest.fixture
def chief(backends: Path, administrator: Client) -> Caller:
    """A program of an administrator."""
    return Caller(token_create(User.objects.get(username="root")))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a SQLite file."""
    sqlite3.connect(tmp_path / "data.db").executescript("CREATE TABLE t (n INT)").close()
    return f"sqlite:///{tmp_path}/data.db"


def made(name: str = "warehouse", url: str = URL, **more: Any) -> Connection:
    return connections.connection_set(name, url=url, **more)


# --- what is kept ------------------------------------------------------------------------------------


def test_the_url_is_encrypted_and_shown_without_its_password() -> None:
    made()
    row = Connection.objects.get()
    assert row.shown == "postgresql://ferris:…@db.example.org:5433/sales?sslmode=require"
    assert "sesame" not in row.ciphertext
    assert "sesame" not in repr(row)
    project = Project.objects.create(name="testing")
    row.projects.add(project)
    assert connections.connections_of(project.pk, ["warehouse"])["warehouse"]["url"] == URL


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://h/x", "kind 'mysql'"),
        ("postgresql://h", "names no host or no database"),
        ("postgresql:///x", "names no host or no database"),
        ("postgresql://h/x?options=-c%20a=b", "has the option 'options'"),
        ("postgresql://h/x?passfile=/etc/passwd", "has the option 'passfile'"),
        ("postgresql://h:port/x", "is no URL"),
        ("postgresql://a:b#c@h/x", "names no host|%23|is no URL"),
        ("sqlite:///relative.db", "four slashes"),
        ("sqlite:////a/../b.db", "four slashes"),
        ("sqlite:////a.db?mode=memory", "neither host nor options"),
        ("sqlite://", "four slashes"),
        ("file:///etc/passwd", "kind 'file'"),
        ("", "kind 'none at all'"),
        ("postgresql://h/x\ny", "control characters"),
    ],
)
def test_urls_that_are_none(chief: Caller, url: str, problem: str) -> None:
    import re

    said = problem_of(chief.put("/api/v1/connections/c/", {"url": url or " "}), 400)
    assert re.search(problem, str(said)) or not url
    assert not Connection.objects.exists()


def test_the_platforms_own_database_is_refused(chief: Caller, tmp_path: Path) -> None:
    own = wiring.config().ops_store_url
    problem = problem_of(chief.put("/api/v1/connections/c/", {"url": own}), 400)
    assert "a database of the platform itself" in str(problem)
    (tmp_path / "link.db").symlink_to(own.removeprefix("sqlite:///"))
    problem_of(chief.put("/api/v1/connections/c/", {"url": f"sqlite:///{tmp_path}/link.db"}), 400)


# --- who may -----------------------------------------------------------------------------------------


def test_only_administrators_make_change_test_and_remove(api: Caller, chief: Caller) -> None:
    made(description="All sales.")
    for method, path, body in (
        ("PUT", "/api/v1/connections/mine/", {"url": URL}),
        ("PUT", "/api/v1/connections/warehouse/", {"every_project": True}),
        ("DELETE", "/api/v1/connections/warehouse/", None),
        ("POST", "/api/v1/connections/warehouse/test/", {}),
    ):
        problem_of(api(method, path, body), 403)
    [seen] = api.all("/api/v1/connections/")
    assert (seen["name"], seen["url"], seen["description"]) == ("warehouse", None, "All sales.")
    assert api.get("/api/v1/connections/warehouse/").json()["url"] is None
    [seen] = chief.all("/api/v1/connections/")
    assert seen["url"].startswith("postgresql://ferris:…@")


def test_somebody_who_was_given_the_right(api: Caller, user: User) -> None:
    from django.contrib.auth.models import Permission

    user.user_permissions.add(Permission.objects.get(codename="change_connection"))
    assert api.put("/api/v1/connections/warehouse/", {"url": URL}).status_code == 200


def test_the_api_never_gives_the_password(chief: Caller) -> None:
    project = Project.objects.create(name="testing")
    answer = chief.put(
        "/api/v1/connections/warehouse/", {"url": URL, "projects": ["testing"], "read_only": True}
    )
    assert answer.json()["projects"] == [project.name]
    for shown in (answer, chief.get("/api/v1/connections/"), chief.get("/api/v1/connections/warehouse/")):
        assert b"sesame" not in shown.content
    assert chief.put("/api/v1/connections/warehouse/", {"description": "x"}).json()["read_only"] is True
    problem_of(chief.put("/api/v1/connections/warehouse/", {"projects": ["none"]}), 400)
    problem_of(chief.put("/api/v1/connections/new/", {"description": "x"}), 400)
    problem_of(chief.put("/api/v1/connections/a%20b/", {"url": URL}), 400)
    assert chief.delete("/api/v1/connections/warehouse/").status_code == 204
    problem_of(chief.get("/api/v1/connections/warehouse/"), 404)


def test_the_console_shows_people_what_there_is_and_lets_administrators_change_it(
    person: Client, administrator: Client, file: str
) -> None:
    made(description="<script>alert(1)</script>")
    page = person.get("/connections/").content.decode()
    assert "warehouse" in page
    assert "db.example.org" not in page
    assert "<script>alert" not in page
    for path in ("add/", "warehouse/"):
        assert person.get(f"/connections/{path}").status_code == 403
    for path in ("add/", "warehouse/", "warehouse/test/", "warehouse/remove/"):
        assert person.post(f"/connections/{path}", {"url": file, "name": "x"}).status_code == 403
    Project.objects.create(name="testing")
    form = {"name": "local", "url": file, "projects": ["testing"], "read_only": "on"}
    answer = administrator.post("/connections/add/", form, follow=True)
    assert "SQLite" in answer.content.decode()
    assert "answered at" in answer.content.decode()
    assert administrator.post("/connections/add/", form).status_code == 422
    assert (
        administrator.post("/connections/add/", {"name": "bad", "url": "mysql://a:sesame@h/x"}).status_code
        == 422
    )
    administrator.post("/connections/local/", {"description": "mine"})
    row = Connection.objects.get(name="local")
    assert (row.description, row.read_only, row.shown, row.projects.count()) == ("mine", False, file, 0)
    assert administrator.post("/connections/local/remove/").status_code == 302
    assert not Connection.objects.filter(name="local").exists()


def test_the_administration_takes_a_url_and_shows_none(administrator: Client, file: str) -> None:
    form = {"name": "local", "description": "", "url": file, "every_project": "on"}
    assert administrator.post("/admin/catalog/connection/add/", form).status_code == 302
    row = Connection.objects.get()
    assert connections.connections_of(1, None) == {"local": {"url": file, "read_only": False}}
    change = f"/admin/catalog/connection/{row.pk}/change/"
    assert administrator.post(change, {**form, "url": "", "description": "y"}).status_code == 302
    assert connections.connections_of(1, None)["local"]["url"] == file
    assert administrator.post(change, {**form, "url": "mysql://x/y"}).status_code == 200
    assert (
        administrator.post("/admin/catalog/connection/add/", {**form, "name": "b", "url": ""}).status_code
        == 200
    )
    assert Connection.objects.count() == 1


def test_by_command(file: str) -> None:
    Project.objects.create(name="testing")

    def said(*arguments: str, **options: Any) -> str:
        out = StringIO()
        call_command("connection", *arguments, stdout=out, **options)
        return out.getvalue()

    assert "answered at sqlite:" in said("add", "local", file, "--project", "testing", "--read-only")
    assert said("list") == f"local  {file}, read only; for testing\n"
    with pytest.raises(CommandError, match="kind 'mysql'"):
        said("add", "other", "mysql://x/y")
    made("gone", "sqlite:////nowhere/at/all.db")
    with pytest.raises(SystemExit):
        said("test", "gone")
    said("remove", "local")
    with pytest.raises(CommandError, match="no database connection 'local'"):
        said("remove", "local")


# --- a test of one ----------------------------------------------------------------------------------


def test_a_test_says_what_happened(chief: Caller, file: str) -> None:
    made("local", file)
    answer = chief.post("/api/v1/connections/local/test/").json()
    assert answer["ok"] is True
    assert answer["text"].startswith("SQLite 3")
    made("away", "postgresql://ferris:open-sesame@127.0.0.1:1/sales")
    answer = chief.post("/api/v1/connections/away/test/").json()
    assert answer["ok"] is False
    assert "refused" in answer["text"]
    assert "sesame" not in answer["text"]


# --- on the way to a script -------------------------------------------------------------------------


def order_of(executor: Caller, execution: Execution) -> dict[str, Any]:
    answer = executor.post("/control/claim", {"execution": str(execution.pk), "worker": "w"}).json()
    assert answer["go"], answer
    return answer["order"]  # type: ignore[no-any-return]


def sql_service(**manifest: Any) -> Service:
    found = service("sql_one", "a.happened")
    found.version.manifest = {**found.version.manifest, "scripts": ["run.sql"], **manifest}
    found.version.save()
    return found


def test_a_claim_brings_what_the_scripts_name_and_the_project_may_use(executor: Caller, file: str) -> None:
    found = sql_service(connections=["warehouse", "other", "hidden"], sql={"read_only": True})
    made("warehouse", projects=[found.project])
    made("other", file, every_project=True, read_only=True)
    made("hidden")
    made("unnamed", every_project=True)
    dispatch(event())
    order = order_of(executor, Execution.objects.get())
    assert order["connections"] == {
        "warehouse": {"url": URL, "read_only": False},
        "other": {"url": file, "read_only": True},
    }
    assert order["sql"] == {"read_only": True}


def test_a_claim_of_a_service_without_sql_brings_none(
    executor: Caller, django_assert_max_num_queries: Any
) -> None:
    made(every_project=True)
    service("plain", "a.happened")
    dispatch(event())
    assert order_of(executor, Execution.objects.get())["connections"] == {}


def test_a_sync_warns_of_connections_that_cannot_be_used(source: SourceFolder) -> None:
    made("hidden")
    source.service(
        "a", {"connection": "hidden", "sql": {"timeout": "5s"}}, run_py="print()", one_sql="SELECT 1"
    )
    source.service("b", {}, one_sql="-- connection: none\nSELECT 1", run_py="print()")
    source.service("c", {"sql": {"format": "xml", "rows": 0, "result_event": "a b*"}}, one_sql="SELECT 1")
    project = repository_add("shop", str(source.root), now=NOW).project
    [run] = services.project_sync(project, now=NOW)
    said = {(m["service"], m["level"], m["key"]): m["text"] for m in run.result["messages"]}
    assert "'hidden': project shop may not use it" in said["a", "warning", "connection"]
    assert "'none': there is none of that name yet" in said["b", "warning", "connection"]
    assert {key for service, level, key in said if service == "c" and level == "error"} == {
        "sql.format",
        "sql.rows",
        "sql.result_event",
    }
    assert Service.objects.get(name="a").version.manifest["sql"]["timeout"] == 5


def test_tables_of_a_step_are_kept_and_shown(chief: Caller, person: Client) -> None:
    sql_service()
    dispatch(event())
    row = Execution.objects.get()
    Execution.objects.update(status="in_progress", started_at=NOW)
    tables = [
        {
            "columns": ["id", "<b>who</b>"],
            "rows": [["1", "<script>alert(1)</script>"], ["2", None]],
            "count": 70,
            "truncated": False,
            "file": "run.csv",
            "line": 3,
        }
    ]
    step = {"step": 0, "script": "run.sql", "exit_code": 0}
    reports_apply(
        [
            report(row, "step.started", **step),
            report(row, "step.completed", now=NOW + timedelta(seconds=1), **step, tables=tables),
        ],
        NOW,
    )
    assert Step.objects.get().tables == tables
    [seen] = chief.get(f"/api/v1/executions/{row.pk}/steps/").json()["results"]
    assert seen["tables"] == tables
    page = person.get(f"/executions/{row.pk}/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "70 rows, of which the first 2 are shown" in page
    assert '<th scope="col">&lt;b&gt;who&lt;/b&gt;</th>' in page
