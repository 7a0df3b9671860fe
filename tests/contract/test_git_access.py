"""Git over ssh and https against real servers: keys, tokens, host keys, and hosts that may not be asked."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ferris.adapters import git
from ferris.adapters.git_access import Access, HostKeyChanged, deploy_key
from ferris.errors import BackendError
from ferris.repositories import host_keys
from tests.contract.test_git import commit, origin, run
from tests.git_servers import https_server, ssh_server

__all__ = ["origin"]
HERE = ("127.0.0.1", "localhost")


@pytest.fixture
def ssh(tmp_path):
    with ssh_server(tmp_path) as server:
        yield server


def test_a_deploy_key_opens_and_the_host_key_is_pinned(ssh, origin, tmp_path):
    private, public = deploy_key()
    stranger, _ = deploy_key()
    ssh.keys.append(public)
    target = tmp_path / "target"
    with pytest.raises(BackendError, match="Permission denied") as refused:
        git.fetch(ssh.url("origin"), "", target, Access(private_key=stranger, hosts=HERE))
    assert "deploy key" in refused.value.remedy
    for idle in ("Permanently added", "make sure you have"):
        assert idle not in str(refused.value)
    first = git.fetch(ssh.url("origin"), "", target, Access(private_key=private, hosts=HERE))
    assert first.commit.subject == "the first"
    [key] = host_keys(first.known_hosts)
    assert (key.host, key.kind) == (f"[127.0.0.1]:{ssh.port}", "ssh-ed25519")
    said = subprocess.run(
        ("ssh-keygen", "-lf", "-"), input=first.known_hosts, capture_output=True, text=True, check=True
    )
    assert key.fingerprint in said.stdout
    assert not list(tmp_path.glob("*.access")), "what is secret goes when it was used"
    assert not [path for path in target.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    known = Access(private_key=private, hosts=HERE, known_hosts=first.known_hosts)
    second = commit(origin, "second")
    assert git.fetch(ssh.url("origin"), "main", target, known).commit.id == second

    ssh.stop()
    with pytest.raises(BackendError, match="refused") as away:
        git.fetch(ssh.url("origin"), "main", target, known)
    assert "see that the host runs" in away.value.remedy
    ssh.start()  # with another key
    logins = ssh.logins
    with pytest.raises(HostKeyChanged) as changed:
        git.fetch(ssh.url("origin"), "main", target, known)
    [offered] = host_keys(changed.value.offered)
    assert offered.fingerprint != key.fingerprint
    assert offered.fingerprint in str(changed.value)
    assert key.fingerprint in str(changed.value)
    assert ssh.logins == logins, "nobody signed in at a host that is not the known one"
    accepted = Access(private_key=private, hosts=HERE, known_hosts=changed.value.offered)
    assert git.fetch(ssh.url("origin"), "main", target, accepted).commit.id == second


def named(monkeypatch, name: str, address: str) -> None:
    """Only this process finds the name, and finds this address."""
    asked = socket.getaddrinfo

    def found(host, *rest, **more):
        return asked(address if host == name else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_ssh_asks_the_address_that_was_looked_at_and_knows_the_key_by_the_name(
    ssh, origin, tmp_path, monkeypatch
):
    named(monkeypatch, "git.example.org", "127.0.0.1")
    private, public = deploy_key()
    ssh.keys.append(public)
    url = ssh.url("origin").replace("127.0.0.1", "git.example.org")
    hosts = ("git.example.org",)
    first = git.fetch(url, "", tmp_path / "target", Access(private_key=private, hosts=hosts))
    [key] = host_keys(first.known_hosts)
    assert key.host == f"[git.example.org]:{ssh.port}"
    known = Access(private_key=private, hosts=hosts, known_hosts=first.known_hosts)
    assert git.fetch(url, "", tmp_path / "target", known).known_hosts == first.known_hosts

    ssh.stop()
    ssh.start()  # with another key
    with pytest.raises(HostKeyChanged) as changed:
        git.fetch(url, "", tmp_path / "target", known)
    [offered] = host_keys(changed.value.offered)
    assert offered.host == key.host


def test_the_way_that_the_machine_s_ssh_is_told_is_kept(ssh, origin, tmp_path, monkeypatch):
    named(monkeypatch, "git.example.org", "203.0.113.7")  # where nobody answers
    (tmp_path / "config").write_text("Host git.example.org\n  HostName 127.0.0.1\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    private, public = deploy_key()
    ssh.keys.append(public)
    url = ssh.url("origin").replace("127.0.0.1", "git.example.org")
    access = Access(private_key=private, hosts=("git.example.org",))
    assert git.fetch(url, "", tmp_path / "target", access).commit.subject == "the first"


def test_an_earlier_commit(ssh, origin, tmp_path):
    private, public = deploy_key()
    ssh.keys.append(public)
    first = run(origin, "rev-parse", "HEAD")
    (origin / "file").write_text("two")
    commit(origin, "second")
    target = tmp_path / "target"
    access = Access(private_key=private, hosts=HERE)
    git.fetch(ssh.url("origin"), "", target, access)
    assert git.fetch(ssh.url("origin"), "", target, access, commit=first).commit.id == first
    assert (target / "file").read_text() == "one"
    assert git.fetch(ssh.url("origin"), "", target, access).commit.subject == "second"
    with pytest.raises(BackendError, match="no commit 0000"):
        git.fetch(ssh.url("origin"), "", target, access, commit="0" * 40)


def test_a_token_opens_and_shows_nowhere(origin, tmp_path, monkeypatch):
    with https_server(tmp_path, tmp_path, "ada", "hidden-token") as server:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(server.certificate))
        target = tmp_path / "target"
        access = Access(token="hidden-token", username="ada", hosts=HERE)
        assert git.fetch(server.url("origin/.git"), "", target, access).commit.subject == "the first"
        assert not [
            path for path in target.rglob("*") if path.is_file() and b"hidden-token" in path.read_bytes()
        ]
        for wrong in (Access(token="hidden-wrong", username="ada", hosts=HERE), Access(hosts=HERE)):
            with pytest.raises(BackendError) as refused:
                git.fetch(server.url("origin/.git"), "", target, wrong)
            assert "token" in refused.value.remedy
            assert "hidden" not in str(refused.value)
        server.seen.clear()
        with pytest.raises(BackendError, match="30") as moved:
            git.fetch(server.url("moved/origin/.git"), "", target, access)
        assert "redirect" in moved.value.remedy
        assert len(server.seen) == 1, "a redirection is not followed"
        server.seen.clear()
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(BackendError, match="this machine") as guarded:
                git.fetch(server.url("origin/.git", host), "", target, Access(token="hidden-token"))
            assert "FERRIS_GIT_HOSTS" in guarded.value.remedy
        with pytest.raises(BackendError, match="not among"):
            git.fetch(server.url("origin/.git"), "", target, Access(hosts=("10.0.0.0/8", "git.example.org")))
        assert server.seen == [], "nobody was asked"


def test_what_a_repository_may_come_to(origin, tmp_path):
    (origin / "large").write_bytes(b"0" * 300_000)
    commit(origin, "large, and small when packed")
    with pytest.raises(git.TooLarge, match="more than"):
        git.fetch(f"file://{origin}", "", tmp_path / "target", most_bytes=200_000)
    assert not (tmp_path / "target").exists()
    (origin / "larger").write_bytes(
        subprocess.check_output(
            (sys.executable, "-c", "import os,sys;sys.stdout.buffer.write(os.urandom(400_000))")
        )
    )
    commit(origin, "large however packed")
    with pytest.raises(git.TooLarge, match="larger than"):
        git.fetch(f"file://{origin}", "", tmp_path / "target", most_bytes=200_000)


def test_neither_submodules_nor_filters_are_followed(origin, tmp_path):
    (origin / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = x\n\turl = {origin}\n')
    (origin / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (origin / "a.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    run(origin, "update-index", "--add", "--cacheinfo", f"160000,{run(origin, 'rev-parse', 'HEAD')},x")
    run(origin, "-c", "filter.lfs.clean=", "add", "--all", "--", ".gitmodules", ".gitattributes", "a.bin")
    run(origin, "commit", "--quiet", "--message", "all of it")
    target = tmp_path / "target"
    git.fetch(f"file://{origin}", "", target)
    assert (target / "a.bin").read_text().startswith("version https")
    assert list((target / "x").iterdir()) == []


def test_a_killed_fetch_leaves_no_key_for_long(origin, tmp_path):
    left = tmp_path / "target.access"
    left.mkdir()
    (left / "key").write_text("secret")
    git.fetch(f"file://{origin}", "", tmp_path / "target")
    assert not left.exists()


def test_files_of_the_door_are_private(tmp_path, monkeypatch):
    from ferris.adapters import git_access

    seen: list[int] = []
    folder: Path = tmp_path / "door"
    with git_access.opened("ssh://git@192.0.2.1/x", Access(private_key="secret", known_hosts="x"), folder):
        seen = [path.stat().st_mode & 0o777 for path in (folder, folder / "key", folder / "known_hosts")]
    assert seen == [0o700, 0o600, 0o600]
    assert not folder.exists()
