"""What leads where: what a rule tells of, the rule, and each place that it tells, drawn as the system map is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.utils.translation import gettext

from ferris import notifying
from ferris_web.catalog.models import NotificationRule
from ferris_web.console import systemmap
from ferris_web.console.sentences import said

MOST: Final = 60  # rules that are drawn
WHAT, RULE, TARGET = "what", "rule", "target"


def layout(rules: Iterable[NotificationRule]) -> systemmap.Map:
    """Lay out rules, with their projects. What is switched off is drawn as a bond that nothing came through."""
    bonds = []
    for rule in list(rules)[:MOST]:
        state = "both" if rule.active else "declared"
        off = "" if rule.active else f" ({gettext('switched off')})"
        what = tells_of(rule)
        bonds.append(((WHAT, what), (RULE, rule.name), state, f"{what} → {rule.name}{off}"))
        for target in rule.targets:
            shown = target["shown"]
            bonds.append(((RULE, rule.name), (TARGET, shown), state, f"{rule.name} → {shown}{off}"))
    return systemmap.drawn_of(bonds)


def tells_of(rule: NotificationRule) -> str:
    """What happens, and to whom, in few words."""
    what = {
        notifying.FAILURES: gettext("Failures"),
        notifying.ENVIRONMENT: gettext("Packages not installed"),
        notifying.FLOW_OVERDUE: gettext("Overdue flows"),
        notifying.SUBSCRIPTION_DISABLED: gettext("Subscriptions switched off"),
        notifying.SCHEMA_BROKEN: gettext("Broken schemas"),
    }.get(rule.kind) or said(rule.get_kind_display())
    return f"{what}: {rule.service or rule.project.name}"
