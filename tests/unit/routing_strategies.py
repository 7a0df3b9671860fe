"""Triggers, filters and data of all kinds, for Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ferris.routing import Trigger
from tests.unit.naive_routing import CESQL

words = st.sampled_from(["a", "b", "ab", "", "1", "A", "aab", "10.0.0.7", "10.0.9.9"])
scalars = words | st.sampled_from([0, 1, 1.0, 2, -1.5, True, False, None])
fields = st.sampled_from(["x", "y", "z"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=3),
    max_leaves=6,
)
numbers = st.sampled_from([0, 1, 1.0, 2, -1.5])


def lists_of(items: Any) -> Any:
    return st.lists(items, min_size=1, max_size=3)


signs = st.sampled_from(["=", "<", "<=", ">", ">="])
texts = st.sampled_from(["a", "b", "ab", "aB"])
wildcards = st.sampled_from(["a*", "*b", "*", "a*b", "*a*", "", "*a*b"])
tests = (
    st.builds(lambda t: {"prefix": t}, texts)
    | st.builds(lambda t: {"suffix": t}, texts)
    | st.builds(lambda k, t: {k: {"equals-ignore-case": t}}, st.sampled_from(["prefix", "suffix"]), texts)
    | st.builds(lambda t: {"equals-ignore-case": t}, texts)
    | st.builds(lambda t: {"wildcard": t}, wildcards)
    | st.builds(lambda t: {"cidr": t}, st.sampled_from(["10.0.0.0/24", "10.0.0.0/8"]))
    | st.builds(
        lambda k, t: {"anything-but": {k: t}},
        st.sampled_from(["wildcard", "suffix"]),
        texts | lists_of(texts),
    )
    | st.just({"numeric": [">", 0, "<=", 1.5]})
    | st.builds(lambda t: {"exists": t}, st.booleans())
    | st.builds(lambda t: {"anything-but": t}, words | numbers | lists_of(words) | lists_of(numbers))
    | st.builds(lambda t: {"anything-but": {"prefix": t}}, texts)
    | st.builds(lambda s, n: {"numeric": [s, n]}, signs, st.sampled_from([0, 1, 1.5]))
)
leaves = (
    st.lists(scalars, min_size=1, max_size=3) | st.lists(scalars | tests, min_size=1, max_size=3) | scalars
)
objects = st.recursive(
    st.dictionaries(fields, leaves, min_size=1, max_size=2),
    lambda inner: (
        st.dictionaries(fields, leaves | inner, min_size=1, max_size=2)
        | st.builds(lambda one, other, rest: {**rest, "$or": [one, other]}, inner, inner, inner)
    ),
    max_leaves=4,
)
filters = st.fixed_dictionaries(
    {}, optional={"data": objects, "subject": leaves, "source": st.lists(words, min_size=1, max_size=2)}
)
types = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=4).map(".".join)
patterns = types | types.map(lambda t: f"{t}.*") | st.just("*")
triggers = st.builds(
    lambda n, pattern, rule: Trigger(str(n), f"service-{n}", pattern, **rule),
    st.integers(0, 5),
    patterns,
    st.just({})
    | filters.map(lambda filter: {"filter": filter})
    | st.sampled_from(sorted(CESQL)).map(lambda text: {"cesql": text}),
)  # fmt: skip
subjects = st.none() | texts | st.sampled_from(["1", "2"])
rows = st.lists(st.dictionaries(fields, scalars | st.lists(scalars, max_size=2), max_size=3), max_size=3)
