"""Projects from git URLs, and what a sync says about the commit."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from ferris.adapters import git
from ferris.errors import BackendError
from ferris_web.catalog import selectors, services
from ferris_web.catalog.models import Project, SyncRun
from ferris_web.catalog.repositories import repository_add
from tests.web.folders import NOW, SourceFolder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


def add(source: SourceFolder, branch: str = "") -> Project:
    return repository_add("shop", f"file://{source.root}", branch, now=NOW).project


def sync(project: Project) -> SyncRun:
    [run] = services.project_sync(project, now=NOW)
    return run


def test_a_git_url_is_fetched_and_its_commit_kept(source: SourceFolder) -> None:
    source.service("orders")
    first = source.commit("the first")
    project = add(source)
    run = sync(project)
    assert (run.status, run.commit, run.subject) == ("completed", first, "the first")
    assert run.author == "Ada <ada@example.org>"
    assert run.result["added"] == ["orders"]
    assert selectors.service_get("orders").version.commit == first  # type: ignore[union-attr]
    source.service("orders", run_py="print('not committed')")
    assert sync(project).result["unchanged"] == ["orders"]
    second = source.commit("the second")
    source.service("late")
    run = sync(project)
    assert (run.commit, run.result["changed"], run.result["added"]) == (second, ["orders"], [])


def test_a_branch(source: SourceFolder) -> None:
    source.service("orders")
    source.commit()
    source.git("checkout", "--quiet", "-b", "next")
    source.service("other")
    next_commit = source.commit()
    source.git("checkout", "--quiet", "main")
    project = add(source, "next")
    run = sync(project)
    assert (run.commit, run.result["added"]) == (next_commit, ["orders", "other"])


def test_a_branch_that_is_not_there_is_an_error_with_a_remedy(source: SourceFolder) -> None:
    source.service("orders")
    source.commit()
    run = sync(add(source, "gone"))
    assert run.status == "failed"
    assert "has no branch 'gone'" in run.error


def test_a_repository_that_is_gone_leaves_the_catalog(source: SourceFolder) -> None:
    source.service("orders")
    source.commit()
    project = add(source)
    sync(project)
    source.root.rename(source.root.with_name("moved"))
    run = sync(project)
    assert run.status == "failed"
    assert "could not ls-remote" in run.error
    assert selectors.service_get("orders").runs


def test_a_history_that_was_rewritten_is_no_obstacle(source: SourceFolder) -> None:
    source.service("orders")
    source.commit()
    project = add(source)
    sync(project)
    source.service("orders", run_py="print('amended')")
    source.git("add", "--all")
    source.git("commit", "--quiet", "--amend", "--message", "another first")
    run = sync(project)
    assert (run.subject, run.result["changed"]) == ("another first", ["orders"])


def test_what_a_killed_fetch_left_behind_is_repaired(source: SourceFolder, ferris_home: Path) -> None:
    source.service("orders")
    source.commit()
    project = add(source)
    sync(project)
    checkout = ferris_home / "repositories" / str(project.repositories.get().pk)
    (checkout / ".git" / "index.lock").touch()
    (checkout / ".git" / "shallow.lock").touch()
    (checkout / "half").mkdir()
    (checkout / "half" / "run.py").touch()
    source.service("second")
    source.commit()
    assert sync(project).result["added"] == ["second"]
    (checkout / ".git" / "HEAD").write_text("nonsense")
    source.service("third")
    source.commit()
    assert sync(project).result["added"] == ["third"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ext::sh -c id", "no folder"),
        ("ext://host/x", "no way to a repository"),
        ("https://user:word@example.org/x.git", "leave user and password out"),
        ("https://token@example.org/x.git", "leave user and password out"),
        ("--upload-pack=id", "give a folder"),
        ("", "give a folder"),
    ],
)
def test_sources_that_are_not_taken(url: str, says: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        repository_add("shop", url, own_key=False, now=NOW)
    assert says in wrong.value.message_dict["source"][0]
    assert not Project.objects.exists()


def test_a_folder_with_a_branch_is_told_how(source: SourceFolder) -> None:
    with pytest.raises(ValidationError, match="file://"):
        repository_add("shop", str(source.root), "main", now=NOW)


def test_a_folder_in_a_repository_has_its_commit(source: SourceFolder, tmp_path: Path) -> None:
    source.service("orders")
    assert git.describe(source.root) == git.Commit()
    commit = source.commit("the first")
    assert git.describe(source.root).id == commit
    project = repository_add("shop", str(source.root), now=NOW).project
    assert sync(project).commit == commit
    source.service("orders", run_py="print('dirty')")
    run = sync(project)
    assert run.commit == f"{commit}-dirty"
    assert selectors.service_get("orders").version.commit == f"{commit}-dirty"  # type: ignore[union-attr]
    inner = source.root / "untracked"
    inner.mkdir()
    assert git.describe(inner) == git.Commit()


def test_a_url_is_never_an_option(tmp_path: Path) -> None:
    with pytest.raises(BackendError):
        git.fetch(f"--upload-pack=touch {tmp_path}/owned", "", tmp_path / "folder")
    with pytest.raises(BackendError):
        git.fetch(f"ext::touch {tmp_path}/owned", "", tmp_path / "folder")
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "folder").exists()
