"""The files of a service's folder that mean something, and what those beside the manifest say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ferris.documents import Notes, read_object, read_text
from ferris.parameters import Parameter, parse_fields

MANIFEST: Final = "manifest.json"
CONFIG: Final = "config.json"
SECRETS: Final = "secrets.json"
PARAMETERS: Final = "parameters.json"
METADATA: Final = "metadata.json"
REQUIREMENTS: Final = "requirements.txt"
README: Final = "README.md"

READ: Final = (MANIFEST, CONFIG, SECRETS, PARAMETERS, METADATA, REQUIREMENTS)
"""What the platform itself has to understand."""

_SPECIAL = (*READ, README)


def parameters_of(files: Mapping[str, bytes], notes: Notes) -> tuple[Parameter, ...]:
    """The fields of its form."""
    name = PARAMETERS if PARAMETERS in files else METADATA
    if name not in files:
        return ()
    if name == PARAMETERS and METADATA in files:
        notes.warning(METADATA, "", f"is not read as a form: {PARAMETERS} is there too")
    document = read_object(name, files[name], notes)
    if document is None:
        return ()
    if name == METADATA and "fields" not in document:
        notes.info(METADATA, "", 'has no "fields"; it is an asset, not a form')
        return ()
    return parse_fields(document, name, notes)


def secrets_of(files: Mapping[str, bytes], notes: Notes) -> Mapping[str, Any] | None:
    """Its secrets; None when it has no file of them, or a broken one."""
    if SECRETS not in files:
        return None
    secrets = read_object(SECRETS, files[SECRETS], notes)
    for name in secrets or ():
        if not name.strip() or len(name) > 255 or not name.isprintable():
            notes.error(SECRETS, name[:60], "is no name for a secret; expected 1 to 255 characters")
    return secrets


def requirements_of(files: Mapping[str, bytes], notes: Notes) -> str | None:
    """What is to be installed for it."""
    text = read_text(REQUIREMENTS, files[REQUIREMENTS], notes) if REQUIREMENTS in files else None
    if text is not None and "\0" in text:
        notes.error(REQUIREMENTS, "", "holds the character NUL; expected text")
        return None
    return text if text and text.strip() else None


def readme_of(files: Mapping[str, bytes], notes: Notes) -> str | None:
    """What is shown on its page. Only shown, so its bytes need not be right."""
    name = next((name for name in files if name.lower() == README.lower()), None)
    if name is None:
        return None
    try:
        text = files[name].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        notes.warning(name, "", f"is not UTF-8 from byte {error.start} on; it is shown with replacements")
        text = files[name].decode("utf-8-sig", "replace")
    return text.replace("\0", "\ufffd")


def misspelt_told(files: Iterable[str], notes: Notes) -> None:
    """Warn of files whose names are nearly those that mean something: under a wrong one, a file of secrets would be
    packed as an asset."""
    for name in files:
        if "/" in name or name in _SPECIAL or name.lower() == README.lower():
            continue
        hint = near_file(name, files)
        if hint:
            notes.warning(name, "", f"is an asset under this name (did you mean {hint}?)")


def near_file(name: str, files: Iterable[str]) -> str | None:
    """The file with a meaning that `name` was probably meant to be, unless that one is there too."""
    import difflib

    wanted = [special for special in _SPECIAL if special not in files and special != README]
    if not name.lower().endswith((".json", ".txt", ".jsn")):
        return None
    return next(iter(difflib.get_close_matches(name.lower(), wanted, n=1, cutoff=0.88)), None)
