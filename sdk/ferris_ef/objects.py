"""Files that outlive the execution: the platform's object store."""

from __future__ import annotations

from ferris_ef.wire import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 16 * 1024 * 1024


class Objects:
    """`objects.put(bucket, key, data)` and `objects.get(bucket, key)`."""

    def put(
        self, bucket: str, key: str, data: bytes | str, content_type: str | None = None
    ) -> dict[str, Any]:
        """Store bytes (or a text, as UTF-8) of at most 16 MiB, replacing what was there: bucket, key, size, etag."""
        from binascii import b2a_base64

        content = content_of(data)
        message = {"op": "object.put", "bucket": bucket, "key": key, "content_type": content_type}
        answer: dict[str, Any] = call({**message, "data": b2a_base64(content, newline=False).decode()})[
            "value"
        ]
        return answer

    def get(self, bucket: str, key: str) -> bytes:
        """The bytes of an object of at most 16 MiB; PlatformError when there is none."""
        from binascii import a2b_base64

        return a2b_base64(call({"op": "object.get", "bucket": bucket, "key": key})["value"])


def content_of(data: bytes | str) -> bytes:
    """The bytes to store; TypeError, ValueError."""
    if isinstance(data, str):
        data = data.encode()
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data is a {type(data).__name__}; expected bytes or a text")
    if len(data) > LARGEST:
        raise ValueError(f"the object has {len(data)} bytes; the limit is {LARGEST}")
    return bytes(data)
