"""What runs by the clock."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ferris.errors import Conflict
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.services import schedule_remove, schedule_switch
from ferris_web.console import filters
from ferris_web.console.views.services import next_times
from ferris_web.executions.visibility import scoped

STATES = (("", _("active and ended")), ("active", _("active")), ("ended", _("ended or off")))


def schedule_list(request: HttpRequest) -> HttpResponse:
    """Every schedule with its next times."""
    state = filters.chosen(request.GET, "state", STATES)
    found = catalog.schedule_list(active={"active": True, "ended": False}.get(state))
    q = filters.text(request.GET, "q", 200)
    if q:
        found = found.filter(service__name__icontains=q)
    page = Paginator(scoped(found, request.user), 50).get_page(request.GET.get("page"))
    now = timezone.now()
    context = {
        "page": page,
        "rows": [(schedule, next_times(schedule, now, 3) if schedule.active else []) for schedule in page],
        "q": q,
        "states": filters.choices(request.GET, "state", STATES),
        "filtered": bool(q or state),
    }
    return render(request, "console/schedules.html", context)


@require_POST
def switch(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Pause a schedule, let it go on, or delete it."""
    row, what, now = catalog.schedule_get(pk), request.POST.get("what"), timezone.now()
    try:
        if what == "remove":
            schedule_remove(row)
            messages.success(
                request, gettext("The schedule of {name} was deleted.").format(name=row.service.name)
            )
        elif what == "pause" and row.active:
            schedule_switch(row, False, now=now)
            messages.success(
                request, gettext("Paused. What is missed meanwhile can be made up for from its missed runs.")
            )
        elif what == "resume" and not row.active:
            schedule_switch(row, True, now=now)
            messages.success(request, gettext("It goes on from now."))
    except Conflict as error:
        messages.warning(request, f"{error}.")
    return redirect("console:schedules")
