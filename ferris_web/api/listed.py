"""The filters of long lists as query parameters: the same definitions as the console's filter bars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from ferris_web.api.incoming import OF_LISTS, known_only
from ferris_web.executions.listings import Asked, Listing
from ferris_web.executions.listings.fields import Field, Rows


def asked_of(request: Request, listing: Listing, *also: str) -> Asked:
    """What the query asks of a list; ValidationError names each wrong parameter, and each that is none of the list's,
    nor of pages, nor among `also`."""
    short = {one.short for one in listing.fields}  # as the console's own addresses have them
    known_only(request.query_params.keys() - OF_LISTS - short - {*also}, (one.name for one in listing.fields))
    asked = listing.read(request.query_params, datetime.now(UTC))
    if asked.errors:
        raise ValidationError(dict(asked.errors))
    return asked


def found(request: Request, listing: Listing) -> Rows:
    """The rows that fit, of those that who asks may see."""
    return listing.shown(request.user, asked_of(request, listing))


def filters_of(listing: Listing) -> list[OpenApiParameter]:
    """The parameters for the API's documentation."""
    return [
        OpenApiParameter(one.name, OpenApiTypes.STR, description=_told(one), enum=_enum(one))
        for one in listing.fields
    ]


def _told(one: Field) -> str:
    several = " Several with commas." if one.kind == "choice" and one.many else ""
    known = f" One of {', '.join(value for value, _ in one.options)}." if one.many else ""
    return f"{one.help}{known}{several}"


def _enum(one: Field) -> Sequence[str] | None:
    if one.kind != "choice" or one.many:
        return None
    words = [word for word in one.synonyms if word in ("true", "false")]
    return words or [value for value, _ in one.options]
