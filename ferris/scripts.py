"""Which files of a service run, and in which order.

Without `entrypoint` and `execution_order` every .py and .sql file at the top of the folder runs, in
alphabetical order, except `__init__.py`, `conftest.py`, `test_*.py`, and Python modules that only define
things: nothing but a docstring, imports, functions, classes and assignments that make a value (of
constants, names, or calls such as re.compile and logging.getLogger).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ferris.documents import Notes, Section, near

if TYPE_CHECKING:
    import ast

SUFFIXES: Final = (".py", ".sql")
MAX_SOURCE: Final = 1024 * 1024
"""A larger file is run without being looked into."""

_OPTIONS: Final = "begins with -, as options of programs do; rename it"

_MAKERS = frozenset(
    {
        "getLogger", "compile", "namedtuple", "TypeVar", "NewType", "ParamSpec", "Path", "Decimal",
        "frozenset", "set", "dict", "list", "tuple", "timedelta", "defaultdict", "OrderedDict", "object",
    }
)  # fmt: skip


def resolve(manifest: Section, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The scripts of a service in the order they run; what the manifest gets wrong is noted."""
    entrypoint = manifest.text("entrypoint").strip()
    order = manifest.texts("execution_order")
    if entrypoint:
        if order:
            manifest.notes.info(
                manifest.file, manifest.key("execution_order"), "is not used: entrypoint wins"
            )
        named = {"entrypoint": entrypoint}
    elif order:
        named = {f"execution_order[{index}]": name for index, name in enumerate(order)}
    else:
        return _by_rule(files, manifest.notes)
    found = (_named(manifest, key, name, files) for key, name in named.items())
    scripts = tuple(script for script in found if script is not None)
    for script in dict.fromkeys(scripts):
        _tree(script, files[script], manifest.notes)
    return scripts


def _named(manifest: Section, key: str, name: str, files: Mapping[str, bytes]) -> str | None:
    path = PurePosixPath(name)
    script = str(path)
    if path.is_absolute() or ".." in path.parts:
        problem = "leaves the service's folder; expected a path inside it"
    elif not script.endswith(SUFFIXES):
        problem = "is no script; expected a file that ends in .py or .sql"
    elif script.startswith("-"):
        problem = _OPTIONS
    elif script not in files:
        problem = f"names {script}, which is not in the folder{near(script, _scripts(files))}"
    else:
        return script
    manifest.notes.error(manifest.file, manifest.key(key), problem)
    return None


def _by_rule(files: Mapping[str, bytes], notes: Notes) -> tuple[str, ...]:
    scripts = []
    for name in sorted(_scripts(files)):
        if "/" in name or name in ("__init__.py", "conftest.py") or name.startswith("test_"):
            continue
        if name.startswith("-"):
            notes.error(name, "", _OPTIONS)
            continue
        if only_defines(name, files[name], notes):
            notes.info(
                name,
                "",
                "only defines things, so it is not run as a script; name it in execution_order to run it",
            )
        else:
            scripts.append(name)
    if not scripts:
        notes.warning(
            "manifest.json", "", "the folder has no script to run: no .py or .sql file that does something"
        )
    return tuple(scripts)


def _scripts(files: Iterable[str]) -> list[str]:
    return [name for name in files if name.endswith(SUFFIXES)]


def only_defines(name: str, source: bytes, notes: Notes) -> bool:
    """True when running the Python file would do nothing but define things."""
    tree = _tree(name, source, notes)
    return tree is not None and all(map(_defines, tree.body))


def _tree(name: str, source: bytes, notes: Notes) -> ast.Module | None:
    """The parsed file; None for SQL and for what cannot be parsed, which is noted."""
    import ast

    if not name.endswith(".py") or len(source) > MAX_SOURCE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, filename=name)
    except SyntaxError as error:
        where = f" at line {error.lineno}" if error.lineno else ""
        notes.warning(
            name, "", f"cannot be parsed{where} ({error.msg}); it will fail unless its Python is another one"
        )
    except (ValueError, RecursionError, MemoryError):
        notes.warning(name, "", "cannot be parsed; it will fail when it runs")
    return None


def _defines(statement: ast.stmt) -> bool:
    import ast

    match statement:
        case (
            ast.Import()
            | ast.ImportFrom()
            | ast.FunctionDef()
            | ast.AsyncFunctionDef()
            | ast.ClassDef()
            | ast.Pass()
        ):
            return True
        case ast.Assign(value=value) | ast.AugAssign(value=value) | ast.Expr(value=ast.Constant() as value):
            return _makes_value(value)
        case ast.AnnAssign(value=value):
            return value is None or _makes_value(value)
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=orelse):
            return all(map(_defines, orelse))
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
            inner: list[ast.stmt] = [
                *body,
                *orelse,
                *finalbody,
                *(s for handler in handlers for s in handler.body),
            ]
            return all(map(_defines, inner))
    return type(statement).__name__ == "TypeAlias"  # Python 3.12 and later


def _makes_value(expression: Any) -> bool:
    """True for an expression that does nothing but make a value."""
    import ast

    for node in ast.walk(expression):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name not in _MAKERS:
                return False
        elif isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
            return False
    return True
