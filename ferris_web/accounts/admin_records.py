"""What the administration pages of all apps share: records that are only looked at, and links between records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import IntegrityError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


class RecordAdmin(admin.ModelAdmin):
    """Rows that the platform writes: found, read, followed to others; never added, changed or deleted by hand."""

    show_full_result_count = False  # one more count of everything, for a number nobody needs
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """No."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """No: executions, events and versions refer to one another."""
        return False


class OnceAdmin(admin.ModelAdmin):
    """Rows that people make, each there once. Of two who make one at the same moment, the form of one says so."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form. Another's row that came after this one's look is there at the second look."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError:
            return super().changeform_view(request, *args, **kwargs)


def record_link(record: Model | None) -> SafeString | str:
    """A link to a record's own page of the administration."""
    if record is None:
        return "-"
    meta = record._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[quote(record.pk)])
    return format_html('<a href="{}">{}</a>', url, str(record))


def linked(name: str, description: str = "") -> Callable[[Any, Model], SafeString | str]:
    """A column that links to the record behind a foreign key."""

    @admin.display(description=description or name.replace("_", " "), ordering=name)
    def column(self: Any, row: Model) -> SafeString | str:
        return record_link(getattr(row, name))

    return column


def list_link(text: str, url_name: str, **filters: object) -> SafeString:
    """A link to a filtered list of other records."""
    return format_html('<a href="{}?{}">{}</a>', reverse(url_name), urlencode(filters), text)


def json_text(name: str, description: str = "") -> Callable[[Any, Model], SafeString]:
    """A JSON field as indented text."""

    @admin.display(description=description or name.replace("_", " "))
    def field(self: Any, row: Model) -> SafeString:
        text = json.dumps(getattr(row, name), indent=2, ensure_ascii=False, default=str)
        return format_html("<pre>{}</pre>", text[:100_000])

    return field
