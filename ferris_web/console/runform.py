"""The form that a service's parameters.json describes: its fields with values, and what was submitted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.text import get_valid_filename
from django.utils.translation import gettext

from ferris.parameters import Parameter, parse_parameters
from ferris_web.console.filters import Choice
from ferris_web.executions.services.uploads import file_upload

UPLOADS = "uploads"  # the bucket of files whose field names none
_INPUTS = {"int": "number", "float": "number", "file": "file", "radio": "radio", "multiselect": "checkbox"}


@dataclass(frozen=True)
class Field:
    """One field as the page draws it. Ids are numbered: a parameter's name may hold anything."""

    id: str
    kind: str
    input: str
    name: str
    label: str
    description: str
    required: bool
    placeholder: str
    value: str
    min: str | None
    max: str | None
    step: str | None
    choices: list[Choice]
    bucket: str | None
    errors: list[str] = field(default_factory=list)
    kept: str = ""

    @property
    def grouped(self) -> bool:
        """True for kinds that are several inputs under one legend."""
        return self.kind in ("radio", "multiselect")


def parameters_of(documents: Sequence[Mapping[str, Any]]) -> list[Parameter]:
    """A version's parameters from their stored form."""
    return [Parameter.from_json(document) for document in documents]


def fields(
    parameters: Sequence[Parameter], values: Mapping[str, Any] | None, errors: Mapping[str, list[str]]
) -> list[Field]:
    """The form with these values (None: the defaults) and errors."""
    return [
        _field(n, p, p.default if values is None else values.get(p.name), errors.get(p.name, []))
        for n, p in enumerate(parameters)
    ]


def _field(number: int, parameter: Parameter, value: Any, errors: list[str]) -> Field:
    chosen = (
        {str(item) for item in value}
        if isinstance(value, (list, tuple))
        else {"" if value is None else str(value)}
    )
    kept = ""
    if parameter.type == "file" and isinstance(value, Mapping):
        kept = gettext("Uploaded: {key}.").format(key=value.get("key", ""))
    return Field(
        id=f"p-{number}",
        kind=parameter.type,
        input=_INPUTS.get(parameter.type, "text"),
        name=parameter.name,
        label=parameter.label,
        description=parameter.description,
        required=parameter.required,
        placeholder=parameter.placeholder,
        value="" if value is None or isinstance(value, (list, dict)) else str(value),
        min=_number(parameter.min),
        max=_number(parameter.max),
        step=_number(parameter.step) or ("any" if parameter.type == "float" else None),
        choices=[Choice(str(c.value), c.title, str(c.value) in chosen) for c in parameter.choices],
        bucket=(parameter.bucket or UPLOADS) if parameter.type == "file" else None,
        errors=errors,
        kept=kept,
    )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.15g}"


@dataclass(frozen=True)
class Submitted:
    """What came in: `values` as a script gets them, or the errors by field; `entered` is what to show again."""

    values: dict[str, Any]
    entered: dict[str, Any]
    errors: dict[str, list[str]]


def submitted(
    parameters: Sequence[Parameter], post: QueryDict, files: MultiValueDict[str, UploadedFile]
) -> Submitted:
    """Read the form. Files are stored only when everything else is right: their field gets bucket and key."""
    entered: dict[str, Any] = {}
    uploads: dict[str, tuple[Parameter, UploadedFile]] = {}
    for number, parameter in enumerate(parameters):
        name = f"p-{number}"
        if parameter.type == "file":
            if (upload := files.get(name)) is not None:
                uploads[parameter.name] = (parameter, upload)
                # A place for it, so that it counts as given while the others are checked.
                entered[parameter.name] = {"bucket": parameter.bucket or UPLOADS, "key": "upload"}
        elif parameter.type == "multiselect":
            entered[parameter.name] = post.getlist(name)
        else:
            entered[parameter.name] = post.get(name, "")
    values, messages = parse_parameters(parameters, entered)
    errors: dict[str, list[str]] = {}
    missing_files = {p.name for p in parameters if p.type == "file" and p.name not in uploads}
    for message in messages:
        if message.level == "error":
            text = (
                gettext("Choose a file.")
                if message.key in missing_files
                else gettext("This value {text}.").format(text=message.text)
            )
            errors.setdefault(message.key, []).append(text)
    if not errors:
        for name, (parameter, upload) in uploads.items():
            values[name] = _stored(parameter, upload)
    shown = {name: value for name, value in entered.items() if name not in uploads}
    return Submitted(values, shown, errors)


def _stored(parameter: Parameter, upload: UploadedFile) -> dict[str, str]:
    bucket = parameter.bucket or UPLOADS
    # The name is the person's, the folder is not guessable: no upload replaces another.
    key = f"{secrets.token_hex(8)}/{_safe(upload.name or '')}"
    file_upload(bucket, key, upload.file, now=timezone.now())
    return {"bucket": bucket, "key": key}


def _safe(name: str) -> str:
    cleaned = get_valid_filename(name.rsplit("/", 1)[-1].rsplit("\\", 1)[-1] or "file")
    return cleaned.encode()[-150:].decode(errors="ignore").lstrip(".") or "file"


def submitted_json(text: str) -> tuple[dict[str, Any], str]:
    """The data of a service without a form: (object, "") or ({}, what is wrong)."""
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        return {}, gettext("This is no JSON: {error}").format(error=error)
    if not isinstance(found, dict):
        return {}, gettext('Expected an object, such as {"name": "world"}')
    values, messages = parse_parameters((), found)
    wrong = [f"{message.key} {message.text}" for message in messages if message.level == "error"]
    return values, "; ".join(wrong)
