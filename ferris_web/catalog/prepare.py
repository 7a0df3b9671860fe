"""From the files of one folder to what its service will be: checked, packed, and its archive stored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ferris.config import PACKAGES_BUCKET
from ferris.manifest import Manifest, Message, Parsed, parse_service
from ferris.ports import MAX_CONFIG_VALUE, ObjectStore
from ferris_web import wiring
from ferris_web.catalog import archive, configs
from ferris_web.catalog.selectors import package_key
from ferris_web.catalog.source import Folder


@dataclass(frozen=True)
class Prepared:
    """A folder without an error in it, ready to become a version of its service. Its package is stored."""

    name: str
    digest: str
    files: tuple[Mapping[str, Any], ...]
    manifest: Manifest
    manifest_json: Mapping[str, Any]
    parameters: list[Mapping[str, Any]]
    config: Any
    secrets: Mapping[str, Any] | None  # None: those that it has stay
    requirements: str
    readme: str


def prepare(folder: Folder, store: ObjectStore | None) -> Prepared | None:
    """Check and pack a folder; None when it is refused. The reasons are added to `folder.messages`.

    The archive is put into the object store, if there is one, under its digest, unless it is there. One
    that no version comes to name (the sync fails later) does no harm.
    """
    if folder.refused:
        return None
    parsed = parse_service(
        {path: file.content for path, file in folder.files.items()}, wiring.config().ceiling
    )
    folder.messages += parsed.messages
    _check_config(folder, parsed.config)
    _check_text(folder, parsed)
    if parsed.manifest is None or folder.refused:
        return None
    packed = archive.pack(folder.files)
    key = package_key(packed.digest)
    if store is not None and store.stat(PACKAGES_BUCKET, key) is None:
        store.put(PACKAGES_BUCKET, key, packed.content, "application/gzip")
    return Prepared(
        name=folder.name,
        digest=packed.digest,
        files=packed.files,
        manifest=parsed.manifest,
        manifest_json=plain(parsed.manifest),
        parameters=[plain(parameter) for parameter in parsed.parameters],
        config=parsed.config,
        secrets=parsed.secrets or {},
        requirements=parsed.requirements or "",
        readme=parsed.readme or "",
    )


def _check_config(folder: Folder, config: Any) -> None:
    if config is not None and len(configs.encode_config(config)) > MAX_CONFIG_VALUE:
        text = f"is larger than the {MAX_CONFIG_VALUE:,} bytes a configuration may have: move data to a file"
        folder.messages.append(Message("error", configs.FILE, "", text))


def _check_text(folder: Folder, parsed: Parsed) -> None:
    """No database keeps NUL or half a surrogate pair, both of which JSON can write."""
    read = {
        "manifest.json": parsed.manifest and plain(parsed.manifest),
        "parameters.json": [plain(parameter) for parameter in parsed.parameters],
        "requirements.txt": parsed.requirements,
        "README.md": parsed.readme,
    }
    for file, value in read.items():
        text = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in text or any("\ud800" <= character <= "\udfff" for character in text):
            folder.say("error", "holds a NUL character or half a surrogate pair: remove it", file)


def plain(value: Any) -> Any:
    """A dataclass of the domain as JSON values."""
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return json.loads(json.dumps(fields, default=_inner))


def _inner(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} in a manifest")
