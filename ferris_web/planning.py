"""What a query says so that SQLite, which has no statistics, reads it along the right index. The rows are the same."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import Case, Q, QuerySet, When
from django.db.models.lookups import Exact


def first_said(rows: QuerySet[Any], condition: Q) -> QuerySet[Any]:
    """Those that fit a condition, which stands before all others: of two bounds on one column SQLite walks from the one
    that is said first, whichever is nearer."""
    before = len(rows.query.where.children)
    found = rows.filter(condition)
    where = found.query.where
    where.children = where.children[before:] + where.children[:before]
    return found


def looked_at(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The same rows, each looked at for what was asked for so far: by no index, since what is asked for next has one
    that finds fewer. PostgreSQL, which knows that, is left alone."""
    found = rows.all()
    where = found.query.where
    if where.children and connections[found.db].vendor == "sqlite":
        fits = Exact(Case(When(where.clone(), then=1)), 1)
        where.children, where.connector, where.negated = [fits], where.default, False
    return found
