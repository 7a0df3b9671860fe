"""Finds the English sentences that the domain makes: what its errors, findings, reasons and notes say.

The domain knows no language, and says things where it finds them: `f"{cron!r} never comes"` is the sentence
`{0} never comes` here. Everything in these modules that reads like a sentence counts, so that a new one cannot be
forgotten; what people do not read on a screen (logs, SQL, what a terminal is told) is left out by name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[2]
PLACES: Final = (
    "ferris",
    "gateway",
    "tasks",
    *(f"ferris_web/{app}" for app in ("accounts", "catalog", "executions")),
)
_LEFT_OUT: Final = frozenset({"migrations", "management", "seeding", "moving", "boot", "models", "admin"})
"""Folders and modules that say nothing on a page of the console: they write a terminal, the administration, a file."""
QUIET: Final = frozenset(
    {
        *(
            "ferris/config.py",
            "ferris/differences.py",
            "ferris/encryption_keys.py",
            "ferris/lifecycle.py",
            "ferris/start.py",
        ),
        *("tasks/builds.py", "tasks/command.py", "tasks/metrics.py", "tasks/output.py", "tasks/start.py"),
        *(
            "tasks/sql/__main__.py",
            "gateway/metrics.py",
            "ferris_web/catalog/starters.py",
            "ferris/highlighting.py",
        ),
        *("ferris_web/catalog/at_home.py", "ferris_web/catalog/local.py"),
        *("ferris_web/catalog/report.py", "ferris_web/catalog/rotation.py"),
        *("ferris_web/accounts/here.py", "ferris_web/accounts/printed.py"),
        *(
            "ferris_web/executions/following.py",
            "ferris_web/executions/listings/lists.py",
            "ferris_web/executions/searching.py",
        ),
        *("ferris_web/executions/buckets.py", "ferris_web/executions/services/turns.py"),
    }
)
_SILENT: Final = frozenset(
    {
        *(
            "TypeError",
            "AssertionError",
            "RuntimeError",
            "OSError",
            "ConnectionResetError",
            "PermissionError",
        ),
        *("ConnectionRefusedError", "CommandError", "ConfigError", "FencedError"),
        *("compile", "execute", "exec_driver_sql", "executemany", "add_argument", "decrypted", "open"),
        *("startswith", "endswith", "removeprefix", "removesuffix", "partition", "split", "strip", "replace"),
        *("_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "pgettext"),
    }
)
"""Called with what nobody reads, what programs or terminals are told, or what is translated where it stands."""
_LOGS: Final = frozenset({"log", "_log", "logger"})
_TELLING: Final = ("Error", "Finding", "Conflict", "NotFound", "TooLarge", "Refused", "NoBranch", "wrong")
"""In the adapters, which are full of other languages (SQL, addresses), what counts is said by one of these."""
_BACKENDS: Final = ("BackendError", "SourceError", "NoBranch")
_BACKEND: Final = 2  # BackendError(backend, problem, remedy) says `backend problem: remedy`
HOLE: Final = re.compile(r"\{\d+\}")
_FEW: Final = 4  # letters beside values, as in `{0} with {1}`, fit too much that others say
_CODE: Final = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|PRAGMA|NULL|STRING_AGG|AND \w+ [<=>])\b|\n|^[#|]|^import "
    r"|^\w+/\w+(;|$)|charset=|^attachment;|^Bearer |ferris-\{|^ferris \{|cursor:"
)


def sentences() -> list[str]:
    """All of them, each once, sorted."""
    return sorted({one for path in sources() for one in spoken(path)})


def sources() -> Iterator[Path]:
    """Every module that may say something to people."""
    for place in PLACES:
        for path in sorted((TOP / place).rglob("*.py")):
            named = path.relative_to(TOP).as_posix()
            if named not in QUIET and not _LEFT_OUT & {*path.parts, path.stem.partition("_")[0]}:
                yield path


def spoken(path: Path) -> Iterator[str]:
    """What a module says."""
    module = ast.parse(path.read_text())
    if "adapters" in path.parts:
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and _name(node.func).endswith(_TELLING):
                yield from _texts(node)
            elif isinstance(node, ast.Assign) and _name(node.targets[0]).endswith("BACKEND"):
                yield from _texts(node.value)
    else:
        yield from _texts(module)


def _texts(node: ast.AST) -> Iterator[str]:
    """The sentences in a piece of code; of an f-string or a sum the whole, then what stands in its holes."""
    if isinstance(node, ast.Call):
        if _name(node.func) in _SILENT or (
            isinstance(node.func, ast.Attribute) and _name(node.func.value) in _LOGS
        ):
            return
        if _name(node.func) in _BACKENDS and len(node.args) > _BACKEND:
            for one in _texts(node.args[1]):
                yield f"{{0}} {HOLE.sub(lambda hole: f'{{{int(hole[0][1:-1]) + 1}}}', one)}"
            for value in (node.args[0], *node.args[_BACKEND:]):
                yield from _texts(value)
            return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    parts = _parts(node)
    if parts is None:
        inner = list(ast.iter_child_nodes(node))
    else:
        inner = [one for one in parts if not isinstance(one, str)]
        numbers = count()
        text = "".join(one if isinstance(one, str) else f"{{{next(numbers)}}}" for one in parts).strip()
        if _says(text):
            yield text
    for child in inner:
        yield from _texts(child)


def _parts(node: ast.AST) -> list[str | ast.AST] | None:
    """A constant, an f-string or a sum of them: texts, and the expressions between them; None for anything else."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return [one.value for one in node.values if isinstance(one, ast.FormattedValue | ast.Constant)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _parts(node.left), _parts(node.right)
        if left is not None or right is not None:
            return (left or [node.left]) + (right or [node.right])
    return None


def _name(called: ast.expr) -> str:
    return (
        called.attr
        if isinstance(called, ast.Attribute)
        else called.id
        if isinstance(called, ast.Name)
        else ""
    )


def _says(text: str) -> bool:
    """False for what is no sentence: one word, a path, a separator, code, nothing but values."""
    words = re.findall(r"[A-Za-z’']{2,}", HOLE.sub("\0", text))
    return (
        " " in text
        and not _CODE.search(text)
        and (len("".join(words)) > (_FEW if HOLE.search(text) else 3) or "or" in words)
        and bool(re.search(r"(^|\s)[(;,]?[a-z]{2,}", text, re.IGNORECASE))
    )
