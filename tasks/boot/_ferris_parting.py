"""How a child of a fork server ends: Python does not take apart what all children share.

A Python that ends frees its modules one by one. In a child that touches, and so copies, nearly every page it shared
with its server: most of what a short script would cost. So the last of the `atexit` functions takes the server's
modules out of `sys.modules`, and a list that holds itself, which no collector looks at, keeps them alive. Everything
else goes on as ever: the script's own modules and `__main__` are taken apart, `__del__` runs, files are flushed.

Where a script could tell the difference nothing is hidden: an object that does something when it is freed would not
be freed, if only a module of the server held it (as an open file in a class of `logging`).
"""

from __future__ import annotations

import atexit
import gc
import sys
from _thread import _count as threads  # all but the main one that still run
from weakref import ReferenceType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST = 20_000
"""Objects of a script that are looked at. To free more than that costs more than is saved."""

_kept: list[Any] = []


def come_first() -> None:
    """Register before anybody else, so that it is called last. Where somebody was first, children end as ever."""
    if not getattr(atexit, "_ncallbacks", lambda: 1)():
        atexit.register(_part, _kept, sys.modules, gc.get_objects)


def settle() -> None:
    """Let children share what there is by now: no collector of theirs looks at it, or frees it at their end."""
    for name, module in sys.modules.items():
        if name not in ("sys", "builtins", "__main__"):  # whose parts Python frees by hand
            _kept.append((name, module))
    _kept.append(("", _kept))
    gc.collect()
    gc.freeze()
    # The script's own names are in a circle with its functions, which the last collection has to find.
    found, main = sys.modules["__main__"], type(sys)("__main__")
    vars(main).clear()
    vars(main).update(vars(found))
    sys.modules["__main__"] = main


def _part(kept: list[Any], modules: dict[str, Any], objects: Callable[[], list[Any]]) -> None:
    if not kept or threads() or not _harmless(objects()):
        gc.unfreeze()
        return
    for name, module in kept:
        if modules.get(name) is module:
            del modules[name]


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
