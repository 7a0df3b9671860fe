"""The git program as it is used: real repositories in folders, hostile URLs and settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ferris.adapters import git
from ferris.errors import BackendError


def run(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ("git", *identity, *arguments), cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path, subject: str) -> str:
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--allow-empty", "--message", subject)
    return run(folder, "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    folder.mkdir()
    run(folder, "init", "--quiet")
    (folder / "file").write_text("one")
    commit(folder, "the first")
    return folder


@pytest.mark.parametrize("form", ["file://{}", "{}"])
def test_a_url_and_a_plain_path(origin, tmp_path, form):
    target = tmp_path / "target"
    found = git.fetch(form.format(origin), "", target).commit
    assert found == git.Commit(run(origin, "rev-parse", "HEAD"), "Ada <ada@example.org>", "the first")
    assert (target / "file").read_text() == "one"


def test_a_second_fetch_brings_only_what_is_new(origin, tmp_path):
    target = tmp_path / "target"
    (origin / "large").write_bytes(os.urandom(2_000_000))
    commit(origin, "large")
    git.fetch(f"file://{origin}", "", target)
    before = {path: path.stat().st_ino for path in (target / ".git/objects").rglob("*") if path.is_file()}
    (origin / "file").write_text("two")
    second = commit(origin, "second")
    assert git.fetch(f"file://{origin}", "", target).commit.id == second
    assert (target / "file").read_text() == "two"
    after = {path: path.stat().st_ino for path in (target / ".git/objects").rglob("*") if path.is_file()}
    assert before.items() <= after.items()
    assert sum(path.stat().st_size for path in after.keys() - before.keys()) < 100_000


@pytest.mark.parametrize("filtered", [True, False])
def test_the_history_of_a_branch(origin: Path, tmp_path: Path, filtered: bool) -> None:
    run(origin, "config", "uploadpack.allowFilter", str(filtered).lower())
    run(origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    first = run(origin, "rev-parse", "HEAD")
    made = [first]
    for number in range(5):
        (origin / "file").write_bytes(os.urandom(100_000))
        made.append(commit(origin, f"change {number}"))
    run(origin, "checkout", "--quiet", "-b", "aside", first)
    elsewhere = commit(origin, "on another branch")
    run(origin, "checkout", "--quiet", "main")
    folder = tmp_path / "history"
    fetched = git.fetch_history(f"file://{origin}", "main", folder)
    assert (fetched.commit.id, fetched.commit.subject) == (made[-1], "change 4")
    listed = git.history(folder, limit=4)
    assert [one.commit.id for one in listed] == made[:1:-1]
    assert listed[0].commit == git.Commit(made[-1], "Ada <ada@example.org>", "change 4")
    assert listed[0].at.tzinfo is not None
    assert [one.commit.id for one in git.history(folder, behind=listed[-1].commit.id, limit=9)] == made[1::-1]
    assert all(git.in_history(folder, one) for one in made)
    assert not git.in_history(folder, elsewhere), "the host gives it out, but it is of another branch"
    for wrong in ("", "HEAD", "--all", made[-1][:10], "0" * 40):
        assert not git.in_history(folder, wrong)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert (size < 100_000) is filtered
    run(origin, "tag", "--annotate", "--message", "told", "v1", made[2])
    assert git.fetch_history(f"file://{origin}", "v1", folder).commit.id == made[2]
    assert git.in_history(folder, made[1])
    assert not git.in_history(folder, made[3])
    newest = commit(origin, "one more")
    (folder / "HEAD").write_text("broken")
    assert git.fetch_history(f"file://{origin}", "main", folder).commit.id == newest
    assert git.history(folder, limit=1)[0].commit.id == newest


def _filter(folder: Path, program: str, configured: Path) -> None:
    (folder / ".gitattributes").write_text("file filter=a=b\n")
    run(folder, "config", "--file", str(configured), "filter.a=b.clean", f"{program}; cat")
    run(folder, "config", "--file", str(configured), "filter.a=b.required", "true")


def _filter_of_its_own(folder: Path, program: str) -> None:
    _filter(folder, program, folder / ".git/config")


def _filter_included(folder: Path, program: str) -> None:
    _filter(folder, program, folder / "more")
    run(folder, "config", "include.path", "../more")


def _submodule(folder: Path, program: str) -> None:
    inner = folder / "inner"
    inner.mkdir()
    run(inner, "init", "--quiet")
    (inner / "file").write_text("one")
    commit(inner, "inner")
    commit(folder, "with a repository in it")
    _filter(inner, program, inner / ".git/config")
    os.utime(inner / "file", (1, 1))


def _monitor(folder: Path, program: str) -> None:
    run(folder, "config", "core.fsmonitor", program)


def _remote_with_the_rest(folder: Path, program: str) -> None:
    for name, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "more",
        "remote.more.promisor": "true",
        "remote.more.url": str(folder),
        "remote.more.uploadpack": f"{program}; git-upload-pack",
    }.items():
        run(folder, "config", name, value)
    head = run(folder, "rev-parse", "HEAD")
    (folder / ".git/objects" / head[:2] / head[2:]).unlink()


@pytest.mark.parametrize(
    "laid", [_filter_of_its_own, _filter_included, _submodule, _monitor, _remote_with_the_rest]
)
def test_looking_at_a_folder_starts_nothing_that_it_names(origin, tmp_path, laid):
    """A folder that was unpacked brings its .git/config along."""
    ran = tmp_path / "ran"
    laid(origin, f"touch {ran}")
    os.utime(origin / "file", (1, 1))  # of the same size: whether it is changed is in its content
    found = git.describe(origin)
    assert not ran.exists()
    assert found.subject or laid is _remote_with_the_rest


def test_hooks_of_the_checkout_do_not_run(origin, tmp_path):
    target = tmp_path / "target"
    git.fetch(f"file://{origin}", "", target)
    hook = target / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    commit(origin, "second")
    git.fetch(f"file://{origin}", "", target)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% ran",
        "EXT::sh -c id",
        "fd::0",
        "--upload-pack=touch ran",
        "-x",
        "http://h/x",
        "git://h/x",
        "transport::https://h/x",
        "persistent-https://h/x",
        "ftp://h/x",
    ],
)
@pytest.mark.parametrize("environment", [{}, {"GIT_ALLOW_PROTOCOL": "ext:http:git:fd"}])
def test_other_ways_are_refused_before_git_starts(url, environment, tmp_path, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendError, match="is not let at") as caught:
        git.fetch(url, "", tmp_path / "target")
    assert "https" in caught.value.remedy


def test_a_redirection_by_configuration_reaches_no_other_protocol(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "url.ext::sh -c touch% ran;.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"file://{origin}")
    monkeypatch.setenv("GIT_CONFIG_KEY_1", "protocol.ext.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_1", "always")
    with pytest.raises(BackendError, match="not allowed"):
        git.fetch(f"file://{origin}", "", tmp_path / "target")
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize(
    "branch", ["--upload-pack=id", "a b", "main:other", "*", "../main", "refs/heads/main"]
)
def test_a_branch_is_only_ever_a_name(origin, tmp_path, branch):
    with pytest.raises(BackendError):
        git.fetch(f"file://{origin}", branch, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_credentials_are_never_shown(tmp_path):
    for url in (
        "https://user:hidden@127.0.0.1:9/x.git",
        "https://hidden@127.0.0.1:9/x",
        "ftp://u:hidden@h/x",
    ):
        with pytest.raises(BackendError) as caught:
            git.fetch(url, "", tmp_path / "target")
        assert "hidden" not in str(caught.value)
        assert caught.value.remedy


def test_what_is_missing_is_said(origin, tmp_path):
    with pytest.raises(BackendError, match="has no branch 'gone'"):
        git.fetch(f"file://{origin}", "gone", tmp_path / "target")
    with pytest.raises(BackendError, match="does not (exist|appear)"):
        git.fetch(f"file://{tmp_path}/nothing", "", tmp_path / "target")
    empty = tmp_path / "empty"
    empty.mkdir()
    run(empty, "init", "--quiet")
    with pytest.raises(BackendError, match="no commit yet"):
        git.fetch(f"file://{empty}", "", tmp_path / "target")


def test_a_folder_is_described(origin, tmp_path):
    head = run(origin, "rev-parse", "HEAD")
    assert git.describe(origin) == git.Commit(head, "Ada <ada@example.org>", "the first")
    (origin / "file").write_text("changed")
    assert git.describe(origin).id == f"{head}-dirty"
    plain = tmp_path / "plain"
    plain.mkdir()
    assert git.describe(plain) == git.Commit()
    assert git.describe(tmp_path / "missing") == git.Commit()


def test_a_folder_is_described_without_git(origin, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git.describe(origin) == git.Commit()
    with pytest.raises(BackendError, match="not on the path"):
        git.fetch(f"file://{origin}", "", origin.parent / "target")
