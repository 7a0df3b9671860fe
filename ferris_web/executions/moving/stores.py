"""Configuration and state, objects, operational records: through their ports, whatever stands behind them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import chain, count

from ferris.errors import BackendError
from ferris.ports import OPS_KINDS, ObjectInfo
from ferris_web import wiring
from ferris_web.executions.moving.archive import Reader, Writer

CONFIG, OBJECTS = "configuration and state", "objects"
_PAGE = 500


def ops_name(kind: str) -> str:
    """What the records of a kind are called in tables of counts."""
    return f"records: {kind}"


def found() -> dict[str, int]:
    """How much there is, by kind."""
    return {
        CONFIG: len(wiring.config_store().list("")),
        OBJECTS: sum(1 for _ in _objects()),
        **{ops_name(kind): sum(wiring.ops_store().counts(kind, "day").values()) for kind in OPS_KINDS},
    }


def occupied() -> str:
    """What is there that a platform just made does not have, in words; "" for none."""
    if entries := wiring.config_store().list(""):
        return f"{len(entries)} entries of configuration and state"
    if next(_objects(), None) is not None:
        return "objects"
    kinds = [kind for kind in OPS_KINDS if wiring.ops_store().search(kind, limit=1).records]
    return f"operational records ({', '.join(kinds)})" if kinds else ""


def write(archive: Writer) -> dict[str, int]:
    """Write everything; how much it was, by kind."""
    entries = wiring.config_store().list("")
    counts = {
        CONFIG: archive.lines("config", ([e.key, base64.b64encode(e.value).decode()] for e in entries)),
        OBJECTS: _write_objects(archive),
    }
    for kind in OPS_KINDS:
        counts[ops_name(kind)] = _write_records(archive, kind)
    return counts


def _objects() -> Iterator[ObjectInfo]:
    return chain.from_iterable(_pages())


def _pages() -> Iterator[list[ObjectInfo]]:
    store = wiring.object_store()
    for bucket in store.buckets():
        after = None
        while page := store.list(bucket, after=after, limit=_PAGE):
            yield page
            after = page[-1].key


def _write_objects(archive: Writer) -> int:
    """Page by page: the contents, then the list of what they are (a ZIP is written one member at a time)."""
    total = 0
    for number, page in enumerate(_pages()):
        known = []
        for place, info in enumerate(page):
            with wiring.object_store().open(info.bucket, info.key) as content:
                size = archive.content(_object(number, place), content)
            known.append([info.bucket, info.key, info.content_type, size])
        total += archive.lines(_listed(number), known)
    return total


def _listed(page: int) -> str:
    return f"objects/{page:08}"


def _object(page: int, place: int) -> str:
    return f"{_listed(page)}.contents/{place:03}"


def _write_records(archive: Writer, kind: str) -> int:
    """The newest first, as the store gives them, in one member a page."""
    total, number, cursor = 0, 0, None
    while True:
        page = wiring.ops_store().search(kind, limit=_PAGE, cursor=cursor)
        if page.records:
            total += archive.lines(_records(kind, number), page.records)
            number += 1
        cursor = page.cursor
        if cursor is None:
            return total


def _records(kind: str, number: int) -> str:
    return f"records/{kind}/{number:08}"


def take_in(archive: Reader) -> None:
    """Store everything. What is there already is stored again, so that it may be repeated."""
    config = wiring.config_store()
    for key, value in archive.lines("config"):
        config.put(key, base64.b64decode(value))
    for page in count():
        if not _take_in_objects(archive, page):
            break
    for kind in OPS_KINDS:
        pages = -(-int(archive.manifest["counts"].get(ops_name(kind), 0)) // _PAGE)
        for number in reversed(range(pages)):  # the oldest first: stores order by arrival
            wiring.ops_store().write(kind, list(archive.lines(_records(kind, number)))[::-1])


def _take_in_objects(archive: Reader, page: int) -> int:
    """Store the objects of a page; how many there were, none behind the last page."""
    listed = list(archive.lines(_listed(page)))
    for place, (bucket, key, kind, size) in enumerate(listed):
        with archive.content(_object(page, place)) as content:
            stored = wiring.object_store().put(bucket, key, content, kind)
        if stored.size != size:
            raise BackendError(
                "object store", f"has {stored.size} of the {size} bytes of {bucket}/{key}", "import again"
            )
    return len(listed)
