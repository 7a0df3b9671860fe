"""Pages of what belongs to no project, for those who may change it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from ferris_web.accounts.permissions import may_manage

View = Callable[..., HttpResponse]


def managers(model: type[Model]) -> Callable[[View], View]:
    """Only for who may manage this model; others get a 403."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not may_manage(request.user, model):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return guard
