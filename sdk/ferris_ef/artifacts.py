"""Files that the platform keeps with the execution: what stands in the folder FERRIS_ARTIFACTS when the script ends."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_NAME = 255


class Artifacts:
    """`artifacts.path(name)` to write a file oneself, `artifacts.put(name, content)` to have it written."""

    def path(self, name: str) -> str:
        """Where to write the file of that name (`report.html`, `charts/a.png`); its folders are made.

        ValueError for a name that leads out of the folder.
        """
        path = os.path.join(self._folder(), *_parts(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def put(self, name: str, content: bytes | str | Iterable[bytes], content_type: str | None = None) -> str:
        """Write bytes, a text (as UTF-8), or pieces of bytes as they come; the file's path.

        A content type is needed only where the name's ending does not say it. A file of that name is replaced.
        """
        path = self.path(name)
        if isinstance(content, str):
            content = content.encode()
        with open(path, "wb") as file:
            if isinstance(content, (bytes, bytearray, memoryview)):
                file.write(content)
            else:
                file.writelines(content)
        if content_type is not None:
            self._state("/".join(_parts(name)), content_type)
        return path

    def _folder(self) -> str:
        folder = os.environ.get("FERRIS_ARTIFACTS")
        if not folder:
            from ferris_ef.wire import PlatformError

            raise PlatformError(
                "FERRIS_ARTIFACTS names no folder, so nobody keeps artifacts here: set it, or EF_ENV=local"
            )
        return folder

    def _state(self, name: str, content_type: str) -> None:
        if os.environ.get("FERRIS_CHANNEL"):
            from ferris_ef.wire import tell

            tell({"op": "artifact", "name": name, "content_type": str(content_type)})


def _parts(name: str) -> list[str]:
    if not isinstance(name, str):
        raise TypeError(f"name: is a {type(name).__name__}; expected a text")
    parts = name.split("/")
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or "\\" in name:
        raise ValueError(f"name: is {name[:50]!r}; expected 1 to {LONGEST_NAME} printable characters")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"name: {name!r} is no path inside the folder of artifacts")
    return parts
