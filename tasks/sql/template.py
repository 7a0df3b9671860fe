"""A script's template becomes SQL in which every value is only marked: what `{{ ... }}` gives is never pasted.

Jinja's sandbox keeps templates from attributes and calls that reach out; there is nothing to import or include.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, pass_context
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tasks.sql.statements import LINE, VALUE, SqlError

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
MOST_VALUES: Final = 30_000
"""SQLite takes 32,766 in a statement."""


class _Identifier(str):
    """A name of a table or column that was checked: pasted, where everything else is bound."""


class _Lines(Extension):
    """Marks in the text which line of the script each of its lines is: loops repeat them."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "data":
                first, *others = token.value.split("\n")
                marked = [f"\1{token.lineno}\1{first}"]
                marked += [f"\n\1{token.lineno + n}\1{line}" for n, line in enumerate(others, 1)]
                yield Token(token.lineno, "data", "".join(marked))
            else:
                yield token


def render(template: str, params: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The SQL with a mark for each value (see `tasks.sql.statements`), and the values. SqlError."""
    if "\0" in template or "\1" in template:
        raise SqlError("the script holds control characters; expected text")
    values: list[Any] = []

    def bind(value: Any) -> str:
        if len(values) >= MOST_VALUES:
            raise SqlError(f"there are more than {MOST_VALUES} values; send less at once")
        values.append(_bindable(value))
        return f"\0{len(values) - 1}\0"

    @pass_context
    def finalize(_: Context, value: Any) -> str:
        if isinstance(value, _Identifier):
            return str(value)
        if isinstance(value, StrictUndefined):
            str(value)  # raises, naming it
        if isinstance(value, (list, tuple)):
            return f"({', '.join(map(bind, value)) or 'NULL'})"
        return bind(value)

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=finalize, autoescape=False, extensions=[_Lines]
    )
    environment.filters = {**environment.filters, "identifier": _identifier}
    try:
        return environment.from_string(template).render(params), values
    except TemplateError as error:
        at = getattr(error, "lineno", None) or _line_of(error)
        raise SqlError(f"line {at}: {error.message}" if at else str(error.message)) from None
    except SqlError as error:
        at = _line_of(error)
        raise SqlError(f"line {at}: {error}" if at else str(error)) from None
    except RecursionError:
        raise SqlError("the template calls itself without an end") from None
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
        at = f"line {line}: " if (line := _line_of(error)) else ""
        raise SqlError(f"{at}the template failed: {type(error).__name__}: {error}") from None


def _bindable(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, str):
        text = LINE.sub("", value)
        if VALUE.search(text):
            raise SqlError(
                "a {% set %} block or a macro holds a value, which is bound only where it stands itself"
            )
        if "\0" in text:
            raise SqlError("a value holds the character NUL")
        return str(text)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise SqlError(f"a {type(value).__name__} is no value for a database")


def _line_of(error: BaseException) -> int | None:
    """Jinja makes the traceback speak of the template's lines."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _identifier(value: Any) -> _Identifier:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise SqlError(f"{str(value)[:100]!r} is no name of a table or column")
    return _Identifier('"' + value.replace(".", '"."') + '"')
