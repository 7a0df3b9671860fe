"""Charts that people defined, as a dashboard draws them: with what there is to say of how far they can be trusted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from ferris_web.accounts.permissions import Action, access_of, may_change
from ferris_web.catalog.models import Project
from ferris_web.console import presentation
from ferris_web.console.plots import Plot, plot
from ferris_web.executions.charted import Charted, charted
from ferris_web.executions.figures import Period
from ferris_web.executions.models import Chart
from ferris_web.executions.services import charts


def section(user: Any, project: Project | None, period: Period, now: datetime) -> dict[str, Any]:
    """The charts of a dashboard, and whether this person may change them. Those of the platform are for members
    everywhere."""
    key = project and project.pk
    if not access_of(user).may(Action.VIEW, key):
        return {}
    rows = list(charts.chart_list(project))
    changes = may_change(user, key)
    return {
        "charts": [_with_link(card(one, now), one.row, changes) for one in charted(rows, period, now)],
        "charts_managed": changes,
    }


def card(found: Charted, now: datetime) -> Plot:
    """One chart, drawn."""
    row = found.row
    made = plot(found.drawn, f"chart-{row.pk}")
    return replace(
        made,
        wide=row.width == Chart.Width.FULL,
        description=row.description,
        problem=_problem(found, now),
        note=_note(found, now),
        nothing=_nothing(found),
    )


def _with_link(made: Plot, row: Chart, changes: bool) -> Plot:
    return replace(made, href=reverse("console:chart", args=[row.pk])) if changes else made


def _problem(found: Charted, now: datetime) -> str:
    if not found.problem:
        return ""
    if found.failing_since is None:
        return found.problem
    return _("Could not be fetched since %(since)s, because: %(problem)s.") % {
        "since": presentation.absolute(found.failing_since),
        "problem": found.problem,
    }


def _note(found: Charted, now: datetime) -> str:
    said = []
    if found.filled is not None:
        said.append(_("The past is being counted: %(part)d %%.") % {"part": int(100 * found.filled)})
    if found.left_out:
        said.append(
            _("%(count)s events are left out: they have no number at %(path)s.")
            % {"count": number_format(found.left_out), "path": found.row.value_path}
        )
    if found.of is not None:
        said.append(_("From %(age)s.") % {"age": presentation.relative(found.of, now)})
    if found.row.period:
        said.append(_("The last %(period)s.") % {"period": found.period.label})
    return " ".join(said)


def _nothing(found: Charted) -> str:
    if not found.pending:
        return ""
    if found.row.source == Chart.Source.URL:
        return _("No answer has come yet.")
    return _("%(service)s has not completed an execution that left %(artifact)s: run it once.") % {
        "service": found.row.service,
        "artifact": found.row.artifact,
    }
