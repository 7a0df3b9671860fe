"""One SQLite file that several threads and processes read and write: opening, locking, group commit, errors.

WAL with synchronous=FULL: what `write` returned from survives the crash of the machine, unless all who share the
transaction do without (`lasting=False`): then the next one that does not makes it last, too. Writers of all
processes queue in the kernel for a lock file beside the database (SQLite itself would sleep and try again);
the writing threads of one process share transactions: whoever finds no one at work commits for all who have
come meanwhile. Connections are opened on demand, lent to one thread at a time, and closed before the
process forks, because SQLite cannot be carried over a fork (sqlite.org/howtocorrupt.html, section 2.6).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from ferris.errors import BackendError

T = TypeVar("T")

_BUSY_SECONDS = 30  # only foreign programs (a backup, the sqlite3 shell) can make us wait this way
_IDLE_CONNECTIONS = 4
_GROUP_LIMIT = 256  # jobs sharing one transaction
_VACUUM_PAGES = 1000
_FORK_WAIT_SECONDS = 5.0


class SqliteFile:
    """A file with our schema. Touches nothing before first use.

    `application_id` marks the file as ours; `schema` holds, per version, the statements that lead to it.
    """

    def __init__(
        self,
        path: str,
        *,
        backend: str,
        application_id: int,
        schema: Sequence[Sequence[str]],
        configure: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.backend = backend
        self._application_id = application_id
        self._schema = schema
        self._configure = configure
        self._reset()
        _files.add(self)

    def _reset(self) -> None:
        self._state = threading.Condition()
        self._idle: list[_Connection] = []
        self._lent: set[_Connection] = set()
        self._inode: int | None = None
        self._lock_fd: int | None = None
        self._preparing = threading.Lock()
        self._queue: deque[_Job[Any]] = deque()
        self._queue_lock = threading.Lock()
        self._leading = False

    # ------------------------------------------------------------------------------------------- use

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; errors of SQLite leave as BackendError."""
        try:
            connection = self._borrow()
            try:
                yield connection
            finally:
                self._give_back(connection)
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error) from error

    def write(self, work: Callable[[sqlite3.Connection], T], *, lasting: bool = True) -> T:
        """Run `work` inside a transaction; durable and visible to all when this returns.

        If it need not be `lasting`, it is visible, and a crash of the machine (of no process) may undo it.
        What `work` raises undoes its own statements only, and is raised here. `work` must not call `write`.
        """
        job: _Job[T] = _Job(work, lasting)
        with self._queue_lock:
            self._queue.append(job)
            lead = not self._leading
            self._leading = True
        try:
            if not lead:
                job.wakeup.wait()
            if not job.done:  # asked to lead
                self._lead()
        except BaseException:
            self._abandon(job)
            raise
        return job.outcome()

    def shrink(self) -> None:
        """Give free pages back to the disk, in small steps, if there are many."""
        while self.write(_shrink):
            pass

    def close(self) -> None:
        """Close idle connections; those lent out are closed when they come back."""
        with self._state:
            idle, self._idle = self._idle, []
            self._inode = None
        with self._preparing, self._queue_lock:
            if self._lock_fd is not None and not self._leading:
                os.close(self._lock_fd)
                self._lock_fd = None
        for connection in idle:
            connection.close()

    # ---------------------------------------------------------------------------------- group commit

    def _lead(self) -> None:
        with self._queue_lock:
            jobs = [self._queue.popleft() for _ in range(min(len(self._queue), _GROUP_LIMIT))]
        try:
            if len(jobs) == 1:
                self._commit_alone(jobs[0])
                return
            try:
                self._commit(jobs)
            except Exception:  # one that cannot be written must not fail the others
                for job in jobs:
                    self._commit_alone(job)
        except BaseException as error:
            for job in jobs:
                job.error = job.error or self._explain(error)
            raise
        finally:
            self._pass_on()
            for job in jobs:
                job.done = True
                job.wakeup.set()

    def _pass_on(self) -> None:
        with self._queue_lock:
            if self._queue:
                self._queue[0].wakeup.set()
            else:
                self._leading = False

    def _abandon(self, job: _Job[Any]) -> None:
        """The thread is leaving by an exception (a signal, say) before its job was taken up."""
        with self._queue_lock:
            if job not in self._queue:
                return
            first = self._queue[0] is job and job.wakeup.is_set()
            self._queue.remove(job)
        if first:
            self._pass_on()

    def _commit_alone(self, job: _Job[Any]) -> None:
        try:
            self._commit([job])
        except (sqlite3.Error, OSError) as error:
            job.error = self._explain(error)
        except Exception as error:  # the job's own
            job.error = error

    def _commit(self, jobs: Sequence[_Job[Any]]) -> None:
        """All or nothing. Of few statements: at each one the thread gives up the interpreter, and when others are
        busy waits to have it back, while who waits for this commit waits, too."""
        connection = self._borrow()
        try:
            with self._write_lock():
                lasting = any(job.lasting for job in jobs)
                if connection.lasting is not lasting:
                    connection.execute(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
                    connection.lasting = lasting
                connection.execute("BEGIN IMMEDIATE")
                try:
                    for job in jobs:
                        job.result = job.work(connection)
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        finally:
            self._give_back(connection)

    @contextmanager
    def _write_lock(self) -> Iterator[None]:
        fd = self._lock_fd
        assert fd is not None  # opened with the first connection
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)

    # ----------------------------------------------------------------------------------- connections

    def _borrow(self) -> _Connection:
        if self._inode is None:
            self._prepare()
        with self._state:
            self._check_in_place()
            connection = self._idle.pop() if self._idle else self._connect()
            self._lent.add(connection)
            return connection

    def _give_back(self, connection: _Connection) -> None:
        with self._state:
            self._lent.discard(connection)
            keep = len(self._idle) < _IDLE_CONNECTIONS and self._inode is not None
            if keep:
                self._idle.append(connection)
            self._state.notify_all()
        if not keep:
            connection.close()

    def _connect(self) -> _Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("PRAGMA temp_store=MEMORY")
        if self._configure:
            self._configure(connection)
        return connection

    def _check_in_place(self) -> None:
        """A file deleted or replaced under us would go on taking writes that no one will ever see."""
        try:
            in_place = self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            in_place = False
        if not in_place:
            raise BackendError(
                self.backend,
                f"lost its file: {self.path} was removed or replaced while in use",
                "restart the platform; put the file back first if it was removed by mistake",
            )

    def _prepare(self) -> None:
        """First use in this process: make or check the file, one process at a time."""
        with self._preparing:
            if self._inode is not None:
                return
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock_fd is None:
                self._lock_fd = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._write_lock():
                connection = self._connect()
                try:
                    self._make_schema(connection)
                finally:
                    connection.close()
                self._inode = self.path.stat().st_ino

    def _make_schema(self, connection: sqlite3.Connection) -> None:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if mark != self._application_id and (mark or tables):
            raise BackendError(
                self.backend, f"finds another program's data in {self.path}", "choose another file for it"
            )
        if version > len(self._schema):
            raise BackendError(
                self.backend, f"finds {self.path} written by a newer release", "run that release or later"
            )
        if not tables:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise BackendError(
                self.backend,
                f"cannot share {self.path} on that file system",
                "choose a folder on a local disk",
            )
        if version == len(self._schema):
            return
        connection.execute("BEGIN IMMEDIATE")
        for statements in self._schema[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={self._application_id}")
        connection.execute(f"PRAGMA user_version={len(self._schema)}")
        connection.execute("COMMIT")

    # ---------------------------------------------------------------------------------------- errors

    def _explain(self, error: BaseException) -> BackendError:
        if isinstance(error, BackendError):
            return error
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if isinstance(code, int) else None
        remedy = _REMEDIES.get(primary, "see this process's log; `manage.py doctor` checks every backend")
        if "no such module" in str(error):
            remedy = "use a Python whose SQLite has FTS5 (every python.org and Debian build has)"
        if isinstance(error, OSError):
            remedy = _REMEDIES[sqlite3.SQLITE_CANTOPEN]
        return BackendError(self.backend, f"cannot use {self.path} ({error or type(error).__name__})", remedy)

    # ------------------------------------------------------------------------------------------ fork

    def before_fork(self) -> None:
        """Close every connection; no one gets one until the fork is done."""
        self._preparing.acquire()
        self._state.acquire()
        self._state.wait_for(lambda: not self._lent, timeout=_FORK_WAIT_SECONDS)
        while self._idle:
            self._idle.pop().close()

    def after_fork_in_parent(self) -> None:
        self._state.release()
        self._preparing.release()

    def after_fork_in_child(self) -> None:
        _never_freed.extend(self._lent)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
        self._reset()


class _Connection(sqlite3.Connection):
    lasting = True
    """Whether its commits wait for the disk, as it was last told."""


class _Job(Generic[T]):
    """One thread's work, waiting for a transaction."""

    __slots__ = ("done", "error", "lasting", "result", "wakeup", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], T], lasting: bool) -> None:
        self.work = work
        self.lasting = lasting
        self.wakeup = threading.Event()
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


def _shrink(connection: sqlite3.Connection) -> bool:
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if free < _VACUUM_PAGES or free * 4 < pages:  # free pages are used again: some are as they should be
        return False
    connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
    return True


_REMEDIES: dict[int | None, str] = {
    sqlite3.SQLITE_FULL: "free space on that disk; nothing of this call was written",
    sqlite3.SQLITE_IOERR: "look for a full disk, a quota or a fault; nothing of this call was written",
    sqlite3.SQLITE_NOTADB: "it is no SQLite file: choose another path, or move it away",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup, or move it away and start with an empty one",
    sqlite3.SQLITE_CANTOPEN: "give this user the right to read and write it and its folder",
    sqlite3.SQLITE_READONLY: "give this user the right to write it, its folder, and -wal and -shm beside it",
    sqlite3.SQLITE_PERM: "give this user the right to read and write it",
    sqlite3.SQLITE_BUSY: "another program keeps it locked: end that program",
}

_files: weakref.WeakSet[SqliteFile] = weakref.WeakSet()
_forking: list[SqliteFile] = []
_never_freed: list[_Connection] = []  # closing another process's connection would break its locks


def _before_fork() -> None:
    for file in sorted(_files, key=id):  # one order: two threads may fork at the same time
        file.before_fork()
        _forking.append(file)


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
