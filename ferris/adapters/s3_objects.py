"""Objects in MinIO or any S3, through the `minio` client: `s3://key:secret@host:port[/prefix]?secure=0`.

With `&notify=ARN` every bucket but the platform's own is asked to tell that target about uploads.

A prefix is put in front of every bucket's name, so that several platforms can share one store. What is
stored or read goes through a temporary file: a source that fails leaves nothing behind, and what was opened
can be read at any place and outlives a replacement.
"""

from __future__ import annotations

import logging
import mimetypes
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import wraps
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO, ParamSpec, TypeVar, cast
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree.ElementTree import ParseError

from minio import Minio
from minio.error import MinioException, S3Error
from minio.notificationconfig import NotificationConfig, QueueConfig
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from ferris.adapters import s3_checkup
from ferris.adapters.folder_objects import _checked_bucket, _checked_key
from ferris.config import PACKAGES_BUCKET, PLATFORM_BUCKETS
from ferris.errors import BackendError, ConfigError, NotFound
from ferris.findings import Finding
from ferris.ports import ObjectInfo

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_BACKEND = "object store"
_SETTING = "FERRIS_OBJECT_STORE"
_FORM = "write s3://key:secret@host:port?secure=0 (without secure=0 it is https)"
_PART = 16 * 1024 * 1024  # one size for ever: S3 makes the etag of a large object from its parts
_IN_MEMORY = 4 * 1024 * 1024
_CHUNK = 1024 * 1024
_MISSING = ("NoSuchKey", "NoSuchBucket", "NoSuchVersion")
_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
_OPTIONS = {"secure", "region", "notify"}


def _explained(method: Callable[P, T]) -> Callable[P, T]:
    """What the client raises leaves as BackendError."""

    @wraps(method)
    def explained(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except S3Error as error:
            if error.code in _REFUSED:
                raise BackendError(
                    _BACKEND,
                    f"refused this ({error.code}: {error.message})",
                    f"correct key and secret in {_SETTING}, or grant that key the right",
                ) from error
            raise BackendError(
                _BACKEND, f"answered {error.code}: {error.message}", "see the log of the object store"
            ) from error
        except (MinioException, HTTPError, ParseError, ValueError) as error:
            raise BackendError(
                _BACKEND,
                f"cannot be reached or understood ({str(error)[:300]})",
                f"start it, or correct {_SETTING}",
            ) from error

    return explained


class S3ObjectStore:
    """`ObjectStore` in an S3. The content types of a list are guessed from the keys: S3 does not tell them there."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        prefix = parts.path.strip("/")
        if not parts.hostname or not parts.username or not parts.password or set(options) - _OPTIONS:
            raise ConfigError(
                _SETTING, "does not say host, key and secret in the form that is understood", _FORM
            )
        if prefix and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", prefix):
            raise ConfigError(_SETTING, f"has the prefix {prefix!r}", "use up to 31 of a-z 0-9 -")
        if options.get("secure", "1") not in ("0", "1"):
            raise ConfigError(_SETTING, f"has secure={options['secure']}", "use secure=1 or secure=0")
        self._prefix = self.prefix = f"{prefix}-" if prefix else ""
        self._target = options.get("notify", "")
        if self._target and not self._target.startswith("arn:"):
            raise ConfigError(
                _SETTING, f"has notify={self._target!r}", "use the target's ARN: arn:minio:sqs::FERRIS:kafka"
            )
        self.tells = bool(self._target)
        self._pool = PoolManager(
            maxsize=32,
            timeout=Timeout(connect=3, read=60),
            retries=Retry(total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
        )
        host = parts.netloc.rpartition("@")[2]
        self._address = f"{'https' if options.get('secure', '1') == '1' else 'http'}://{host}/"
        self._client = Minio(
            host,
            access_key=unquote(parts.username),
            secret_key=unquote(parts.password),
            secure=options.get("secure", "1") == "1",
            region=options.get("region"),
            http_client=self._pool,
        )

    @_explained
    def prepare(self, buckets: Sequence[str]) -> None:
        """Make these buckets now, before anybody needs them."""
        for bucket in buckets:
            name = self._bucket(bucket)
            if not self._client.bucket_exists(name):
                self._make(name)

    def _make(self, name: str) -> None:
        try:
            self._client.make_bucket(name)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
        self._ask(name)

    @_explained
    def watch(self) -> Sequence[str]:
        """See `TellsUploads.watch`."""
        return [bucket for bucket in self.buckets() if self._ask(self._prefix + bucket)]

    def _ask(self, name: str) -> bool:
        """Have a bucket tell about uploads, beside whatever else it is to tell; True when it does."""
        if not self._target or name.removeprefix(self._prefix) in PLATFORM_BUCKETS:
            return False
        try:
            wanted = self._client.get_bucket_notification(name)
            queues = list(wanted.queue_config_list)
            if any(queue.queue == self._target for queue in queues):
                return True
            queues.append(QueueConfig(["s3:ObjectCreated:*"], config_id="ferris", queue=self._target))
            self._client.set_bucket_notification(
                name,
                NotificationConfig(
                    cloud_func_config_list=wanted.cloud_func_config_list,
                    queue_config_list=queues,
                    topic_config_list=wanted.topic_config_list,
                ),
            )
        except S3Error as error:
            log.warning(
                "the bucket %s tells nobody about uploads: %s; see notify in %s",
                name,
                error.message,
                _SETTING,
            )
            return False
        return True

    @_explained
    def put(
        self, bucket: str, key: str, data: BinaryIO | bytes, content_type: str | None = None
    ) -> ObjectInfo:
        """See `ObjectStore.put`. Up to 160 GB."""
        name, key = self._bucket(bucket), _checked_key(key)
        kind = content_type or _guess(key)
        with _whole(data) as source:
            length = source.seek(0, 2)
            try:
                etag = self._upload(name, key, source, length, kind)
            except S3Error as error:
                if error.code != "NoSuchBucket":
                    raise
                self._make(name)
                etag = self._upload(name, key, source, length, kind)
        now = self._look(bucket, key)
        modified = now.modified if now is not None and now.etag == etag else datetime.now(UTC)
        return ObjectInfo(bucket, key, length, etag, kind, modified)

    def _upload(self, name: str, key: str, source: BinaryIO, length: int, kind: str) -> str:
        source.seek(0)
        done = self._client.put_object(name, key, source, length, kind, part_size=_PART)
        return (done.etag or "").strip('"')

    @_explained
    def open(self, bucket: str, key: str) -> BinaryIO:
        """See `ObjectStore.open`."""
        name, key = self._bucket(bucket), _checked_key(key)
        try:
            answer = self._client.get_object(name, key)
        except S3Error as error:
            if error.code in _MISSING:
                raise NotFound(f"there is no object {bucket}/{key}") from None
            raise
        content = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller closes it
        try:
            for chunk in answer.stream(_CHUNK):
                content.write(chunk)
        except BaseException:
            content.close()
            raise
        finally:
            answer.close()
            answer.release_conn()
        content.seek(0)
        return cast(BinaryIO, content)

    @_explained
    def stat(self, bucket: str, key: str) -> ObjectInfo | None:
        """See `ObjectStore.stat`."""
        self._bucket(bucket)
        return self._look(bucket, _checked_key(key))

    def _look(self, bucket: str, key: str) -> ObjectInfo | None:
        try:
            return _info(bucket, self._client.stat_object(self._prefix + bucket, key))
        except S3Error as error:
            if error.code in _MISSING:
                return None
            raise

    @_explained
    def buckets(self) -> list[str]:
        """See `ObjectStore.buckets`."""
        names = (bucket.name for bucket in self._client.list_buckets())
        return sorted(name[len(self._prefix) :] for name in names if name.startswith(self._prefix))

    @_explained
    def list(
        self, bucket: str, prefix: str = "", after: str | None = None, limit: int = 1000
    ) -> list[ObjectInfo]:
        """See `ObjectStore.list`."""
        found = self._client.list_objects(
            self._bucket(bucket), prefix=prefix or None, recursive=True, start_after=after
        )
        try:
            return [_info(bucket, one) for one in islice(found, limit)]
        except S3Error as error:
            if error.code in _MISSING:
                return []
            raise

    @_explained
    def delete(self, bucket: str, key: str) -> None:
        """See `ObjectStore.delete`."""
        name, key = self._bucket(bucket), _checked_key(key)
        try:
            self._client.remove_object(name, key)
        except S3Error as error:
            if error.code not in _MISSING:
                raise

    def examine(self) -> Iterator[Finding]:
        """See `findings.Examined`."""
        self.prepare([PACKAGES_BUCKET])
        yield from s3_checkup.examine(_BACKEND, self._pool, self._address, self.buckets())
        if self._target:
            silent = set(self.buckets()) - PLATFORM_BUCKETS - set(self.watch())
            yield s3_checkup.told(_BACKEND, self._target, sorted(silent))

    def _bucket(self, bucket: str) -> str:
        return self._prefix + _checked_bucket(bucket)


def _whole(data: BinaryIO | bytes) -> BinaryIO:
    """All of it, before the store hears of it."""
    if isinstance(data, bytes):
        return BytesIO(data)
    whole = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        while chunk := data.read(_CHUNK):
            whole.write(chunk)
    except BaseException:
        whole.close()
        raise
    return cast(BinaryIO, whole)


def _info(bucket: str, found: Any) -> ObjectInfo:
    key: str = found.object_name
    modified: datetime = found.last_modified
    etag: str = found.etag.strip('"')
    return ObjectInfo(bucket, key, found.size or 0, etag, found.content_type or _guess(key), modified)


def _guess(key: str) -> str:
    return mimetypes.guess_type(key)[0] or "application/octet-stream"
