"""How a child of a fork server ends: Python does not take apart what all children share.

A Python that ends frees its modules one by one. In a child that touches, and so copies, nearly every page it shared
with its server: most of what a short script would cost. So the last of the `atexit` functions takes the server's
modules out of `sys.modules`, and a list that holds itself, which no collector looks at, keeps them alive. Everything
else goes on as ever: the script's own modules and `__main__` are taken apart, `__del__` runs, files are flushed.

Where a script could tell the difference nothing is hidden: an object that does something when it is freed would not
be freed, if only a module of the server held it (as an open file in a class of `logging`).

And where nothing at all is left to be seen, the process ends there and then, with status 0: see `_is_over`.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from _thread import _count as threads  # all but the main one that still run
from weakref import ReferenceType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PASSING = ("site", "sitecustomize", "_ferris_warm", "_ferris_memory", "_ferris_parting", "_ferris_confine")
"""Modules of a server that leave their place in `sys.modules` before a script begins: `site` when its import ends,
which puts it behind the others, and ours for good."""
MOST = 20_000
"""Objects of a script that are looked at. To free more than that costs more than is saved."""
REHEARSALS = 20
"""After so many runs Python has made up its mind about a piece of code."""

_kept: list[Any] = []


class _Known:
    """What a script that just ran to its end leaves as it was, and no other."""

    main: int
    """The number of `__main__`: whoever holds the module itself would hold up its end."""
    place: bytes | None = None
    """How far the stack reaches in `_part`, and how much of libraries is mapped: from a trial."""
    trial: int | None = None
    """In the child that tries it out: where it tells."""
    modules: dict[str, Any]
    """The server's, by name."""
    last: str
    """The last one of those that its children keep, which are so many as `stay` says."""
    stay: int
    writes: Any
    """How often the names of `sys` have been written to, and what that number was: the interpreter counts it."""
    wrote: int = -1
    young: list[Any]
    """Something that the script's collector looks at: missing when the script had it look at nothing any more."""

    def __init__(self) -> None:
        import warnings
        from importlib.machinery import NamespaceLoader, SourceFileLoader

        self.atexit, self.warnings = atexit, warnings
        self.loaders = (SourceFileLoader, NamespaceLoader)
        self.callbacks, self.filters = atexit._ncallbacks(), list(warnings.filters)
        self.streams = (sys.stdout, sys.stderr)
        self.flush_all: Callable[[None], int] = lambda _: 1
        self.writes = _counter(vars(sys))
        if _counts(self.writes):
            self.wrote = self.writes.value


_known: _Known


def _counter(names: dict[str, Any]) -> Any:
    """The number that becomes another one with each change of a dictionary (ma_version_tag, up to Python 3.13)."""
    import ctypes

    return ctypes.c_uint64.from_address(id(names) + 3 * ctypes.sizeof(ctypes.c_void_p))


def _counts(writes: Any) -> bool:
    """True when it does so."""
    first = writes.value
    vars(sys)["_ferris"] = None
    second = writes.value
    del vars(sys)["_ferris"]
    third = writes.value
    return len({first, second, third}) == 3 and writes.value == third


def come_first() -> None:
    """Register before anybody else, so that it is called last. Where somebody was first, children end as ever."""
    if not getattr(atexit, "_ncallbacks", lambda: 1)():
        atexit.register(_part, _kept, sys.modules, gc.get_objects)


def settle(flush_all: Callable[[None], int], fill_holes: Callable[[], None]) -> None:
    """Let children share what there is by now: no collector of theirs looks at it, or frees it at their end.

    `flush_all`: fflush(3) of the C library. `fill_holes`: called when all garbage is collected.
    """
    global _known
    _known = _Known()
    _known.flush_all = flush_all
    for _ in range(REHEARSALS):
        begin()
        _place()
        _harmless([_known.loaders])
        flush_all(None)
    for name, module in sys.modules.items():
        if name not in ("sys", "builtins", "__main__"):  # whose parts Python frees by hand
            _kept.append((name, module))
    _known.modules = dict(_kept)
    stay = [name for name in sys.modules if name not in PASSING]
    _known.stay, _known.last = len(stay), stay[-1]
    _kept.append(("", sys._getframe(2).f_code))  # of `sitecustomize`: a child would free it, piece by piece
    _kept.append(("", _kept))
    gc.collect()
    fill_holes()
    gc.freeze()
    # The script's own names are in a circle with its functions, which the last collection has to find.
    found, main = sys.modules["__main__"], type(sys)("__main__")
    vars(main).clear()
    vars(main).update(vars(found))
    sys.modules["__main__"] = main
    _known.main = id(main)


def begin(trial: int | None = None) -> None:
    """In a child, before it becomes a script. A `trial` tells at this descriptor what the end of one is like."""
    _known.young, _known.trial = [], trial


def note() -> None:
    """In a child, when it is what its script finds."""
    if _known.wrote >= 0:
        _known.wrote = _known.writes.value


def learn(place: bytes) -> None:
    """What a trial has told."""
    _known.place = place or None


def _part(kept: list[Any], modules: dict[str, Any], objects: Callable[[], list[Any]]) -> None:
    young = objects()
    if not kept or threads() or not _harmless(young):
        gc.unfreeze()
        return
    if _is_over(modules, young):
        os._exit(0)
    for name, module in kept:
        if modules.get(name) is module:
            del modules[name]


def _is_over(modules: dict[str, Any], young: list[Any]) -> bool:
    """True when all that is left to Python is to free memory, and then to end with status 0.

    No list says with which status a script ends, so this looks at what Python does on the way. A script that cannot
    be opened or read gets no loader. An exception that nobody catches is kept as the last one in `sys`, whose names
    would have been written to, whatever a hook did then to hide it: so these are as they were, streams and hooks
    included. `SystemExit` is different: Python ends deeper in the stack, from within the run of the script,
    as /proc/self/syscall shows, and `__file__` is still there.
    Then: no library is loaded and no compiled module imported of which nobody knows what it does at the end, no
    warning can be due, and what was written is written.
    """
    known, main = _known, modules.get("__main__")
    names = getattr(main, "__dict__", {})
    if (
        (known.place is None and known.trial is None)
        or id(main) != known.main
        or "__file__" in names
        or type(names.get("__loader__")) is not known.loaders[0]
        or known.writes.value != known.wrote
        or known.atexit._ncallbacks() != known.callbacks
        or known.warnings.filters != known.filters
        or not _only_python(known, modules)
        or not any(one is known.young for one in young)
        or any(
            issubclass(type(one), type) and hasattr(one, "__del__") for one in young
        )  # no list has all of its kind
    ):
        return False
    place = _place()
    if known.trial is not None:
        os.write(known.trial, place)
    elif place != known.place:
        return False
    try:
        for stream in known.streams:
            if not stream.closed:
                stream.flush()
    except BaseException:
        return False  # Python finds that, too, and says so
    return known.flush_all(None) == 0


def _only_python(known: _Known, modules: dict[str, Any]) -> bool:
    """True when the modules that the script imported are source code.

    They stand behind the server's, none of which is missing: to look at those as well would copy their pages. What
    stands in the place of one of them is looked at as every object is.
    """
    own = 0
    for name in reversed(modules):
        module = modules[name]
        if name == known.last and module is known.modules[name]:
            break
        own += 1
        if module is not known.modules.get(name):
            spec = getattr(module, "__spec__", None)
            if spec is None or type(spec.loader) not in known.loaders:
                return False
    return len(modules) == known.stay + own


def _place() -> bytes:
    """Where the stack ends now, and how much of libraries is mapped; empty where the kernel does not tell."""
    try:
        call, status = _read("/proc/self/syscall"), _read("/proc/self/status")
    except OSError:
        return b""
    libraries = status.partition(b"\nVmLib:")[2].partition(b"\n")[0]
    fields = call.split()
    return fields[-2] + libraries if len(fields) > 2 and libraries else b""


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, 4096)
    finally:
        os.close(handle)


def _harmless(young: list[Any]) -> bool:
    """True when freeing these objects does nothing that anybody sees. Those of the server are not among them."""
    if len(young) > MOST:
        return False
    known: dict[type, bool] = {}
    for one in young:
        kind = type(one)
        acts = known.get(kind)
        if acts is None:
            acts = known[kind] = hasattr(kind, "__del__") or issubclass(kind, ReferenceType)
        if acts and not _quiet(one, kind):
            return False
    return True


def _quiet(one: Any, kind: type) -> bool:
    if issubclass(kind, ReferenceType):
        module = getattr(one.__callback__, "__module__", None) or "sys"
        return module != "builtins" and module.partition(".")[0] in sys.stdlib_module_names
    return kind.__module__ == "_io" and one.closed is True
