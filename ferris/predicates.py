"""The tests that a filter's alternatives may be: prefix, suffix, wildcard, numeric, cidr, anything-but, ….

Each is read from its operand into a Predicate: a function of one value, and, where it has one, the posting
under which an index finds it. FilterError says which operand is wrong, and what was expected.
"""

from __future__ import annotations

import functools
import ipaddress
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ferris.attributes import kind_of, shown
from ferris.errors import FerrisError

Test = Callable[[Any], bool]
Posting = tuple[str, Any]
"""Kind and operand: equal, fold, prefix, suffix, fold-prefix, fold-suffix, contains, between, address, present."""


class FilterError(FerrisError):
    """A filter that cannot be: `path` is where (data.mag[0].numeric), `problem` what was expected."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path, self.problem = path, problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class Predicate(NamedTuple):
    test: Test
    posting: Posting | None = None  # an event that passes is found under it; None: nothing finds it
    exact: bool = False  # what is found under the posting passes: it is no mere part of what is asked


def key_of(value: Any) -> Any:
    """Equal keys mean equal JSON values; None for objects and lists, which equal nothing here."""
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return ("boolean", value)
    if kind is int or kind is float:
        return ("number", value)
    return ("null",) if value is None else None


def predicate(path: str, pattern: Mapping[str, Any]) -> Predicate:
    """The test that an object in a list of alternatives is. {"exists": …} is not among them."""
    if len(pattern) != 1 or next(iter(pattern)) not in _READERS:
        raise FilterError(
            path, f"has {names_of(pattern)}; expected an object with exactly one of {', '.join(TESTS)}"
        )
    ((name, operand),) = pattern.items()
    return _READERS[name](f"{path}.{name}", operand)


def names_of(pattern: Mapping[str, Any]) -> str:
    return " and ".join(map(str, pattern)) or "no key"


# --- texts -----------------------------------------------------------------------------------------


def _text(path: str, operand: Any) -> str:
    if not isinstance(operand, str):
        raise FilterError(path, f"is {shown(operand)}; expected a text")
    return operand


def _exactly(path: str, operand: Any) -> Predicate:
    text = _text(path, operand)
    return Predicate(lambda value: value == text, ("equal", text), True)


def _ignore_case(path: str, operand: Any) -> Predicate:
    text = _text(path, operand).lower()
    return Predicate(lambda value: type(value) is str and value.lower() == text, ("fold", text), True)


def _prefix(path: str, operand: Any) -> Predicate:
    if isinstance(operand, Mapping):
        text = _inner(path, operand).lower()
        return Predicate(
            lambda value: type(value) is str and value.lower().startswith(text),
            ("fold-prefix", text),
            text != "",
        )
    text = _text(path, operand)
    return Predicate(
        lambda value: type(value) is str and value.startswith(text), ("prefix", text), text != ""
    )


def _suffix(path: str, operand: Any) -> Predicate:
    if isinstance(operand, Mapping):
        text = _inner(path, operand).lower()
        return Predicate(
            lambda value: type(value) is str and value.lower().endswith(text),
            ("fold-suffix", text),
            text != "",
        )
    text = _text(path, operand)
    return Predicate(lambda value: type(value) is str and value.endswith(text), ("suffix", text), text != "")


def _inner(path: str, operand: Mapping[str, Any]) -> str:
    if set(operand) != {"equals-ignore-case"}:
        raise FilterError(
            path, f'has {names_of(operand)}; expected a text, or {{"equals-ignore-case": a text}}'
        )
    return _text(f"{path}.equals-ignore-case", operand["equals-ignore-case"])


def _wildcard(path: str, operand: Any) -> Predicate:
    parts = _wildcard_parts(path, _text(path, operand))
    first, *middle = parts
    if not middle:
        return Predicate(lambda value: value == first, ("equal", first), True)
    last = middle.pop()
    least = len(first) + len(last)

    def test(value: Any) -> bool:
        if type(value) is not str or len(value) < least:
            return False
        if not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for part in middle:
            at = value.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    longest = max(
        [("prefix", first), ("suffix", last), *(("contains", part) for part in middle)], key=_length
    )
    if not longest[1]:
        return Predicate(test, ("present", None))
    return Predicate(test, longest, not middle and least == _length(longest))


def _length(posting: tuple[str, str]) -> int:
    return len(posting[1])


def _wildcard_parts(path: str, text: str) -> list[str]:
    """The literal texts between the stars; a backslash takes the meaning from a star or a backslash."""
    parts, part, at = [], "", 0
    while at < len(text):
        letter = text[at]
        if letter == "*":
            if text[at + 1 : at + 2] == "*":
                raise FilterError(path, f"has '**' at character {at + 1}; expected a single '*'")
            parts.append(part)
            part = ""
        elif letter == "\\":
            at += 1
            if text[at : at + 1] not in ("*", "\\"):
                raise FilterError(
                    path,
                    f"has a lone backslash at character {at}; expected '\\*' for a star or '\\\\' for itself",
                )
            part += text[at]
        else:
            part += letter
        at += 1
    return [*parts, part]


# --- numbers and addresses -------------------------------------------------------------------------

_BOUNDS = 'a comparison such as [">=", 4.5], or a range such as [">", 0, "<=", 5]'


def _numeric(path: str, operand: Any) -> Predicate:
    if not isinstance(operand, list) or not operand:
        raise FilterError(path, f"is {shown(operand)}; expected {_BOUNDS}")
    signs = ("=", "<", "<=", ">", ">=")
    for position in range(0, len(operand), 2):
        if not isinstance(operand[position], str) or operand[position] not in signs:
            raise FilterError(
                f"{path}[{position}]", f"is {shown(operand[position])}; expected one of {' '.join(signs)}"
            )
    if len(operand) not in (2, 4):
        raise FilterError(path, f"has {len(operand)} items; expected {_BOUNDS}")
    bounds = [_number(f"{path}[{position}]", operand[position]) for position in range(1, len(operand), 2)]
    if len(operand) == 2:
        return _half(operand[0], bounds[0])
    for position, allowed in ((0, (">", ">=")), (2, ("<", "<="))):
        if operand[position] not in allowed:
            raise FilterError(
                f"{path}[{position}]",
                f"is {operand[position]!r}; expected {_BOUNDS}: the lower bound comes first",
            )
    low, high = bounds
    if low >= high:
        raise FilterError(
            path, f"has the lower bound {low} and the upper one {high}; expected it to be greater"
        )
    above, (least, _), one = _side(operand[0], low)
    below, (_, most), other = _side(operand[2], high)
    if least > most:  # nothing lies between, and an index takes no such range
        least, most, one = low, high, False
    return Predicate(lambda value: above(value) and below(value), ("between", (least, most)), one and other)


def _half(sign: str, bound: float) -> Predicate:
    if sign == "=":
        return Predicate(
            lambda value: type(value) in (int, float) and value == bound, ("equal", ("number", bound)), True
        )
    test, ends, exact = _side(sign, bound)
    return Predicate(test, ("between", ends), exact)


def _side(sign: str, bound: float) -> tuple[Test, tuple[float, float], bool]:
    """What is on that side of a bound: the test, the range that holds it, and whether the range says it all.

    A range holds its ends. Between a number and the next one that a float can be lies no other, and no integer,
    unless the number is too large for floats to be exact.
    """
    exact = sign in (">=", "<=") or abs(bound) < _EXACT
    if sign in (">", ">="):
        low = math.nextafter(bound, math.inf) if sign == ">" and exact else bound
        return functools.partial(_above if sign == ">" else _at_least, bound), (low, math.inf), exact
    high = math.nextafter(bound, -math.inf) if sign == "<" and exact else bound
    return functools.partial(_below if sign == "<" else _at_most, bound), (-math.inf, high), exact


_EXACT = 2**52


def _above(bound: float, value: Any) -> bool:
    return type(value) in (int, float) and value > bound


def _at_least(bound: float, value: Any) -> bool:
    return type(value) in (int, float) and value >= bound


def _below(bound: float, value: Any) -> bool:
    return type(value) in (int, float) and value < bound


def _at_most(bound: float, value: Any) -> bool:
    return type(value) in (int, float) and value <= bound


def _number(path: str, value: Any) -> int | float:
    if type(value) not in (int, float) or value - value != 0:  # bool, infinite, not a number
        raise FilterError(path, f"is {shown(value)}; expected a number")
    return value  # type: ignore[no-any-return] # its type was just compared


_V6 = 2**128  # addresses of version 6 lie above all of version 4


@functools.lru_cache(maxsize=4096)
def address_of(text: str) -> int | None:
    """An IP address as a number; those of version 6 lie above all of version 4. None for any other text."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return int(address) + (_V6 if address.version == 6 else 0)


def _cidr(path: str, operand: Any) -> Predicate:
    text = _text(path, operand)
    try:
        if "/" not in text or not text.rpartition("/")[2].isdecimal():
            raise ValueError("no mask")
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise FilterError(
            path, f'is {shown(text)}; expected a block of addresses such as "10.0.0.0/24" or "2001:db8::/32"'
        ) from None
    above = _V6 if network.version == 6 else 0
    low, high = int(network.network_address) + above, int(network.broadcast_address) + above

    def test(value: Any) -> bool:
        if type(value) is not str or len(value) > 45:
            return False
        address = address_of(value)
        return address is not None and low <= address <= high

    return Predicate(test, ("address", (low, high)))


# --- anything-but ----------------------------------------------------------------------------------

_BUT = (
    "a text, a number, a list of one kind, or an object with prefix, suffix, wildcard or equals-ignore-case"
)


def _anything_but(path: str, operand: Any) -> Predicate:
    if isinstance(operand, Mapping):
        return _anything_like(path, operand)
    values = operand if isinstance(operand, list) else [operand]
    if not values or any(type(value) not in (str, int, float) for value in values):
        raise FilterError(path, f"is {kind_of(operand)}{_holding(operand)}; expected {_BUT}")
    if len({type(value) is str for value in values}) > 1:
        raise FilterError(path, "holds texts and numbers; expected values of one kind")
    keys = frozenset(map(key_of, values))
    return Predicate(lambda value: (key := key_of(value)) is not None and key not in keys)


def _anything_like(path: str, operand: Mapping[str, Any]) -> Predicate:
    kinds = ("prefix", "suffix", "wildcard", "equals-ignore-case")
    if len(operand) != 1 or next(iter(operand)) not in kinds:
        raise FilterError(path, f"has {names_of(operand)}; expected {_BUT}")
    ((name, inner),) = operand.items()
    path = f"{path}.{name}"
    texts = inner if isinstance(inner, list) else [inner]
    if not texts:
        raise FilterError(path, "is an empty list; expected a text, or a list of texts")
    excluded = []
    for index, text in enumerate(texts):
        where = f"{path}[{index}]" if isinstance(inner, list) else path
        if not _text(where, text) and name in ("prefix", "suffix"):
            raise FilterError(where, f"is empty, as every text has that {name}; expected one that is not")
        excluded.append(_READERS[name](where, text).test)
    return Predicate(lambda value: key_of(value) is not None and not any(test(value) for test in excluded))


def _holding(operand: Any) -> str:
    odd = next((item for item in operand if type(item) not in (str, int, float)), ...) if operand else ...
    return "" if not isinstance(operand, list) or odd is ... else f" that holds {kind_of(odd)}"


_READERS: Final[dict[str, Callable[[str, Any], Predicate]]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _ignore_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "exactly": _exactly,
}
TESTS: Final = (*(name for name in _READERS if name != "exactly"), "exists")

OR: Final = "$or"
RESERVED: Final = frozenset(
    {
        *_READERS, "exists", "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after",
        "date-on-or-after", "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range",
        "ip-address-not-in-range",
    }
)  # fmt: skip
"""Names that make "$or" an ordinary key when an object in its list has one of them."""
