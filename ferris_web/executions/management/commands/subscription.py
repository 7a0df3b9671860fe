"""`manage.py subscription add|list|test|pause|resume|rotate|log|redeliver|remove`."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ferris import pushing
from ferris.errors import Conflict, NotFound
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog import selectors, subscriptions
from ferris_web.catalog.models import Subscription
from ferris_web.executions.services import deliveries

_PATIENCE = 45.0


class Command(BaseCommand):
    help = (
        "Subscriptions push events to URLs: add (or change), list, test, pause, resume, rotate, log, remove."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="add|list|test|…")
        add = what.add_parser("add", help="make a subscription, or change one")
        add.add_argument("name", metavar="NAME")
        add.add_argument("event_type", metavar="TYPE", help="a type, prefix.* or *")
        add.add_argument("url", metavar="URL", help="`-` reads it from standard input")
        add.add_argument("--project", help="needed for a new one")
        add.add_argument("--filter", help="JSON, as in a manifest")
        add.add_argument("--cesql", help="an expression instead")
        add.add_argument("--form", choices=[name for name, _ in pushing.FORMS])
        add.add_argument("--header", action="append", metavar="NAME:VALUE", help="several are possible")
        add.add_argument("--description")
        listed = what.add_parser("list", help="list subscriptions and how they fare")
        listed.add_argument("--project", default="")
        add_json(listed)
        for one, text in (
            ("test", "send a sample and wait for what comes of it"),
            ("pause", "hold deliveries back"),
            ("rotate", "make a new secret; the one before signs beside it for a while"),
            ("remove", "forget a subscription"),
        ):
            made = what.add_parser(one, help=text)
            made.add_argument("name", metavar="NAME")
            if one == "rotate":
                made.add_argument("--overlap-hours", type=int, default=subscriptions.OVERLAP_HOURS)
        resume = what.add_parser("resume", help="let it go on")
        resume.add_argument("name", metavar="NAME")
        resume.add_argument("--skip", action="store_true", help="what waits is not sent")
        log = what.add_parser("log", help="the latest deliveries")
        log.add_argument("name", metavar="NAME")
        log.add_argument("--status", choices=deliveries.Delivery.Status.values, default="")
        log.add_argument("--limit", type=int, default=20)
        add_json(log)
        again = what.add_parser("redeliver", help="send again what failed")
        again.add_argument("name", metavar="NAME")
        again.add_argument("--hours", type=float, default=24, help="of the last so many hours (24)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['what']}")(options)
        except (NotFound, Conflict) as error:
            raise CommandError(str(error), returncode=2) from None
        except ValidationError as wrong:
            said = (f"{field}: {' '.join(texts)}" for field, texts in wrong.message_dict.items())
            raise CommandError("\n".join(said), returncode=2) from None

    def _add(self, options: dict[str, Any]) -> None:
        url = sys.stdin.readline().strip() if options["url"] == "-" else options["url"]
        given = {
            name: options[name] for name in ("cesql", "form", "description") if options[name] is not None
        }
        if options["filter"] is not None:
            try:
                given["filter"] = json.loads(options["filter"])
            except ValueError as error:
                raise CommandError(f"--filter is no JSON: {error}", returncode=2) from None
        if options["header"] is not None:
            pairs = (text.partition(":") for text in options["header"])
            given["headers"] = {name.strip(): value.strip() for name, _, value in pairs}
        made = subscriptions.subscription_set(
            options["name"],
            now=timezone.now(),
            project=selectors.project_get(options["project"]) if options["project"] else None,
            actor="manage.py",
            event_type=options["event_type"],
            url=url,
            **given,
        )
        self._show(made.subscription)
        self._tell(made.secret)

    def _list(self, options: dict[str, Any]) -> None:
        names = ("name", "status", "event_type", "receiver", "disabled_reason", "failing_since")
        for one in subscriptions.subscription_list(options["project"]):
            values = {name: getattr(one, name) for name in names}
            printed(self, options, _line(one), {**values, "project": one.project.name})

    def _test(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        made = deliveries.subscription_test(row, now=timezone.now())
        end = time.monotonic() + _PATIENCE
        while made.status in ("pending", "sending"):
            if time.monotonic() > end:
                raise CommandError("nobody sent the sample; does the platform run?")
            time.sleep(0.1)
            made.refresh_from_db()
        attempt = made.log.first()
        took = f" after {attempt.seconds:.3f} s" if attempt else ""
        self.stdout.write(f"{made.status}: {_answer(made)}{took}")
        if attempt and attempt.answer:
            self.stdout.write(attempt.answer)
        if made.status != "delivered":
            raise SystemExit(1)

    def _pause(self, options: dict[str, Any]) -> None:
        self._show(subscriptions.subscription_pause(subscriptions.subscription_get(options["name"])))

    def _resume(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        waiting = deliveries.SKIP if options["skip"] else deliveries.DRAIN
        self._show(deliveries.subscription_resume(row, waiting=waiting, now=timezone.now()))

    def _rotate(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        made = subscriptions.subscription_set(
            row.name, now=timezone.now(), new_secret=True, overlap_hours=options["overlap_hours"]
        )
        self._tell(made.secret)

    def _log(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        for one in deliveries.delivery_list(row, options["status"])[: options["limit"]]:
            line = (
                f"{one.created_at:%Y-%m-%d %H:%M:%S}  {one.status:9}  {one.event_type} {one.event_id}  "
                f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}  {_answer(one)}"
            )
            names = (
                "id",
                "created_at",
                "status",
                "event_type",
                "event_id",
                "attempts",
                "last_status",
                "last_problem",
            )
            printed(self, options, line.rstrip(), {name: getattr(one, name) for name in names})

    def _redeliver(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        now = timezone.now()
        count = deliveries.deliveries_again(row, since=now - timedelta(hours=options["hours"]), now=now)
        self.stdout.write(f"{count} are sent again")

    def _remove(self, options: dict[str, Any]) -> None:
        subscriptions.subscription_remove(subscriptions.subscription_get(options["name"]))
        self.stdout.write(f"The subscription {options['name']} is gone; nothing is sent any more.")

    def _tell(self, secret: str | None) -> None:
        if secret:
            self.stdout.write(f"Its secret, shown this once: {secret}")

    def _show(self, row: Subscription) -> None:
        self.stdout.write(_line(row))


def _line(row: Subscription) -> str:
    why = f" ({row.disabled_reason})" if row.disabled_reason else ""
    return f"{row.name}  {row.status}{why}  {row.event_type} -> {row.receiver}; {row.project.name}"


def _answer(delivery: deliveries.Delivery) -> str:
    return delivery.last_problem or (f"HTTP {delivery.last_status}" if delivery.last_status else "")
