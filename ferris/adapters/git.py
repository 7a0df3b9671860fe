"""Repositories through the `git` program: a URL brought into a folder, and what commit a folder is at.

The program and not a library, because it knows everybody's ssh keys, proxies and credential helpers. It never
asks anything, runs no hooks, and speaks only the protocols named here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferris.errors import BackendError

SCHEMES: Final = ("https", "ssh", "file")
"""Ways to a repository. Git knows others: some start a program of the URL's choice (`ext::`), some are
neither encrypted nor signed (`http:`, `git:`).
"""

_FETCH_SECONDS = 600.0
_LOOK_SECONDS = 60.0
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(?:://|::)")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SAFE = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never"),
    *(part for scheme in SCHEMES for part in ("-c", f"protocol.{scheme}.allow=always")),
)


@dataclass(frozen=True, slots=True)
class Commit:
    """What a folder is at. `id` is empty outside version control, and ends in -dirty with changes on top."""

    id: str = ""
    author: str = ""
    subject: str = ""


def fetch(url: str, branch: str, folder: Path) -> Commit:
    """Bring `folder` to the newest commit of a branch or tag, without its history; empty: the default branch.

    The folder is made when missing; whatever else lies in it is removed. What an earlier fetch left half
    done is repaired. `BackendError` with git's own words when it fails; the folder is then as it was, or
    missing. One call per folder at a time: that is the caller's to see to. What stands before the @ of a
    URL is never shown.
    """
    _check(url)
    ref = _ref(url, branch, folder.parent)
    if folder.exists():
        try:
            return _fetch_into(folder, url, ref)
        except BackendError:
            pass  # the repository answers, so this folder is broken: start afresh
    fresh = folder.with_name(f"{folder.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        commit = _fetch_into(fresh, url, ref)
    except BackendError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return commit


def _check(url: str) -> None:
    scheme = _URL.match(url)
    if url.startswith("-") or (scheme and scheme[1].lower() not in SCHEMES) or "::" in url.partition("/")[0]:
        raise BackendError(
            "git",
            f"is not let at {_shown(url)!r}",
            f"use a folder, user@host:path, or a URL with {', '.join(SCHEMES)}",
        )


def _shown(text: str) -> str:
    """Without the user and password a URL may hold."""
    return _CREDENTIALS.sub("***@", text)


def _ref(url: str, branch: str, anywhere: Path) -> str:
    """The full name of what to fetch, as the repository has it."""
    anywhere.mkdir(parents=True, exist_ok=True)
    wanted = (f"refs/heads/{branch}", f"refs/tags/{branch}") if branch else ("HEAD",)
    listed = _git(anywhere, "ls-remote", "--", url, *wanted, seconds=_FETCH_SECONDS)
    found = {line.split("\t", 1)[1] for line in listed.splitlines() if "\t" in line}
    for name in wanted:
        if name in found:
            return name
    if branch:
        raise BackendError(
            _shown(url), f"has no branch {branch!r}", "name one that it has, or leave the branch out"
        )
    raise BackendError(_shown(url), "has no commit yet", "commit something and push it")


def describe(folder: Path) -> Commit:
    """The commit a folder is at, with -dirty for changes inside it that are not committed.

    An empty one for a folder that holds nothing under version control, or when git is not there to ask.
    """
    try:
        if not _git(folder, "ls-files", "--", ".").strip():
            return Commit()
        commit = _commit(folder)
        dirty = _git(folder, "status", "--porcelain", "--", ".").strip()
    except BackendError:
        return Commit()
    return Commit(f"{commit.id}-dirty", commit.author, commit.subject) if dirty else commit


def _fetch_into(folder: Path, url: str, ref: str) -> Commit:
    folder.mkdir(parents=True, exist_ok=True)
    for lock in (folder / ".git").glob("*.lock"):
        lock.unlink()  # of a git that was killed: the caller sees to it that none is at work
    _git(folder, "init", "--quiet")
    _git(
        folder,
        *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, ref),
        seconds=_FETCH_SECONDS,
    )
    _git(folder, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD", seconds=_FETCH_SECONDS)
    _git(folder, "clean", "--quiet", "-ffdx")
    return _commit(folder)


def _commit(folder: Path) -> Commit:
    found = _git(folder, "log", "-1", "--no-show-signature", "--format=%H%x00%an <%ae>%x00%s")
    return Commit(*found.rstrip("\n").split("\0", 2))


def _git(folder: Path, what: str, *arguments: str, seconds: float = _LOOK_SECONDS) -> str:
    """What `git what arguments` prints, run in a folder."""
    try:
        process = subprocess.Popen(
            ("git", "--no-optional-locks", *_SAFE, what, *arguments),
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        if folder.is_dir() and shutil.which("git") is None:
            raise BackendError("git", "is not on the path", "install git") from None
        raise BackendError(
            "git", f"cannot be run in {folder} ({error.strerror})", "see that the folder is there"
        ) from None
    with process:
        try:
            said, problem = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the programs it started hold our pipes too
            raise BackendError(
                "git", f"took longer than {seconds:.0f} s to {what}", "look at the way to the repository"
            ) from None
    if process.returncode:
        words = _shown(" ".join(problem.decode(errors="replace").split()))[-500:]
        raise BackendError("git", f"could not {what}: {words}", "check the URL, the branch and the rights")
    return said.decode(errors="replace")


def _environment() -> dict[str, str]:
    """Ours without what would point git elsewhere, and with everything that keeps it from asking."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FERRIS_") and name not in _ELSEWHERE
    }
    asks_nothing = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "LC_ALL": "C"}
    allowed = {"GIT_ALLOW_PROTOCOL": ":".join(SCHEMES)}  # stronger than any configuration
    return {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", **kept, **asks_nothing, **allowed}
