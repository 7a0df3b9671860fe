"""Operational records in Elasticsearch: `elasticsearch://[user:password@]host:port[/prefix]?secure=1`.

One index per kind and day; what has grown too old goes with its whole day, and only in the day that the limit
falls into record by record. What was written is found by the next search: a search refreshes its indices
first, a write never waits for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError
from elasticsearch.dsl import Search
from elasticsearch.dsl.query import Query

from ferris.adapters import elasticsearch_checkup
from ferris.adapters import elasticsearch_documents as documents
from ferris.adapters import elasticsearch_queries as queries
from ferris.adapters.sqlite_ops_rows import attempt_of, milliseconds
from ferris.errors import BackendError, ConfigError, EventError
from ferris.findings import Finding
from ferris.ports import OPS_KINDS, LogLine, Page
from ferris.searching import too_slow

P = ParamSpec("P")
T = TypeVar("T")

_BACKEND = "ops store"
_SETTING = "FERRIS_OPS_STORE"
_BATCH = 1000  # documents in one request
_BATCH_CHARACTERS = 8 * 1024 * 1024
_WINDOW = 10_000  # Elasticsearch answers no more at once
_GROUPS = 100
_BUSY_SECONDS = (0.2, 1.0, 3.0)
_BUCKETS = {"minute": "1m", "hour": "1h", "day": "1d"}


def _explained(method: Callable[P, T]) -> Callable[P, T]:
    """What the client raises leaves as BackendError."""

    @wraps(method)
    def explained(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except UnsupportedProductError as error:
            raise BackendError(
                _BACKEND, "is no Elasticsearch that this client knows", "use Elasticsearch 8"
            ) from error
        except ApiError as error:
            raise _fault(error) from error
        except TransportError as error:
            raise BackendError(
                _BACKEND,
                f"cannot reach Elasticsearch ({str(error)[:300]})",
                f"start it, or correct {_SETTING}",
            ) from error

    return explained


def _fault(error: ApiError) -> BackendError:
    if error.status_code in (401, 403):
        remedy = f"correct user and password in {_SETTING}, or grant that user the right"
        return BackendError(_BACKEND, f"refused this ({error.message})", remedy)
    if error.status_code == 400 and "media_type" in str(error.body):
        return BackendError(
            _BACKEND, "speaks another major version than this client", "use Elasticsearch 8, as the client"
        )
    problem = f"answered {error.status_code} ({error.message}: {str(error.body)[:300]})"
    return BackendError(_BACKEND, problem, "see Elasticsearch's log")


class ElasticsearchOpsStore:
    """`OpsStore` in Elasticsearch 8; indices begin with the prefix (`ferris`)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        prefix = parts.path.strip("/") or "ferris"
        fits = prefix[0].isalnum() and prefix == prefix.lower() and prefix.replace("-", "").isalnum()
        secure = options.get("secure", "0")
        if not parts.hostname or not fits or set(options) - {"secure"} or secure not in ("0", "1"):
            raise ConfigError(
                _SETTING,
                "does not say where Elasticsearch is in the form that is understood",
                "write elasticsearch://host:9200 or elasticsearch://user:password@host:9200/prefix?secure=1",
            )
        self._prefix = prefix
        self._client = Elasticsearch(
            f"{'https' if secure == '1' else 'http'}://{parts.netloc.rpartition('@')[2]}",
            basic_auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
            request_timeout=30,
            max_retries=1,
            retry_on_timeout=False,
        )
        self._lock = threading.Lock()
        self._prepared = False
        self._arrival = 0

    @_explained
    def prepare(self) -> None:
        """Make the index templates, once in the life of this object."""
        with self._lock:
            if self._prepared:
                return
            for kind in OPS_KINDS:
                template = documents.template(self._prefix, kind)
                self._client.indices.put_index_template(
                    name=f"{self._prefix}-{documents.NAMES[kind]}", **template
                )
                # Indices of before get the fields that they lack, for what will come into them.
                self._client.options(ignore_status=404).indices.put_mapping(
                    index=self._pattern(kind),
                    properties=template["template"]["mappings"]["properties"],
                    allow_no_indices=True,
                    ignore_unavailable=True,
                )
            self._prepared = True

    def write(self, kind: str, records: Sequence[Mapping[str, Any]]) -> int:
        """See `OpsStore.write`. After a BackendError some may be there; written again they change nothing."""
        _check_kind(kind)
        made = [documents.document(kind, record) for record in records]
        if not made:
            return 0
        self.prepare()
        arrival = self._arrivals(len(made))
        new, size = 0, 0
        batch: list[Mapping[str, Any]] = []
        for place, (key, moment, document) in enumerate(made):
            action = {"create": {"_index": documents.day(self._prefix, kind, moment), "_id": key[:400]}}
            batch += [action, document | {"arrival": arrival + place}]
            size += len(str(document.get("message", "")) or str(document["body"]))
            if len(batch) >= 2 * _BATCH or size >= _BATCH_CHARACTERS:
                new += self._bulk(batch)
                batch, size = [], 0
        return new + (self._bulk(batch) if batch else 0)

    def _arrivals(self, count: int) -> int:
        """The first of `count` numbers that grow from write to write."""
        with self._lock:
            first = max(time.time_ns(), self._arrival)
            self._arrival = first + count
            return first

    @_explained
    def _bulk(self, batch: Sequence[Mapping[str, Any]]) -> int:
        """Send one batch; a server that is too busy is given a moment, and then the caller is told."""
        operations = list(batch)
        new = 0
        for pause in (*_BUSY_SECONDS, None):
            told = self._client.bulk(operations=operations)
            results = [item["create"] for item in told["items"]]
            new += sum(int(result["status"] == 201) for result in results)
            busy = [place for place, result in enumerate(results) if result["status"] == 429]
            bad = next((one for one in results if one["status"] not in (200, 201, 409, 429)), None)
            if bad is not None:
                raise BackendError(
                    _BACKEND,
                    f"did not take a record ({str(bad.get('error'))[:300]})",
                    "see Elasticsearch's log",
                )
            if not busy:
                return new
            if pause is not None:
                time.sleep(pause)
                operations = [part for place in busy for part in operations[2 * place : 2 * place + 2]]
        raise BackendError(_BACKEND, "is too busy to take more", "give Elasticsearch more memory or machines")

    @_explained
    def logs(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """See `OpsStore.logs`."""
        return self._lines(execution_id, "gt", after, limit)

    @_explained
    def last_logs(self, execution_id: str, *, before: int | None = None, limit: int = 1000) -> list[LogLine]:
        """See `OpsStore.last_logs`."""
        return self._lines(execution_id, "lt", before, limit)[::-1]

    def _lines(self, execution_id: str, side: str, cursor: int | None, limit: int) -> list[LogLine]:
        """Lines on one side of a cursor, the nearest first; None is behind all."""
        self._refresh("logs")
        found: list[LogLine] = []
        while len(found) < limit:
            size = min(limit - len(found), _WINDOW)
            search = self._search("logs").filter("term", execution=execution_id)
            if (place := found[-1].seq if found else cursor) is not None:
                search = search.filter("range", cursor={side: place})
            search = search.sort("cursor" if side == "gt" else "-cursor").source(["body"])[:size]
            page = [_log_line(hit["_source"]["body"]) for hit in _hits(search)]
            found += page
            if len(page) < size:
                break
        return found

    @_explained
    def search(
        self,
        kind: str,
        query: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        among: Mapping[str, Collection[str]] | None = None,
        patience: float | None = None,
    ) -> Page:
        """See `OpsStore.search`. At most 10,000 records in a page."""
        _check_kind(kind)
        wanted = queries.query(kind, query, since, until, among)
        size = max(1, min(limit, _WINDOW - 1))
        search = self._search(kind, wanted).sort("-arrival").source(["body"])[: size + 1]
        if cursor is not None:
            search = search.extra(search_after=[_place(cursor)])
        self._refresh(kind)
        hits = _answer(search.extra(track_total_hits=False), patience)["hits"]["hits"]
        more = str(hits[size - 1]["sort"][0]) if len(hits) > size else None
        return Page(tuple(hit["_source"]["body"] for hit in hits[:size]), more)

    @_explained
    def counts(
        self,
        kind: str,
        by: str,
        query: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        among: Mapping[str, Collection[str]] | None = None,
        patience: float | None = None,
    ) -> dict[str, int]:
        """See `OpsStore.counts`."""
        _check_kind(kind)
        search = self._search(kind, queries.query(kind, query, since, until, among))[:0]
        if by in _BUCKETS:
            start = ""
            search.aggs.bucket(
                "groups", "date_histogram", field="time", fixed_interval=_BUCKETS[by], min_doc_count=1
            )
        else:
            field, start = queries.grouping(kind, by)
            search.aggs.bucket("groups", "terms", size=_GROUPS, **field)
        self._refresh(kind)
        buckets = _answer(search, patience).get("aggregations", {}).get("groups", {}).get("buckets", [])
        if by in _BUCKETS:
            return {f"{_moment(one['key']):%Y-%m-%dT%H:%M:%SZ}": one["doc_count"] for one in buckets}
        return {str(one["key"])[len(start) :]: one["doc_count"] for one in buckets}

    @_explained
    def prune(self, before: datetime) -> int:
        """See `OpsStore.prune`."""
        removed = 0
        limit = before.astimezone(UTC)
        for kind in OPS_KINDS:
            self._refresh(kind)
            for index in self._client.indices.get(index=self._pattern(kind), expand_wildcards="open").body:
                day = _day(index)
                if day is None or day > limit:
                    continue
                if day + timedelta(days=1) <= limit:
                    removed += int(self._client.count(index=index)["count"])
                    self._client.indices.delete(index=index)
                else:
                    removed += self._remove_older(index, limit)
        return removed

    def _remove_older(self, index: str, limit: datetime) -> int:
        removed = 0
        older = {"range": {"time": {"lt": milliseconds(limit), "format": "epoch_millis"}}}
        while True:
            hits = self._client.search(index=index, query=older, size=_BATCH, source=False)["hits"]["hits"]
            if not hits:
                return removed
            told = self._client.bulk(
                operations=[{"delete": {"_index": index, "_id": hit["_id"]}} for hit in hits], refresh=True
            )
            removed += sum(item["delete"]["status"] == 200 for item in told["items"])
            if told["errors"]:
                raise BackendError(_BACKEND, f"cannot remove records of {index}", "see Elasticsearch's log")

    def examine(self) -> Iterator[Finding]:
        """See `findings.Examined`."""
        yield from self._examined()

    @_explained
    def _examined(self) -> list[Finding]:
        self._prepared = False  # what was removed since is made again
        self.prepare()
        return list(elasticsearch_checkup.examine(self._client, self._prefix))

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _pattern(self, kind: str) -> str:
        return f"{self._prefix}-{documents.NAMES[kind]}-*"

    def _search(self, kind: str, query: Query | None = None) -> Search[Any]:
        search: Search[Any] = Search(using=self._client, index=self._pattern(kind))
        search = search.params(ignore_unavailable=True, allow_no_indices=True)
        return search if query is None else search.query(query)

    def _refresh(self, kind: str) -> None:
        self._client.indices.refresh(
            index=self._pattern(kind), ignore_unavailable=True, allow_no_indices=True
        )


def _answer(search: Search[Any], patience: float | None) -> dict[str, Any]:
    if patience is not None:
        search = search.extra(timeout=f"{round(patience * 1000)}ms")
    answer: dict[str, Any] = search.execute().to_dict()
    if answer.get("timed_out"):
        raise too_slow(patience)
    return answer


def _hits(search: Search[Any]) -> list[Any]:
    hits: list[Any] = _answer(search.extra(track_total_hits=False), None)["hits"]["hits"]
    return hits


def _log_line(body: Mapping[str, Any]) -> LogLine:
    return LogLine(
        seq=body["cursor"],
        attempt=attempt_of(body["cursor"]),
        time=datetime.fromisoformat(body["time"]),
        step=body["step"],
        stream=body["stream"],
        level=body["level"],
        message=body["message"],
    )


def _moment(since_1970: float) -> datetime:
    return datetime.fromtimestamp(since_1970 / 1000, UTC)


def _day(index: str) -> datetime | None:
    """The day at the end of an index's name; None for an index that somebody else made."""
    try:
        return datetime.strptime(index.rpartition("-")[2], "%Y.%m.%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _place(cursor: str) -> int:
    if not cursor.isdecimal() or len(cursor) > 19:
        raise EventError("cursor", "is none that a search gave")
    return int(cursor)


def _check_kind(kind: str) -> None:
    if kind not in OPS_KINDS:
        raise BackendError(
            _BACKEND, f"knows no records of kind {kind!r}", f"use one of {', '.join(OPS_KINDS)}"
        )
