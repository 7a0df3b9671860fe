"""What every store of operational records keeps. To add a backend: one parameter of `store`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ferris.adapters import open_ops_store
from ferris.ports import OpsStore
from tests.contract.ops_store.records import sqlite


@pytest.fixture(
    params=[
        pytest.param(sqlite, id="sqlite"),
        pytest.param(None, id="elasticsearch", marks=pytest.mark.real),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpsStore]:
    make: Callable[[Path], OpsStore] | None = request.param
    if make is not None:
        yield make(tmp_path)
        return
    prefix = f"test{uuid.uuid4().hex}"
    store = open_ops_store(f"{request.getfixturevalue('real')('FERRIS_OPS_STORE')}/{prefix}")
    yield store
    for index in store._client.indices.get(index=f"{prefix}-*").body:
        store._client.indices.delete(index=index)
    store._client.options(ignore_status=404).indices.delete_index_template(name=f"{prefix}-*")
