"""`manage.py ferris`: the whole platform on this machine, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from embedded import engine, home, samples, web
from embedded.supervisor import AlreadyRunning, Supervisor, ask_at, listen
from ferris.adapters import log_lines
from ferris_web import wiring


class Command(BaseCommand):
    help = "Run the platform on this machine: web and engine, nothing else to install. Ends with Ctrl-C or SIGTERM."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--samples",
            action="store_true",
            help="load the sample projects into a new home, fire their pipeline once and print its outcome",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        settings = wiring.config()
        log_lines.speak_as("supervisor")
        try:
            supervisor = Supervisor(settings, self._ready)
            listener = listen(settings)
        except AlreadyRunning as error:
            raise CommandError(str(error)) from None
        password = home.prepare()
        if password:
            self.stdout.write(
                f"Administrator made: user {home.ADMINISTRATOR}, password {password}\n"
                "It is shown this once; `manage.py changepassword admin` sets another.\n"
            )
        self._load_code()
        connections.close_all()
        wiring.reset()
        asked, engine_at = ask_at(settings)
        supervisor.add("web", lambda ready: web.serve(settings, listener, ready, engine_at), last=True)
        supervisor.add("engine", lambda ready: self._engine(listener, asked, ready))
        if options["samples"]:
            supervisor.add("samples", lambda ready: samples.load(settings, self.stdout), once=True)
        self.stdout.write("Starting …\n")
        self.stdout.flush()
        status = supervisor.run()
        Path(engine_at).unlink(missing_ok=True)
        raise SystemExit(status)

    def _engine(self, listener: Any, asked: Any, ready: Any) -> None:
        listener.close()
        engine.run(wiring.config(), ready, asked)

    def _load_code(self) -> None:
        """Import now what the children would each import later: forked, they share it."""
        import tasks.execute  # noqa: F401, I001 - before the next one, which puts aside all that there is

        import ferris_web.asgi

        assert ferris_web.asgi.application

    def _ready(self, seconds: float) -> None:
        settings = wiring.config()
        self.stdout.write(
            f"Ferris is ready at {settings.public_url} after {seconds:.1f} s. Ctrl-C ends it.\n"
        )
        self.stdout.flush()
