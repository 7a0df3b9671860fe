from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ferris import events
from ferris.conditions import ABSENT
from ferris.filters import compile_filter
from ferris.predicates import FilterError

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def event(data: Any = None, **attributes: Any) -> events.Event:
    return events.new(
        attributes.pop("type", "t"), attributes.pop("source", "src"), data, now=NOW, **attributes
    )


def matches(pattern: Any, data: Any) -> bool:
    """The pattern of one field against its value; a missing field is given as ..."""
    return compile_filter({"data": {"a": pattern}})(event({} if data is ... else {"a": data}))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (["x"], ["x", ["y", "x"], [["x"]]], ["X", "", None, ..., [], {"x": "x"}, 1]),
        ("x", ["x"], ["y"]),
        ([1], [1, 1.0], ["1", True, 2, ...]),
        ([1.5], [1.5], ["1.5", 1]),
        ([True], [True], [1, "true", False]),
        ([False], [False], [0, None, ""]),
        ([None], [None, [1, None]], [..., 0, "", False]),
        (["x", 2, None], ["x", 2, None], ["2", ...]),
        ([""], [""], [" ", ...]),
        ([{"prefix": "ab"}], ["ab", "abc", ["x", "abd"]], ["xab", 1, None, ..., "AB"]),
        ([{"suffix": "ab"}], ["ab", "xab"], ["abx", 7, ...]),
        ([{"exists": True}], ["", None, 0, [1], [[None]]], [..., [], [[]], {}, {"b": 1}, [{"b": 1}]]),
        ([{"exists": False}], [..., [], {}, {"b": 1}], ["", None, 0, [{"b": 1}, 2]]),
        ([{"exists": False}, "x"], [..., "x"], ["y", None]),
        ([{"anything-but": "x"}], ["y", 1, None, ["x", "y"]], ["x", ..., ["x"], {}]),
        ([{"anything-but": ["x", "1"]}], ["y", 2, 1, True], ["x", "1", ...]),
        ([{"anything-but": [1, 2.5]}], ["1", 2, True, None], [1, 1.0, 2.5, ...]),
        ([{"anything-but": {"prefix": "ab"}}], ["xab", 1], ["abc", ...]),
        ([{"anything-but": {"suffix": "ab"}}], ["abx"], ["xab"]),
        ([{"numeric": [">=", 4.5]}], [4.5, 5, 10**30], [4.4, "5", True, None, ...]),
        ([{"numeric": [">", 0, "<=", 5]}], [1, 5, 0.001], [0, 6, -1]),
        ([{"numeric": ["=", 3]}], [3, 3.0], [2.999, "3"]),
        ([{"numeric": ["<", 4.5]}], [4, -1], [4.5]),
        ([{"prefix": ""}], ["", "a"], [1, None, ...]),
        ([{"prefix": {"equals-ignore-case": "aB"}}], ["ab", "ABc"], ["xab", 1]),
        ([{"suffix": {"equals-ignore-case": "aB"}}], ["xAb"], ["abx", None]),
        ([{"equals-ignore-case": "Straße"}], ["STRAßE", "straße"], ["strasse", ["x"], 1]),
        ([{"exactly": "a"}], ["a"], ["A", 1]),
        ([{"wildcard": "a*c"}], ["ac", "abc", "a\nc", "acc"], ["a", "c", "abcd", 1, None, ...]),
        ([{"wildcard": "*"}], ["", "x"], [1, None, ...]),
        ([{"wildcard": ""}], [""], ["x"]),
        ([{"wildcard": "*b*b*"}], ["bb", "abcbd"], ["b", "abc"]),
        ([{"wildcard": "ab*ba"}], ["abba", "ab-ba"], ["aba"]),
        ([{"wildcard": "a\\*b"}], ["a*b"], ["axb"]),
        ([{"wildcard": "a\\\\*"}], ["a\\", "a\\b"], ["a*", "ab"]),
        ([{"wildcard": "\\**"}], ["*", "*x"], ["x"]),
        ([{"anything-but": {"prefix": ["a", "b"]}}], ["cab", 5], ["ab", "ba", ...]),
        ([{"anything-but": {"suffix": ["a", "b"]}}], ["abc"], ["ca", "cb"]),
        ([{"anything-but": {"wildcard": "*/lib/*"}}], ["/usr/bin", 1], ["/usr/lib/x", ...]),
        ([{"anything-but": {"wildcard": ["a*", "*z"]}}], ["b", ["ab", "b"]], ["ab", "yz"]),
        ([{"anything-but": {"equals-ignore-case": ["A", "bb"]}}], ["c", None], ["a", "BB"]),
        ([{"anything-but": ""}], ["x", 1], ["", ...]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "10.0.0", "x", 1, "::a00:1"]),
        ([{"cidr": "10.0.0.9/24"}], ["10.0.0.1"], ["10.0.1.1"]),
        ([{"cidr": "192.168.1.7/32"}], ["192.168.1.7"], ["192.168.1.8"]),
        (
            [{"cidr": "2001:db8::/32"}],
            ["2001:db8::1", "2001:0DB8:0:0:0:0:0:1"],
            ["2001:db9::1", "32.1.13.184"],
        ),
        ([{"numeric": ["<", 0]}, {"prefix": "x"}, 7], [-1, "xy", 7], [0, "y", 8]),
    ],
)
def test_alternatives(pattern: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not matches(pattern, value)] == []
    assert [value for value in no if matches(pattern, value)] == []


def test_keys_are_anded_and_nested() -> None:
    pattern = {
        "source": ["src"],
        "data": {"mag": [{"numeric": [">=", 4.5]}], "place": {"country": ["CL", "PE"]}},
    }
    check = compile_filter(pattern)
    assert check(event({"mag": 5, "place": {"country": "CL"}}))
    assert not check(event({"mag": 4, "place": {"country": "CL"}}))
    assert not check(event({"mag": 5, "place": {"country": "JP"}}))
    assert not check(event({"mag": 5, "place": "CL"}))
    assert not check(event({"mag": 5}))
    assert not check(event({"mag": 5, "place": {"country": "CL"}}, source="other"))


def test_an_object_in_a_list_matches_as_a_whole() -> None:
    check = compile_filter({"data": {"items": {"a": [1], "b": [2]}}})
    assert check(event({"items": [{"a": 0}, {"a": 1, "b": 2}]}))
    assert not check(event({"items": [{"a": 1, "b": 0}, {"a": 0, "b": 2}]}))
    assert not check(event({"items": []}))
    absent = compile_filter({"data": {"nested": {"a": [{"exists": False}]}}})
    assert absent(event({"nested": []}))
    assert absent(event({}))
    assert absent(event(None))


def test_attributes_and_extensions() -> None:
    seen = event({"a": 1}, subject="row-7", type="a.b", correlation_id="FLOW", hops=3)
    for pattern in (
        {},
        {"subject": [{"prefix": "row-"}]},
        {"type": "a.b"},
        {"time": [{"prefix": "2026-01-02T"}]},
        {"correlationid": ["FLOW"], "ferrishops": [{"numeric": ["<", 5]}]},
        {"datacontenttype": ["application/json"]},
        {"dataschema": [{"exists": False}], "traceparent": [{"exists": False}]},
        {"data": [{"exists": False}], "specversion": ["1.0"]},
    ):
        assert compile_filter(pattern)(seen), pattern
    assert not compile_filter({"subject": [None]})(event())
    assert compile_filter({"data": ["text"]})(event("text"))
    assert compile_filter({"data": [{"exists": False}]})(event())


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ([], ""),
        ("x", ""),
        ({"data": {"a": []}}, "data.a"),
        ({"data": {"a": [{}]}}, "data.a[0]"),
        ({"data": {"a": ["x", {"prefix": "a", "suffix": "b"}]}}, "data.a[1]"),
        ({"data": {"a": [{"like": "x"}]}}, "data.a[0]"),
        ({"data": {"a": [["x"]]}}, "data.a[0]"),
        ({"data": {"a": [{"prefix": 1}]}}, "data.a[0].prefix"),
        ({"data": {"a": [{"exists": "true"}]}}, "data.a[0].exists"),
        ({"data": {"a": [{"numeric": []}]}}, "data.a[0].numeric"),
        ({"data": {"a": [{"numeric": [">="]}]}}, "data.a[0].numeric"),
        ({"data": {"a": [{"numeric": ["!=", 1]}]}}, "data.a[0].numeric[0]"),
        ({"data": {"a": [{"numeric": [{}, 1]}]}}, "data.a[0].numeric[0]"),
        ({"data": {"a": [{"numeric": [">", 1, "<", "x"]}]}}, "data.a[0].numeric[3]"),
        ({"data": {"a": [{"numeric": [">", True]}]}}, "data.a[0].numeric[1]"),
        ({"data": {"a": [{"numeric": [">", "inf"]}]}}, "data.a[0].numeric[1]"),
        ({"data": {"a": [{"numeric": [">", "nan"]}]}}, "data.a[0].numeric[1]"),
        ({"data": {"a": [{"anything-but": []}]}}, "data.a[0].anything-but"),
        ({"data": {"a": [{"anything-but": {"x": 1}}]}}, "data.a[0].anything-but"),
        ({"data": {"a": [{"anything-but": [[]]}]}}, "data.a[0].anything-but"),
        ({"data": {"a": [{"anything-but": None}]}}, "data.a[0].anything-but"),
        ({"data": {"a": [{"anything-but": [1, "x"]}]}}, "data.a[0].anything-but"),
        ({"data": {"a": [{"anything-but": {"prefix": ["a", ""]}}]}}, "data.a[0].anything-but.prefix[1]"),
        ({"data": {"a": [{"anything-but": {"wildcard": ["a**"]}}]}}, "data.a[0].anything-but.wildcard[0]"),
        ({"data": {"a": [{"anything-but": {"numeric": ["=", 1]}}]}}, "data.a[0].anything-but"),
        ({"data": {"a": [{"prefix": {"x": "y"}}]}}, "data.a[0].prefix"),
        ({"data": {"a": [{"prefix": {"equals-ignore-case": 1}}]}}, "data.a[0].prefix.equals-ignore-case"),
        ({"data": {"a": [{"wildcard": "a**b"}]}}, "data.a[0].wildcard"),
        ({"data": {"a": [{"wildcard": "a\\b"}]}}, "data.a[0].wildcard"),
        ({"data": {"a": [{"wildcard": "a\\"}]}}, "data.a[0].wildcard"),
        ({"data": {"a": [{"cidr": "10.0.0.0"}]}}, "data.a[0].cidr"),
        ({"data": {"a": [{"cidr": "10.0.0.0/33"}]}}, "data.a[0].cidr"),
        ({"data": {"a": [{"cidr": "10.0.0/24"}]}}, "data.a[0].cidr"),
        ({"data": {"a": [{"cidr": "::/129"}]}}, "data.a[0].cidr"),
        ({"data": {"a": [{"numeric": [">", 5, "<", 5]}]}}, "data.a[0].numeric"),
        ({"data": {"a": [{"numeric": ["<", 5, ">", 1]}]}}, "data.a[0].numeric[0]"),
        ({"data": {"a": [{"numeric": [">", 1, ">", 2]}]}}, "data.a[0].numeric[2]"),
        ({"data": {"a": [{"numeric": ["<", "5"]}]}}, "data.a[0].numeric[1]"),
        ({"data": {"a": {}}}, "data.a"),
        ({"data": {"$or": [{"a": [1]}]}}, "data.$or[0]"),
        ({"data": {"$or": [{"a": [1]}, {}]}}, "data.$or[1]"),
        ({"data": {"$or": [{"a": [1]}, {"b": []}]}}, "data.$or[1].b"),
        ({"data": {"$or": [{"prefix": "a"}, {"b": [1]}]}}, "data.$or[1]"),
        ({"$or": [{"source": ["a"]}, {"place": {"x": [1]}}]}, "$or[1].place"),
        ({"data": {"a": {"numeric": [">=", 4]}}}, "data.a"),
        ({"data": {"a": {"prefix": "x"}}}, "data.a"),
        ({"data": {"exists": True}}, "data"),
        ({"subject": {"prefix": "x"}}, "subject"),
        ({"subject": {"a": ["x"]}}, "subject"),
        ({"Data": {"a": ["x"]}}, "Data"),
        ({"data.mag": [1]}, "data.mag"),
    ],
)
def test_a_wrong_filter_says_where(pattern: Any, path: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(pattern)
    assert caught.value.path == path
    assert caught.value.problem.isprintable()


def test_fields_that_are_called_like_a_test() -> None:
    check = compile_filter(
        {"data": {"phone": {"prefix": ["+49"], "suffix": ["7"]}, "range": {"numeric": ["low"]}}}
    )
    assert check(event({"phone": {"prefix": "+49", "suffix": "7"}, "range": {"numeric": "low"}}))


def test_or() -> None:
    check = compile_filter(
        {
            "$or": [{"source": ["src"]}, {"data": {"kind": ["x"]}}],
            "data": {"$or": [{"a": [1]}, {"b": [2], "$or": [{"c": [3]}, {"d": [{"exists": True}]}]}]},
        }
    )
    assert check(event({"a": 1}))
    assert check(event({"b": 2, "d": None}))
    assert not check(event({"b": 2}))
    assert not check(event({"a": 1}, source="other"))
    assert check(event({"a": 1, "kind": "x"}, source="other"))
    assert check.failure(event({"a": 1}, source="other")) == (
        "$or",
        {"$or[0].source": ["src"], "$or[1].data.kind": ["x"]},
        {"$or[0].source": "other", "$or[1].data.kind": ABSENT},
    )


def test_or_as_an_ordinary_key() -> None:
    for pattern, yes, no in (
        ({"$or": {"a": [1]}}, {"$or": {"a": 1}}, {"a": 1}),
        ({"$or": ["x", "y"]}, {"$or": "y"}, {"x": 1}),
        ({"$or": [{"prefix": "x"}, {"numeric": [">", 3]}]}, {"$or": 4}, {"$or": 2}),
        ({"$or": [{"exists": True}]}, {"$or": 4}, {}),
    ):
        check = compile_filter({"data": pattern})
        assert check(event(yes)), pattern
        assert not check(event(no)), pattern


def test_or_speaks_of_one_object_of_a_list() -> None:
    check = compile_filter({"data": {"items": {"a": [1], "$or": [{"b": [2]}, {"c": [3]}]}}})
    assert check(event({"items": [{"a": 0}, {"a": 1, "c": 3}]}))
    assert not check(event({"items": [{"a": 1}, {"c": 3}]}))


def test_absent_is_absent_from_every_item() -> None:
    check = compile_filter({"data": {"items": {"a": [1], "b": [{"exists": False}]}}})
    assert check(event({"items": [{"a": 1}, {"a": 2}]}))
    assert check(event({"items": [{"a": 1, "b": {}}, {"b": []}]}))
    assert not check(event({"items": [{"a": 1}, {"b": 0}]}))


def test_depth_has_a_limit() -> None:
    pattern: Any = ["x"]
    for _ in range(100):
        pattern = {"a": pattern}
    with pytest.raises(FilterError, match="nested"):
        compile_filter({"data": pattern})
