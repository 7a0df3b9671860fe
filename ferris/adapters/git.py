"""Repositories through the `git` program: a URL brought into a folder, and what commit a folder is at.

The program and not a library, because it knows everybody's ssh keys, proxies and credential helpers. It never
asks anything, runs no hooks, and speaks only the protocols named here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ferris.adapters.git_access import Access, Door, opened
from ferris.adapters.processors import all_allowed
from ferris.errors import BackendError, NoBranch, SourceError
from ferris.repositories import SCHEMES, branch_problem, is_commit

MAX_BYTES: Final = 1 << 30
"""What a repository's files may come to, and what one fetch may bring."""
MAX_FILES: Final = 200_000

_FETCH_SECONDS = 600.0
_HISTORY = "refs/ferris/history"  # what `fetch_history` brings, under whatever name the branch has there
_COMMIT = "%H%x00%an <%ae>%x00%s"  # the fields of a Commit, as git's log writes them
_LOOK_SECONDS = 60.0
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(?:://|::)")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SAFE = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never"),
    *(part for scheme in SCHEMES for part in ("-c", f"protocol.{scheme}.allow=always")),
    # Neither other repositories nor another program's store are asked for what a repository points at.
    *("-c", "submodule.recurse=false", "-c", "fetch.recurseSubmodules=false"),
    *("-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"),
    *(
        "-c",
        "http.lowSpeedLimit=500",
        "-c",
        "http.lowSpeedTime=60",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ),
)
_KEY_CHANGED = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")


@dataclass(frozen=True, slots=True)
class Commit:
    """What a folder is at. `id` is empty outside version control, and ends in -dirty with changes on top."""

    id: str = ""
    author: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The commit a folder was brought to, and the host keys that are known now."""

    commit: Commit
    known_hosts: str = ""


def fetch(
    url: str,
    branch: str,
    folder: Path,
    access: Access = Access(),  # noqa: B008 - frozen
    commit: str = "",
    seconds: float = _FETCH_SECONDS,
    most_bytes: int = MAX_BYTES,
) -> Fetched:
    """Bring `folder` to the newest commit of a branch or tag, without its history; empty: the default branch. With
    `commit`, to that one.

    The folder is made when missing; whatever else lies in it is removed. What an earlier fetch left half
    done is repaired. `BackendError` with git's own words when it fails; the folder is then as it was, or
    missing. One call per folder at a time: that is the caller's to see to. What stands before the @ of a
    URL is never shown, nor what `access` holds. The key of a host that is asked first is learned;
    `HostKeyChanged` when a known one shows another.
    """
    _check_branch(url, branch)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with opened(url, access, folder.with_name(f"{folder.name}.access")) as door:
        git = _Git(door, url, seconds, most_bytes)
        with _told_of_keys(git, folder.parent):
            ref = commit if commit else _ref(git, branch, folder.parent)
            return Fetched(_into(git, folder, ref, branch), door.learned)


@dataclass(frozen=True, slots=True)
class Logged:
    """A commit in a history, and when it was made."""

    commit: Commit
    at: datetime


def fetch_history(
    url: str,
    branch: str,
    folder: Path,
    access: Access = Access(),  # noqa: B008 - frozen
    seconds: float = _FETCH_SECONDS,
    most_bytes: int = MAX_BYTES,
) -> Fetched:
    """Bring the commits of a branch or tag into `folder`, for `history` and `in_history`; of a host that can leave them
    out, without any file. Otherwise as `fetch`.
    """
    _check_branch(url, branch)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with opened(url, access, folder.with_name(f"{folder.name}.access")) as door:
        git = _Git(door, url, seconds, most_bytes)
        with _told_of_keys(git, folder.parent):
            ref = _ref(git, branch, folder.parent)
            try:
                _bring_history(git, folder, ref)
            except TooLarge:
                raise
            except BackendError:  # the repository answers, so this folder is broken: start afresh
                shutil.rmtree(folder, ignore_errors=True)
                _bring_history(git, folder, ref)
            return Fetched(_commit(folder, revision=_HISTORY), door.learned)


def history(folder: Path, *, behind: str = "", limit: int) -> list[Logged]:
    """Commits that `fetch_history` brought, newest first; `behind` this one of them, which is left out."""
    form, most = f"--format=%cI%x00{_COMMIT}", f"-{limit + bool(behind)}"
    listed = _git(folder, "log", "--no-show-signature", form, most, behind or _HISTORY, "--")
    rows = (line.split("\0", 3) for line in listed.split("\n") if line)
    found = [Logged(Commit(*said), datetime.fromisoformat(at).astimezone(UTC)) for at, *said in rows]
    return [one for one in found if one.commit.id != behind][:limit]


def in_history(folder: Path, commit: str) -> bool:
    """True for a commit that the branch has or had: one that it came from. What else a host gives out by an id, such as
    somebody's fork, is none."""
    if not is_commit(commit):
        return False
    try:
        _git(folder, "merge-base", "--is-ancestor", commit, _HISTORY)
    except BackendError:
        return False
    return True


def _bring_history(git: _Git, folder: Path, ref: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for lock in folder.glob("**/*.lock"):
        lock.unlink()
    _git(folder, "init", "--quiet", "--bare")
    quietly = ("--quiet", "--no-tags", "--no-recurse-submodules", "--filter=tree:0")
    git.run(folder, "fetch", *quietly, "--", git.url, f"+{ref}:{_HISTORY}")


def _into(git: _Git, folder: Path, ref: str, branch: str) -> Commit:
    if folder.exists():
        try:
            return _fetch_into(git, folder, ref, branch)
        except TooLarge:
            raise
        except BackendError:
            pass  # the repository answers, so this folder is broken: start afresh
    fresh = folder.with_name(f"{folder.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        found = _fetch_into(git, fresh, ref, branch)
    except BackendError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return found


class TooLarge(BackendError):
    """A repository passes a limit."""


@contextlib.contextmanager
def _told_of_keys(git: _Git, anywhere: Path) -> Iterator[None]:
    """A host that shows another key is asked once more, so that what it shows can be shown."""
    try:
        yield
    except BackendError as error:
        if not _KEY_CHANGED.search(error.problem):
            raise
        with contextlib.suppress(BackendError):  # it lets nobody in, but it has shown its key
            git.run(anywhere, "ls-remote", "--", git.url, "HEAD", environment=git.door.offered())
        if not git.door.learned_offered():
            raise
        raise git.door.changed() from None


@dataclass(frozen=True)
class _Git:
    """Git at one door."""

    door: Door
    url: str
    seconds: float
    most_bytes: int

    def run(self, folder: Path, what: str, *arguments: str, environment: str = "") -> str:
        """What it prints; with `environment`, another ssh than the door's."""
        given = {**self.door.environment, **({"GIT_SSH_COMMAND": environment} if environment else {})}
        return _git(
            folder,
            what,
            *arguments,
            seconds=self.seconds,
            door=self.door.arguments,
            given=given,
            most=self.most_bytes,
        )


def _check_branch(url: str, branch: str) -> None:
    _check(url)
    if branch and branch_problem(branch):
        raise NoBranch("git", f"has no branch {branch!r}", "name one that the repository has")


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


def _ref(git: _Git, branch: str, anywhere: Path) -> str:
    """The full name of what to fetch, as the repository has it."""
    wanted = (f"refs/heads/{branch}", f"refs/tags/{branch}") if branch else ("HEAD",)
    listed = git.run(anywhere, "ls-remote", "--", git.url, *wanted)
    found = {line.split("\t", 1)[1] for line in listed.splitlines() if "\t" in line}
    for name in wanted:
        if name in found:
            return name
    if branch:
        raise NoBranch(
            _shown(git.url), f"has no branch {branch!r}", "name one that it has, or leave the branch out"
        )
    raise SourceError(_shown(git.url), "has no commit yet", "commit something and push it")


def describe(folder: Path) -> Commit:
    """The commit a folder is at, with -dirty for changes inside it that are not committed.

    An empty one for a folder that holds nothing under version control, or when git is not there to ask. Nothing that
    the folder's own configuration names is started.
    """
    try:
        alone = _alone(folder)
        if not _git(folder, "ls-files", "--", ".", given=alone).strip():
            return Commit()
        commit = _commit(folder, alone)
        status = ("--porcelain", "--ignore-submodules=all")  # each of them has a configuration of its own
        dirty = _git(folder, "status", *status, "--", ".", given=alone).strip()
    except BackendError:
        return Commit()
    return Commit(f"{commit.id}-dirty", commit.author, commit.subject) if dirty else commit


def _alone(folder: Path) -> dict[str, str]:
    """An environment in which git asks no remote for objects it lacks, and runs no filters: a folder's configuration
    may name any program as either."""
    try:
        listed = _git(folder, "config", "-z", "--name-only", "--get-regexp", r"^filter\..")
    except BackendError:
        listed = ""  # there are none
    drivers = sorted({name.rpartition(".")[0] for name in listed.split("\0") if name})
    nothing = {"clean": "", "smudge": "", "process": "", "required": "false"}
    settings = [(f"{driver}.{name}", value) for driver in drivers for name, value in nothing.items()]
    said = os.environ.get("GIT_CONFIG_COUNT", "")  # what the administrator set that way stays
    first = int(said) if said.isdecimal() else 0
    given = {"GIT_ALLOW_PROTOCOL": "none", "GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (key, value) in enumerate(settings, first):
        given |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return given


def _fetch_into(git: _Git, folder: Path, ref: str, branch: str) -> Commit:
    folder.mkdir(parents=True, exist_ok=True)
    for lock in (folder / ".git").glob("*.lock"):
        lock.unlink()  # of a git that was killed: the caller sees to it that none is at work
    _git(folder, "init", "--quiet")
    head = _bring(git, folder, ref, branch)
    _measure(folder, head, git.most_bytes)
    _git(folder, "checkout", "--quiet", "--force", "--detach", head, seconds=git.seconds)
    _git(folder, "clean", "--quiet", "-ffdx")
    return _commit(folder)


def _bring(git: _Git, folder: Path, ref: str, branch: str) -> str:
    """Fetch; what to check out then."""
    quietly = ("--quiet", "--no-tags", "--no-recurse-submodules")
    try:
        git.run(folder, "fetch", *quietly, "--depth=1", "--", git.url, ref)
        return "FETCH_HEAD"
    except TooLarge:
        raise
    except BackendError:
        if not is_commit(ref):
            raise
    # Not every server gives out a commit by its id: then it comes with the history of its branch.
    deeper = ("--unshallow",) if (folder / ".git" / "shallow").exists() else ()
    git.run(folder, "fetch", *quietly, *deeper, "--", git.url, _ref(git, branch, folder))
    try:
        _git(folder, "cat-file", "-e", f"{ref}^{{commit}}")
    except BackendError:
        raise BackendError(
            _shown(git.url),
            f"has no commit {ref[:12]} any more",
            "choose another, or follow the branch again",
        ) from None
    return ref


def _measure(folder: Path, head: str, most_bytes: int) -> None:
    """TooLarge for a tree that would become more than a repository may have: looked at before anything is unpacked."""
    process = _start(folder, ("ls-tree", "-r", "-l", "-z", head))
    files, size, rest = 0, 0, b""
    assert process.stdout is not None
    # A tree may also be made to be walked for ever without a file in it.
    late = threading.Timer(_LOOK_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    with process, contextlib.ExitStack() as ending:
        ending.callback(late.cancel)
        while chunk := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
            *lines, rest = (rest + chunk).split(b"\0")
            files += len(lines)
            size += sum(int(one) for line in lines if (one := line.partition(b"\t")[0].split()[-1]).isdigit())
            if files > MAX_FILES or size > most_bytes or len(rest) > 1 << 20:
                os.killpg(process.pid, signal.SIGKILL)
                raise TooLarge(
                    "the repository",
                    f"has more than {MAX_FILES:,} files or {most_bytes:,} bytes of them",
                    "split it; keep large data in the object store (FERRIS_REPOSITORY_LIMIT is the limit)",
                )
    if process.returncode:
        raise TooLarge(
            "the repository", "could not be looked at in time", "look at what is in it, or split it"
        )


def _commit(folder: Path, given: Mapping[str, str] | None = None, revision: str = "HEAD") -> Commit:
    found = _git(
        folder, "log", "-1", "--no-show-signature", f"--format={_COMMIT}", revision, "--", given=given
    )
    return Commit(*found.rstrip("\n").split("\0", 2))


def _git(
    folder: Path,
    what: str,
    *arguments: str,
    seconds: float = _LOOK_SECONDS,
    door: tuple[str, ...] = (),
    given: Mapping[str, str] | None = None,
    most: int = 0,
) -> str:
    """What `git what arguments` prints, run in a folder. With `most`, no file of more bytes is written."""
    process = _start(folder, (*door, what, *arguments), given, most)
    with process:
        try:
            said, problem = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the programs it started hold our pipes too
            raise BackendError(
                "git", f"took longer than {seconds:.0f} s to {what}", "look at the way to the repository"
            ) from None
    if process.returncode:
        words = _said(problem.decode(errors="replace"))
        if most and _OUTGREW.search(words):
            raise TooLarge(
                "the repository",
                f"is larger than {most:,} bytes",
                "split it; keep large data in the object store (FERRIS_REPOSITORY_LIMIT is the limit)",
            )
        raise BackendError("git", f"could not {what}: {_shown(words)[-500:]}", _remedy(words))
    return said.decode(errors="replace")


_OUTGREW = re.compile(r"died of signal 25|File size limit|File too large")
_REMEDIES = (
    (re.compile(r"Permission denied \(|Authentication failed|could not read Username|error: 40[13]"),
     "give the repository this deploy key or token, with the right to read"),
    (re.compile(r"Connection refused|timed out|No route to host|Network is unreachable|[Cc]ould ?n.t connect"),
     "see that the host runs, and that address and port are right"),
    (re.compile(r"certificate|SSL CA cert"),
     "its certificate is not trusted here: GIT_SSL_CAINFO names a file with the authority that made it"),
    (re.compile(r"error: 30[1278]"), "the server redirects: give the address it leads to"),
    (_KEY_CHANGED, "the host's key is not the known one: ask who runs it"),
)  # fmt: skip


_IDLE = re.compile(
    r"Warning: Permanently added |fatal: Could not read from remote repository\.$|Please make sure you have the correct"
    r"|and the repository exists\.$"
)


def _said(problem: str) -> str:
    """In one line, without what is said of every failure, or of none."""
    lines = [" ".join(line.split()) for line in problem.splitlines() if line.strip()]
    return " ".join([line for line in lines if not _IDLE.match(line)] or lines)


def _remedy(words: str) -> str:
    return next(
        (text for found, text in _REMEDIES if found.search(words)), "check the URL, the branch and the rights"
    )


def _start(
    folder: Path, words: tuple[str, ...], given: Mapping[str, str] | None = None, most: int = 0
) -> subprocess.Popen[bytes]:
    command: tuple[str, ...] = ("git", "--no-optional-locks", *_SAFE, *words)
    if most:  # in blocks of 512 bytes
        command = ("sh", "-c", 'ulimit -f "$0"; exec "$@"', str(most // 512 + 1), *command)
    try:
        with all_allowed():
            return subprocess.Popen(
                command,
                cwd=folder,
                env={**_environment(), **(given or {})},
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


def _environment() -> dict[str, str]:
    """Ours without what would point git elsewhere, and with everything that keeps it from asking."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FERRIS_") and name not in _ELSEWHERE
    }
    asks_nothing = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "LC_ALL": "C"}
    # Stronger than any configuration, whose remotes are asked for nothing that a repository lacks.
    allowed = {"GIT_ALLOW_PROTOCOL": ":".join(SCHEMES), "GIT_NO_LAZY_FETCH": "1"}
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "GIT_LFS_SKIP_SMUDGE": "1",
        **kept,
        **asks_nothing,
        **allowed,
    }
