"""Lists as files that people save: what a browser is told of them, and what spreadsheets ask for."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain
from typing import Final

from django.http import StreamingHttpResponse
from django.utils import timezone

from ferris_web.executions.listings.export import FORMS

# Excel takes a CSV file without it for one of the machine's old code page. People open these files; programs get
# those of the API, where a mark at the beginning would be part of the first column's name.
_MARK: Final = codecs.BOM_UTF8


def export(pieces: Iterator[bytes], name: str, form: str) -> StreamingHttpResponse:
    """The answer that is written while it is read."""
    whole = chain([_MARK], pieces) if form == "csv" else pieces
    answer = StreamingHttpResponse(whole, content_type=FORMS[form])
    saved_as = f"ferris-{name}-{timezone.now():%Y%m%d-%H%M%S}.{form}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{saved_as}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
