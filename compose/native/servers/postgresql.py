"""PostgreSQL, of Debian's packages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import install
import probes
from process import Command, StackError

from servers.server import LOCAL, Server, Site


class PostgreSQL(Server):
    name, title = "postgresql", "PostgreSQL"
    ports = {"POSTGRESQL_PORT": 25432}

    def __init__(self) -> None:
        self._bin = Path()

    def get(self) -> str:
        installed = sorted(Path("/usr/lib/postgresql").glob("1[5-9]/bin"))
        if installed:
            self._bin = installed[0]
        else:
            key = "postgresql-" + install.debian_version("postgresql-15")
            root = install.made(key, lambda part: install.debian(["postgresql-15"], part))
            self._bin = root / "usr/lib/postgresql/15/bin"
        told = subprocess.run(
            [self._bin / "postgres", "--version"], capture_output=True, text=True, check=False
        )
        if told.returncode:
            raise StackError(
                f"PostgreSQL does not run ({told.stderr.strip()}): apt-get install postgresql-15"
            )
        return told.stdout.split()[2]

    def secrets(self) -> tuple[str, ...]:
        return ("postgresql", "postgresql_admin")

    def commands(self, site: Site) -> list[Command]:
        cluster = site.data / "cluster"
        if not (cluster / "PG_VERSION").exists():
            self._initialise(site, cluster)
        own = {
            "listen_addresses": LOCAL,
            "port": str(self.port()),
            "unix_socket_directories": str(site.data),
            "max_connections": "200",
            "shared_buffers": "64MB",
        }
        site.who.write(
            cluster / "postgresql.auto.conf", "".join(f"{key} = '{own[key]}'\n" for key in sorted(own))
        )
        return [Command([self._bin / "postgres", "-D", cluster], folder=site.data, stop=signal.SIGINT)]

    def _initialise(self, site: Site, cluster: Path) -> None:
        shutil.rmtree(cluster, ignore_errors=True)
        password = site.who.write(site.data / "password", site.passwords["postgresql_admin"])
        part = site.who.own(site.data / "cluster.part")
        shutil.rmtree(part)
        self._tool(
            site, "initdb", "-D", part, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}",
            "--encoding=UTF8", "--locale=C.UTF-8",
        )  # fmt: skip
        password.unlink()
        # An account with no more rights than the platform needs; CREATEDB is for the tests' own databases.
        self._tool(
            site, "postgres", "--single", "-D", part, "postgres",
            told=f"CREATE ROLE ferris LOGIN CREATEDB PASSWORD '{site.passwords['postgresql']}'\n"
            "CREATE DATABASE ferris OWNER ferris\n",
        )  # fmt: skip
        part.rename(cluster)

    def _tool(self, site: Site, tool: str, *arguments: object, told: str = "") -> None:
        done = subprocess.run(
            [str(self._bin / tool), *map(str, arguments)],
            input=told, cwd=site.data, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            capture_output=True, text=True, check=False, **site.who.options(),
        )  # fmt: skip
        if done.returncode or "ERROR:" in done.stderr:
            raise StackError(f"{tool} failed: {done.stderr.strip()[-1000:]}")

    def ready(self) -> bool:
        return probes.postgresql(self.port())

    def settings(self, site: Site) -> dict[str, str]:
        password = site.passwords["postgresql"]
        return {"FERRIS_DATABASE": f"postgresql://ferris:{password}@{LOCAL}:{self.port()}/ferris"}
