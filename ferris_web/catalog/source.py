"""Where a repository's services come from: a folder read in place, or a git URL brought up to date first."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from urllib.parse import urlsplit

from ferris.errors import BackendError
from ferris.manifest import Message
from ferris.repositories import SCHEMES
from ferris_web.catalog.archive import SourceFile, is_packed, is_tool_folder

MAX_FILES = 5_000  # files of one service
MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_SERVICE_BYTES = 100 * 1024 * 1024
MAX_SERVICES = 5_000  # folders of one repository
MAX_PATH, MAX_PART = 1_000, 255  # characters of a path; bytes of a name in it, as file systems have it
MAX_NAME = 200  # characters, the width of Service.name

_NAME = re.compile(r"\w(?:[\w .\-]*[\w\-])?")
_SCP_LIKE = re.compile(r"[\w.\-]+@[\w.\-]+:(?!//).+")
_SUBMODULE = re.compile(r"^[ \t]*path[ \t]*=[ \t]*(\S+)[ \t\r]*$", re.MULTILINE)
_LONGEST_LIST = 64 * 1024  # bytes of a list of submodules that are looked at
_URL = re.compile(r"[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
# At the root these say that somebody took the repository for the service.
_MISPLACED = ("manifest.json", "config.json", "secrets.json", "parameters.json", "metadata.json")


@dataclass
class Folder:
    """One top-level folder of a repository: a service to be, or the reasons why not."""

    name: str
    files: dict[str, SourceFile] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """True when something in it must be mended before it can be a service."""
        return any(message.level == "error" for message in self.messages)

    def say(self, level: str, text: str, file: str = "", key: str = "") -> None:
        """Add a message about this folder."""
        self.messages.append(Message(level=level, file=file, key=key, text=text))


def is_git_url(source: str) -> bool:
    """True for a URL or the ssh form `user@host:path`; anything else is a folder of this machine."""
    return bool(_URL.match(source) or _SCP_LIKE.fullmatch(source))


def git_url_problem(url: str) -> str | None:
    """Why a git URL is not taken, or None. What git would start as a program of its own (`ext::`) is none."""
    if not _URL.match(url):
        return None
    parts = urlsplit(url)
    if parts.scheme.lower() not in SCHEMES:
        return f"{parts.scheme}: is no way to a repository here; use {', '.join(SCHEMES)}, or a folder"
    if parts.password or (parts.username and parts.scheme.lower() in ("http", "https")):
        return (
            "leave user and password out of the URL, which is shown on screens: use an ssh URL, "
            "or git's credential helper for the user that runs the platform"
        )
    return None


def name_problem(name: str) -> str | None:
    """Why a folder of this name cannot be a service, or None."""
    if len(name) > MAX_NAME:
        return f"the folder's name has {len(name)} characters; at most {MAX_NAME} are possible: rename it"
    if not _NAME.fullmatch(name):
        return (
            "a service's name is made of letters, digits, '_', '-', '.' and, inside, spaces; it begins with "
            "a letter, a digit or '_': rename the folder"
        )
    if name.endswith(".state") or name == "ferris.env":
        return f"{name!r} is a key of the platform's own in the configuration store: rename the folder"
    return None


def shown(name: str) -> str:
    """A name of the file system as text that any database keeps: what is no UTF-8 in it becomes U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def folders(root: Path, tell: Callable[[str, Message], None]) -> Iterator[Folder]:
    """The repository's top-level folders by name, each read completely before the next.

    Hidden and empty folders and folders that are links are left out, and `tell(folder, message)` is told why.
    Symbolic links are never followed out of the repository. OSError when the repository cannot be read.
    """
    root = root.resolve(strict=True)
    with os.scandir(root) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.name in _MISPLACED and not entry.is_dir():
            text = "lies at the root and is not read: a service is a folder, move it into one"
            tell("", Message("warning", entry.name, "", text))
    found = [entry for entry in listed if entry.is_dir() and entry.name != ".git"]
    if len(found) > MAX_SERVICES:
        problem = f"has {len(found):,} folders, more than the {MAX_SERVICES:,} a repository may have"
        raise BackendError(str(root), problem, "split it into several repositories of the project")
    submodules = _submodules(root)
    for entry in found:
        reason = _skipped(entry)
        folder = None if reason else _Reader(root, entry.name).read()
        if folder and (folder.messages or any(map(is_packed, folder.files))):
            yield folder
        elif entry.name in submodules:
            text = "is a submodule, which a sync does not follow: add its repository to the project as one of its own"
            tell(shown(entry.name), Message("warning", "", "", text))
        else:
            tell(shown(entry.name), Message("info", "", "", reason or "empty folder, skipped"))


def folder_names(root: Path) -> list[str]:
    """The folders that may become services, by name; none is read. OSError."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not _skipped(entry))


def _submodules(root: Path) -> frozenset[str]:
    """Where git would put other repositories, which are empty folders to us."""
    path = root / ".gitmodules"
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return frozenset()
        with path.open("rb") as file:
            text = file.read(_LONGEST_LIST).decode("utf-8", "replace")
    except OSError:
        return frozenset()
    return frozenset(_SUBMODULE.findall(text))


def _skipped(entry: os.DirEntry[str]) -> str | None:
    if entry.name.startswith("."):
        return "hidden folder, skipped"
    if is_tool_folder(entry.name):
        return "folder of a tool, skipped"
    if entry.is_symlink():
        return "link to a folder, skipped: a service is a folder of its own, copy it"
    return None


def read_folder(path: Path) -> Folder:
    """One folder, read as a sync would read it; links are followed within the folder it lies in."""
    path = path.resolve()
    return _Reader(path.parent, path.name).read()


def check_upload(folder: Folder) -> None:
    """The same rules for files that somebody uploaded: names, number and size. Adds messages."""
    problem = name_problem(folder.name)
    if problem:
        folder.say("error", problem)
    if not any(map(is_packed, folder.files)):
        folder.say("error", "there is no file in it: upload at least one script")
    total = 0
    for count, (path, file) in enumerate(folder.files.items(), 1):
        total += len(file.content)
        parts = path.split("/")
        if not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in parts):
            folder.say("error", "is no path inside the folder: upload it under a plain name", repr(path))
        elif len(path) > MAX_PATH or any(len(part.encode()) > MAX_PART for part in parts):
            folder.say("error", f"is too long: {MAX_PATH} characters, {MAX_PART} bytes between two /", path)
        elif above := next((a for a in accumulate(parts[:-1], "{}/{}".format) if a in folder.files), None):
            folder.say(
                "error", f"lies below {above}, which is a file and no folder: rename one of them", path
            )
        problem = _limit(path, len(file.content), total, count)
        if problem:
            folder.say("error", problem)
            return


def _limit(path: str, size: int, total: int, count: int) -> str | None:
    """Which limit a file passes that brings its folder to `total` bytes and `count` files, or None."""
    if size > MAX_FILE_BYTES:
        return (
            f"{path} has {size:,} bytes, more than the {MAX_FILE_BYTES:,} a file may have: "
            "keep large data in the object store"
        )
    if total > MAX_SERVICE_BYTES:
        return f"it has more than {MAX_SERVICE_BYTES:,} bytes of files: keep large data in the object store"
    if count > MAX_FILES:
        return f"it has more than {MAX_FILES:,} files: leave out what the scripts do not need"
    return None


class _Reader:
    """Reads one folder, counting as it goes: what passes a limit is not read any further."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._folder = Folder(shown(name))  # one that is not the same text is refused by its name
        self._bytes = 0

    def read(self) -> Folder:
        problem = name_problem(self._folder.name)
        if problem:
            self._folder.say("error", problem)
            return self._folder
        try:
            self._walk(self._root / self._folder.name, "")
        except _TooMuch as limit:
            self._folder.files.clear()
            self._folder.say("error", str(limit))
        return self._folder

    def _walk(self, here: Path, prefix: str) -> None:
        try:
            with os.scandir(here) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._folder.say("error", f"cannot be read: {error.strerror}", file=prefix.rstrip("/"))
            return
        for entry in listed:
            path = prefix + entry.name
            if not path.isprintable():  # covers control characters and names that are not UTF-8
                self._folder.say(
                    "error", "the file's name has characters that cannot be printed: rename it", repr(path)
                )
            elif entry.is_symlink():
                self._link(Path(entry.path), path)
            elif entry.is_dir(follow_symlinks=False):
                if not is_tool_folder(entry.name):
                    self._walk(Path(entry.path), path + "/")
            else:
                self._take(Path(entry.path), path)

    def _link(self, link: Path, path: str) -> None:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):
            self._folder.say("error", "is a link to nothing: put the file itself here", path)
            return
        if not target.is_relative_to(self._root) or ".git" in target.relative_to(self._root).parts:
            self._folder.say(
                "error", "is a link that leads out of the repository: put the file itself here", path
            )
        elif target.name != link.name and not is_packed(target.name):
            self._folder.say(
                "error", f"is a link to {shown(target.name)}, which stays out of archives: remove it", path
            )
        elif target.is_dir():
            self._folder.say(
                "error", "is a link to a folder, which is not followed: copy the folder here", path
            )
        else:
            self._take(target, path)

    def _take(self, file: Path, path: str) -> None:
        try:
            # Without O_NONBLOCK opening a named pipe would wait for its other end for ever.
            with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
                state = os.fstat(stream.fileno())
                if not stat.S_ISREG(state.st_mode):
                    self._folder.say(
                        "error", "is no regular file (a device, pipe or socket): remove it", path
                    )
                    return
                self._count(path, state.st_size)
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            self._folder.say("error", f"cannot be read: {error.strerror}", path)
            return
        self._folder.files[path] = SourceFile(content, bool(state.st_mode & stat.S_IXUSR))

    def _count(self, path: str, size: int) -> None:
        self._bytes += size
        problem = _limit(path, size, self._bytes, len(self._folder.files) + 1)
        if problem:
            raise _TooMuch(problem)


class _TooMuch(Exception):
    """A limit was passed; says which, and what to do."""
