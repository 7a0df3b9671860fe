"""RabbitMQ, of Debian's packages."""

from __future__ import annotations

import os
from pathlib import Path

import install
import probes
from process import Command

from servers.server import LOCAL, Server, Site


class RabbitMQ(Server):
    name, title = "rabbitmq", "RabbitMQ"
    ports = {
        "RABBITMQ_PORT": 25670,
        "RABBITMQ_MANAGEMENT_PORT": 25671,
        "RABBITMQ_NODE_PORT": 25669,
        "RABBITMQ_EPMD_PORT": 24369,
    }
    _PACKAGES = (
        "rabbitmq-server", "erlang-base", "erlang-asn1", "erlang-crypto", "erlang-eldap", "erlang-ftp",
        "erlang-inets", "erlang-mnesia", "erlang-os-mon", "erlang-parsetools", "erlang-public-key",
        "erlang-runtime-tools", "erlang-snmp", "erlang-ssl", "erlang-syntax-tools", "erlang-tftp",
        "erlang-tools", "erlang-xmerl",
    )  # fmt: skip

    def __init__(self) -> None:
        self._root = Path()

    def get(self) -> str:
        version = install.debian_version("rabbitmq-server")
        self._root = install.made(f"rabbitmq-{version}", self._unpack)
        return version.partition("-")[0]

    def _unpack(self, part: Path) -> None:
        install.debian(self._PACKAGES, part)
        # Erlang's start script names the place it was packaged for; here it lies in the cache.
        final = part.with_name(part.name.removesuffix(".part")) / "usr/lib/erlang"
        for script in part.glob("usr/lib/erlang/**/bin/erl"):
            text = script.read_text().replace("ROOTDIR=/usr/lib/erlang", f"ROOTDIR={final}")
            script.write_text(text)

    def secrets(self) -> tuple[str, ...]:
        return ("rabbitmq",)

    def commands(self, site: Site) -> list[Command]:
        erlang = self._root / "usr/lib/erlang"
        (sbin,) = self._root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin")
        (epmd,) = erlang.glob("erts-*/bin/epmd")
        site.who.write(
            site.data / "rabbitmq.conf",
            f"listeners.tcp.default = {LOCAL}:{self.port()}\n"
            f"management.tcp.ip = {LOCAL}\n"
            f"management.tcp.port = {self.port('RABBITMQ_MANAGEMENT_PORT')}\n"
            "default_user = ferris\n"
            f"default_pass = {site.passwords['rabbitmq']}\n"
            "log.console = true\nlog.console.level = info\nlog.file = false\n"
            # A script may run for days before its message is acknowledged; before version 3.12 a queue's
            # own x-consumer-timeout is not heard.
            "consumer_timeout = 604800000\n"
            "disk_free_limit.absolute = 200MB\n",
        )
        site.who.write(site.data / "enabled_plugins", "[rabbitmq_management].\n")
        env = {
            "PATH": f"{erlang / 'bin'}:{os.environ['PATH']}",
            "ERL_EPMD_PORT": str(self.port("RABBITMQ_EPMD_PORT")),
            "ERL_EPMD_ADDRESS": LOCAL,
            "RABBITMQ_NODENAME": "ferris@localhost",
            "RABBITMQ_DIST_PORT": str(self.port("RABBITMQ_NODE_PORT")),
            "RABBITMQ_MNESIA_BASE": str(site.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(site.data),
            "RABBITMQ_CONFIG_FILE": str(site.data / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(site.data / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the server instead of its parent
        }
        return [
            # Started here, so that it is ended here: Erlang would leave one of its own behind.
            Command([epmd], env, site.data),
            Command([sbin / "rabbitmq-server"], env, site.data),
        ]

    def ready(self) -> bool:
        management = f"http://{LOCAL}:{self.port('RABBITMQ_MANAGEMENT_PORT')}/"
        return probes.amqp(self.port()) and probes.http(management)

    def settings(self, site: Site) -> dict[str, str]:
        user = f"ferris:{site.passwords['rabbitmq']}"
        return {
            "FERRIS_BROKER": f"amqp://{user}@{LOCAL}:{self.port()}//",
            "FERRIS_BROKER_API": f"http://{user}@{LOCAL}:{self.port('RABBITMQ_MANAGEMENT_PORT')}/api/",
        }
