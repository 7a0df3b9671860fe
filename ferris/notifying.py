"""Rules that tell people: what they tell of, which targets are possible, and what a message says.

What happens within a rule's quiet period is told in one message at its end, so that a storm of failures sends one
message and not a thousand.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from ferris.errors import FerrisError
from ferris.promises import OVERDUE_EVENT
from ferris.pushing import DISABLED_TYPE

FAILURES: Final = "failures"
ENVIRONMENT: Final = "environment"
FLOW_OVERDUE: Final = "flow_overdue"
SUBSCRIPTION_DISABLED: Final = "subscription_disabled"
SCHEMA_BROKEN: Final = "event_type_changed"
KINDS: Final = (
    (FAILURES, "A service failed, so many times in a row or within a time"),
    (ENVIRONMENT, "The packages of a service could not be installed"),
    (FLOW_OVERDUE, "A flow is overdue: a promise was not kept in time"),
    (SUBSCRIPTION_DISABLED, "A subscription was switched off"),
    (SCHEMA_BROKEN, "Data broke the known schema of an event type"),
)
OF_EVENTS: Final = {
    OVERDUE_EVENT: FLOW_OVERDUE,
    DISABLED_TYPE: SUBSCRIPTION_DISABLED,
    "ferris.event_type.changed": SCHEMA_BROKEN,
}
"""Kinds that an event of that type is told by."""

RETRIES: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
MOST_TARGETS: Final = 10
MOST_LINES: Final = 10
MAX_URL: Final = 2000

_SCHEMA: Final = re.compile(r"([A-Za-z0-9]{1,20})://\S+")
SCHEMAS: Final = frozenset(
    {
        # Services that have one address for everybody.
        *("discord", "slack", "tgram", "workflow", "workflows", "gchat", "webex", "wxteams", "pover", "pbul"),
        *("pagerduty", "opsgenie", "victorops", "splunk", "signl4", "spike", "betterstack", "incidentio"),
        *("ilert", "squadcast", "pagertree", "firehydrant", "mailgun", "sendgrid", "postmark", "sparkpost"),
        *("brevo", "resend", "mailersend", "smtp2go", "twilio", "vonage", "plivo", "sinch", "clicksend"),
        *("prowl", "psafer", "psafers", "simplepush", "zulip", "guilded", "flock", "feishu", "lark", "line"),
        *("dingtalk", "wecombot", "revolt", "twist", "ryver", "threema", "ifttt", "join", "notica", "zoom"),
        # Services whose host the target names.
        *("json", "jsons", "form", "forms", "xml", "xmls", "mailto", "mailtos", "ntfy", "ntfys"),
        *("gotify", "gotifys", "mmost", "mmosts", "rocket", "rockets", "matrix", "matrixs"),
        *("ncloud", "nclouds", "nctalk", "nctalks", "hassio", "hassios", "apprise", "apprises"),
        *("signal", "signals", "bark", "barks", "goalert", "goalerts", "synology", "synologys"),
    }
)
"""Of Apprise's targets those that do nothing but talk to a server: nothing local (desktop, syslog), no broker."""
_READS_FILES: Final = re.compile(
    r"[?&](attach|attachment|keyfile|key_file|cert|pgp|pgpkey|template|path|config)[^=&]*=", re.I
)
_IDS: Final = uuid.UUID("5a0d1c3e-97f4-5b62-8e21-0c6f3b8d4a17")


class RuleError(FerrisError):
    """A setting that cannot be: the field and what was expected; never a target itself."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name} {self.problem}"


def schema_of(url: str) -> str:
    """The kind of target that an Apprise URL names. RuleError."""
    found = _SCHEMA.fullmatch(url) if isinstance(url, str) and len(url) <= MAX_URL else None
    if found is None or not url.isprintable():
        raise RuleError("targets", "holds what is no Apprise URL, such as discord://… or mailto://…")
    schema = found[1].lower()
    if schema not in SCHEMAS:
        raise RuleError(
            "targets", f"holds a target {schema}://, which is not among those allowed (see the docs)"
        )
    if _READS_FILES.search(url):
        raise RuleError("targets", f"holds a {schema}:// with an option that reads a file of this machine")
    return schema


def notice_id(rule: uuid.UUID, cause: object) -> uuid.UUID:
    """One cause is one notice of a rule, whoever finds it and however often."""
    return uuid.uuid5(_IDS, f"{rule}/{cause}")


def event_line(kind: str, data: Any) -> str:
    """What a message says of such an event, in a line."""
    said = data if isinstance(data, dict) else {}

    def text(name: str) -> str:
        return str(said.get(name, ""))[:100]

    if kind == FLOW_OVERDUE:
        return f"{text('promise')}: {text('expected')} did not follow {text('after')} in time ({text('key')})"
    if kind == SUBSCRIPTION_DISABLED:
        return f"The subscription {text('subscription')} was switched off: {text('reason')}"
    return f"Data of {text('event_type') or text('type')} broke its schema"


def message(
    rule: str, project: str, count: int, lines: Sequence[tuple[str, str]], public_url: str
) -> tuple[str, str]:
    """Title and text of a message about so many notices, of which `lines` are the latest with their places."""
    what = lines[0][0] if count == 1 else f"{count} notices"
    title = f"[Ferris] {project}: {what}"
    shown = [f"{text}\n{public_url}{place}" for text, place in lines[:MOST_LINES]]
    rest = count - len(shown)
    if rest > 0:
        shown.append(f"… and {rest} more")
    return title[:200], "\n\n".join([*shown, f"By the rule {rule}: {public_url}/notifications/{rule}/"])
