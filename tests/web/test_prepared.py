"""Queries that are put into SQL once find what a fresh query finds, with whatever values."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ferris.adapters.prepared import Prepared
from ferris_web.catalog.models import KeyValue, Project
from ferris_web.catalog.models import Service as Row

pytestmark = pytest.mark.django_db


def test_values_change_from_call_to_call_and_so_may_their_number() -> None:
    for n in range(4):
        KeyValue.objects.create(key=f"k{n}", value=bytes([n]), modify_index=n)
    found = Prepared(
        lambda keys, numbers: (
            KeyValue.objects.filter(key__in=keys, modify_index__in=numbers)
            .order_by("key")
            .values_list("key", "modify_index")
        )
    )
    assert found.rows(["k1"], [1]) == [("k1", 1)]
    assert found.rows(["k2"], [2]) == [("k2", 2)]
    assert found.rows(["k2"], [3]) == []
    assert found.rows(["k3", "k0", "other"], [0, 3]) == [("k0", 0), ("k3", 3)]
    assert found.rows(["k3", "k3", "%s"], [3, 3]) == [("k3", 3)]


def test_what_it_finds_has_the_types_of_its_fields() -> None:
    project = Project.objects.create(name="p")
    service = Row.objects.create(project=project, name="s", tags=["a", {"b": None}])
    found = Prepared(
        lambda ids: Row.objects.filter(pk__in=ids).values_list("id", "tags", "paused_at", "project__name")
    )
    assert found.rows([service.pk]) == [(service.pk, ["a", {"b": None}], None, "p")]
    assert found.rows([uuid4()]) == []


def test_a_value_that_the_query_does_not_use_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="has its place"):
        Prepared(lambda ids: Project.objects.values_list("id")).rows([1])
