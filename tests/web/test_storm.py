"""Thousands of events in one go, and each is counted: `tests.bench.storm`, of which `make bench` runs 100,000."""

from __future__ import annotations

import pytest

from ferris_web import wiring
from gateway.router import Router
from tests.bench.storm import storm

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_storm_through_filters_concurrency_and_batches_is_counted_exactly():
    past = wiring.event_log().subscribe(Router.group, Router.topics)
    while found := past.poll(1000, timeout=0):
        past.commit(found)
    past.close()
    figures = storm(6_000)
    assert figures["executions"] == {"filtered": 600, "bound": 600, "batched": 60}
