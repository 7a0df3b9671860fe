"""Consul, built from its Go module."""

from __future__ import annotations

from pathlib import Path

import install
import probes
from process import Command

from servers.server import LOCAL, Server, Site


class Consul(Server):
    name, title = "consul", "Consul"
    ports = {"CONSUL_PORT": 28500, "CONSUL_SERVER_PORT": 28300, "CONSUL_LAN_PORT": 28301}
    version = "1.14.11"
    _API = "github.com/hashicorp/consul"

    def __init__(self) -> None:
        self._home = Path()

    def get(self) -> str:
        drop = [f"{self._API}/{part}" for part in ("api", "sdk", "proto-public")]
        self._home = install.made(
            f"consul-{self.version}",
            lambda part: install.go_build(f"{self._API}@v{self.version}", "consul", drop, part),
        )
        return self.version

    def commands(self, site: Site) -> list[Command]:
        return [
            Command(
                [
                    self._home / "consul", "agent", "-server", "-bootstrap-expect=1", "-ui", "-log-level=warn",
                    "-node=ferris", f"-data-dir={site.data / 'store'}", f"-client={LOCAL}", f"-bind={LOCAL}",
                    f"-http-port={self.port('CONSUL_PORT')}", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1",
                    f"-server-port={self.port('CONSUL_SERVER_PORT')}",
                    f"-serf-lan-port={self.port('CONSUL_LAN_PORT')}",
                    "-hcl=ports { serf_wan = -1 }", "-hcl=performance { raft_multiplier = 1 }",
                    "-hcl=disable_update_check = true", "-hcl=leave_on_terminate = false",
                ],
                folder=site.data,
            )
        ]  # fmt: skip

    def ready(self) -> bool:
        leader = probes.get(f"http://{LOCAL}:{self.port()}/v1/status/leader")
        return leader is not None and len(leader.strip().strip(b'"')) > 0

    def settings(self, site: Site) -> dict[str, str]:
        return {"FERRIS_CONFIG_STORE": f"consul://{LOCAL}:{self.port()}"}
