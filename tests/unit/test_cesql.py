# ruff: noqa: E501
"""CloudEvents SQL 1.0.0, by sections of its specification: expression, value, kind of error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris import events
from ferris.cesql import Expression, SyntaxProblem
from ferris.predicates import FilterError
from ferris.routing import Trigger, explain
from ferris.rules import CesqlRule

EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.placed", "subject": "row-7",
    "hop": "5", "ttl": "10", "big": "2147483648", "count": 12, "urgent": True, "name": "Ann's",
}  # fmt: skip

VALUES: list[tuple[str, Any]] = [
    # 2.2 literals and identifiers, keywords in any case
    ("TRUE", True), ("fAlSe", False), ("0", 0), ("007", 7), ("+5", 5), ("-2147483648", -(2**31)),
    ("2147483647", 2**31 - 1), ("'a\"b'", 'a"b'), ('"a\'b"', "a'b"), (r"'it\'s'", "it's"), (r'"a\"b"', 'a"b'),
    (r"'a\b'", r"a\b"), ("''", ""), ("subject", "row-7"), ("count", 12), ("urgent", True), ("SUBJECT", "row-7"),
    # 3.4.1, 3.4.2 operators
    ("NOT TRUE", False), ("not not true", True), ("NOT 'false'", True), ("NOT 3", False), ("-count", -12),
    ("--10", 10), ("-'10'", -10), ("-TRUE", -1), ("- 3", -3), ("4 -1", 3), ("4-1", 3), ("4 - -1", 5),
    ("7 / 2", 3), ("-7 / 2", -3), ("7 / -2", -3), ("7 % 3", 1), ("-7 % 3", -1), ("7 % -3", 1), ("2 * '3'", 6),
    ("5 + TRUE", 6), ("count + hop", 17), ("1 = 1", True), ("1 != 2", True), ("1 <> 1", False), ("2 <= 2", True),
    ("3 < '10'", True), ("'3' >= 4", False), ("'a' = 'A'", False), ("'TRUE' = true", True), ("true = 'TRUE'", False),
    ("TRUE = 'true'", True), ("1 = '01'", False), ("'01' = 1", True), ("hop = 5", True), ("count = '12'", True),
    ("urgent = 'true'", True), ("TRUE XOR TRUE", False), ("TRUE XOR 'false'", True), ("1 AND 'true'", True),
    # short circuit
    ("FALSE AND (1 / 0 = 1)", False), ("TRUE OR missing", True), ("0 AND 'no boolean'", False),
    # 3.4.3 LIKE
    ("'abc' LIKE 'a%c'", True), ("'ac' LIKE 'a%c'", True), ("'abc' LIKE 'a_c'", True), ("'ac' LIKE 'a_c'", False),
    ("'abc' NOT LIKE 'a%'", False), ("'ABC' LIKE 'a%'", False), (r"'a%c' LIKE 'a\%c'", True),
    (r"'abc' LIKE 'a\%c'", False), (r"'a_c' LIKE 'a\_c'", True), (r"'a\c' LIKE 'a\c'", True), ("12 LIKE '1_'", True),
    ("TRUE LIKE 'tr%'", True), ("'a.c' LIKE 'a.c'", True), ("'abc' LIKE 'a.c'", False), ("'a\nb' LIKE 'a%b'", True),
    ("'' LIKE '%'", True), ("'' LIKE '_'", False), ("'aXbXc' LIKE '%X%X%'", True),
    # 3.4.4 EXISTS, 3.4.5 IN
    ("EXISTS id", True), ("exists missing", False), ("NOT EXISTS missing", True), ("subject IN ('a', 'row-7')", True),
    ("subject NOT IN ('a', 'b')", True), ("1 IN ('1', '2')", True), ("'1' IN (1, 2)", True), ("count IN (1, 12)", True),
    ("hop IN (ttl, '5')", True), ("true IN ('FALSE', 'TRUE')", True), ("1 IN (1, 1 / 0)", True),
    # 3.5 functions
    ("LENGTH('aé😀')", 3), ("length(TRUE)", 4), ("CONCAT()", ""), ("CONCAT('a', 1, TRUE)", "a1true"),
    ("CONCAT_WS('-', 'a', 2)", "a-2"), ("CONCAT_WS(',')", ""), ("LOWER('AbÉ')", "abé"), ("UPPER('aé')", "AÉ"),
    ("TRIM(' \u2003a b\t')", "a b"), ("TRIM('\x1fa\x1f')", "\x1fa\x1f"), ("LEFT('abc', 2)", "ab"),
    ("LEFT('abc', 9)", "abc"), ("RIGHT('abc', 2)", "bc"), ("RIGHT('abc', 9)", "abc"), ("RIGHT('abc', 0)", ""),
    ("SUBSTRING('abcdef', 2)", "bcdef"), ("SUBSTRING('abcdef', -2)", "ef"), ("SUBSTRING('abcdef', 0)", ""),
    ("SUBSTRING('abcdef', 2, 3)", "bcd"), ("SUBSTRING('abcdef', -5, 3)", "bcd"), ("SUBSTRING('abc', 2, 99)", "bc"),
    ("SUBSTRING('abc', 3, 0)", ""), ("ABS(-10)", 10), ("INT('-1')", -1), ("INT('+7')", 7), ("INT(TRUE)", 1),
    ("BOOL('False')", False), ("BOOL(-50)", True), ("BOOL(0)", False), ("STRING(-1)", "-1"), ("STRING(FALSE)", "false"),
    ("IS_INT('12')", True), ("IS_INT('1.5')", False), ("IS_BOOL('TRUE')", True), ("IS_BOOL('yes')", False),
    # 3.6 precedence
    ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("10 - 4 - 3", 3), ("24 / 4 / 2", 3), ("1 + 1 = 2", True),
    ("NOT 1 = 2", False), ("NOT (1 = 2)", True), ("1 < 2 AND 2 < 3", True), ("TRUE OR TRUE AND FALSE", False),
    ("FALSE AND TRUE OR TRUE", True), ("TRUE = 'abc' LIKE 'a%'", True), ("2 * 3 IN (3)", 2), ("-1 + 2", 1),
    ("TRUE = \"true\" AND FALSE = \"false\"", True), ('TRUE = "TRUE" OR FALSE = "FALSE"', False),
]  # fmt: skip

ERRORS: list[tuple[str, Any, str]] = [
    ("missing", False, "missingAttribute"), ("NOT missing", False, "missingAttribute"),
    ("-missing", 0, "missingAttribute"), ("missing * 5", 0, "missingAttribute"), ("1 / missing", 0, "missingAttribute"),
    ("missing / 0", 0, "missingAttribute"), ("missing = ''", False, "missingAttribute"),
    ("TRUE AND (missing = '')", False, "missingAttribute"), ("missing NOT LIKE 'a'", False, "missingAttribute"),
    ("missing NOT IN ('a')", False, "missingAttribute"), ("missing OR TRUE", False, "missingAttribute"),
    ("LENGTH(missing)", 0, "missingAttribute"), ("UPPER(missing)", "", "missingAttribute"), ("data = 'x'", False, "missingAttribute"),
    ("5 / 0", 0, "math"), ("5 % 0", 0, "math"), ("TRUE AND (1 != 1 / 0)", False, "math"), ("ABS(-2147483648)", 2**31 - 1, "math"),
    ("2147483647 + 1", 0, "math"), ("-2147483648 - 1", 0, "math"), ("65536 * 65536", 0, "math"),
    ("-(-2147483648)", 0, "math"), ("-2147483648 / -1", 0, "math"), ("ABS(-2147483648) = 2147483647", False, "math"),
    ("INT('ABC')", 0, "cast"), ("INT(big)", 0, "cast"), ("BOOL('ABC')", False, "cast"), ("INT(' 1')", 0, "cast"),
    ("'5avc4' + 10", 0, "cast"), ("'abc' = 1", False, "cast"), ("'abc' != 1", False, "cast"), ("NOT 'abc'", False, "cast"),
    ("1 IN ('abc', 1)", False, "cast"), ("INT('\u0661')", 0, "cast"),
    ("LEFT('abc', -2)", "abc", "functionEvaluation"), ("RIGHT('abc', -2)", "abc", "functionEvaluation"),
    ("SUBSTRING('abc', 10)", "", "functionEvaluation"), ("SUBSTRING('abc', -10, 10)", "", "functionEvaluation"),
    ("SUBSTRING('abc', 1, -1)", "", "functionEvaluation"), ("LENGTH(LEFT('abc', -2))", 0, "functionEvaluation"),
    ("CONCAT_WS()", False, "missingFunction"), ("NONE(1)", False, "missingFunction"), ("ABS(1, 2)", False, "missingFunction"),
]  # fmt: skip

NOT_PARSED = [
    ("", 1), ("1 =", 4), ("(1", 3), ("1)", 2), ("'a", 1), ("a b", 3), ("a LIKE b", 8), ("a LIKE 5", 8), ("a IN ()", 7),
    ("a IN 'b'", 6), ("a NOT b", 7), ("EXISTS 'a'", 8), ("EXISTS", 7), ("ABS(1", 6), ("ABS(1,)", 7), ("a_b = 1", 1),
    ("F1(2)", 1), ("2147483648", 1), ("-2147483649", 1), ("+ a", 1), ("a == 1", 4), ("a & b", 3), ("AND a", 1), ("a = = 1", 5),
    ("(" * 100, 65), ("- " * 100 + "1", None), (" AND ".join(["a"] * 500), None), ("a" + " LIKE 'x'" * 500, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values(text: str, value: Any) -> None:
    result = Expression(text).evaluate(EVENT.get)
    assert (result.value, result.error) == (value, None)
    assert type(result.value) is type(value)


@pytest.mark.parametrize(("text", "value", "kind"), ERRORS)
def test_errors_come_with_a_value(text: str, value: Any, kind: str) -> None:
    result = Expression(text).evaluate(EVENT.get)
    assert result.error is not None
    assert result.error.startswith(f"{kind}: ")
    assert (result.value, type(result.value)) == (value, type(value))
    assert not result.passes


@pytest.mark.parametrize(("text", "position"), NOT_PARSED)
def test_what_is_no_expression_says_where(text: str, position: int | None) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        Expression(text)
    assert position in (None, caught.value.position)
    assert caught.value.problem.isprintable()


@given(
    st.text(st.sampled_from("aA1'\"()=<>!%*+-,_\\ \nANDORNOTLIKEINEXISTS"), max_size=30)
    | st.text(max_size=20)
)
def test_any_text_is_an_expression_or_says_where_not(text: str) -> None:
    try:
        value = Expression(text).evaluate(EVENT.get).value
    except SyntaxProblem as problem:
        value = problem.position
    assert type(value) in (str, int, bool)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no text"),
        (5, "is no text"),
        ("1 = ", "at position 5: found the end"),
        ("subject = 'x' AND SIZE(subject) = 1", "at position 19: there is no function SIZE"),
        ("LENGTH(subject)", "returns an integer; expected a boolean"),
        ("data = 'x'", "names data"),
    ],
)
def test_what_can_never_pass_is_no_filter(text: Any, problem: str) -> None:
    with pytest.raises(FilterError, match=problem):
        CesqlRule(text)


def test_why_not() -> None:
    trigger = Trigger("1", "a", "*", cesql="source = '/shop' AND (subject = 'x' OR urgent) AND id = 'y'")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    seen = explain(events.new("t", "/shop", now=now, subject="row", extensions={"urgent": False}), trigger)
    assert (seen.clause, seen.expected, seen.seen) == (
        "cesql",
        trigger.cesql,
        {"subject": "row", "urgent": False},
    )
    assert not seen.matched
    assert explain(events.new("t", "/shop", now=now, id="y", subject="x"), trigger).matched
