"""Elasticsearch, of Maven's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import install
import probes
from process import Command, StackError

from servers.server import HERE, LOCAL, Server, Site, java_options


class Elasticsearch(Server):
    name, title = "elasticsearch", "Elasticsearch"
    ports = {"ELASTICSEARCH_PORT": 29200, "ELASTICSEARCH_TRANSPORT_PORT": 29300}
    version = "8.17.0"

    def __init__(self) -> None:
        self._home = Path()

    def get(self) -> str:
        self._home = install.made(f"elasticsearch-{self.version}", self._assemble)
        return self.version

    def _assemble(self, part: Path) -> None:
        """The server and its HTTP transport as Maven has them, put in the places that a distribution has."""
        given = HERE / "elasticsearch"
        install.maven(given / "pom-server.xml", part / "lib")
        module = part / "modules/transport-netty4"
        install.maven(given / "pom-transport.xml", module)
        for core in module.glob("elasticsearch-core-*.jar"):
            core.unlink()
        for name in ("plugin-descriptor.properties", "plugin-security.policy"):
            shutil.copy(given / name, module)
        for empty in ("bin", "plugins"):  # the server would make them, and must not write here
            (part / empty).mkdir()
        console = part / "lib/tools/ansi-console"
        console.mkdir(parents=True)
        classes = part / "classes"
        for source, place in (("AnsiConsoleLoader", part / "ansi"), ("WriteServerArgs", classes)):
            install.run(["javac", "-cp", f"{part}/lib/*", "-d", place, given / f"{source}.java"], part)
        install.run(
            ["jar", "--create", "--file", console / "ansi-console.jar", "-C", part / "ansi", "."], part
        )
        shutil.rmtree(part / "ansi")

    def commands(self, site: Site) -> list[Command]:
        for name in ("config", "data", "logs", "tmp"):
            site.who.own(site.data / name)
        settings = {
            "cluster.name": "ferris",
            "node.name": "ferris",
            "discovery.type": "single-node",
            "network.host": LOCAL,
            "http.port": self.port("ELASTICSEARCH_PORT"),
            "transport.port": self.port("ELASTICSEARCH_TRANSPORT_PORT"),
            "action.auto_create_index": "ferris-*,test*",  # the tests use prefixes of their own
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }
        shutil.copy(HERE / "elasticsearch/log4j2.properties", site.data / "config")
        site.who.own(site.data / "config")
        (site.data / "config/log4j2.properties").chmod(0o644)
        told = subprocess.run(
            ["java", *java_options(), "-cp", f"{self._home}/lib/*:{self._home}/classes", "WriteServerArgs",
             self._home, site.data, *(f"{name}={value}" for name, value in settings.items())],
            cwd=site.data, capture_output=True, check=False, **site.who.options(),
        )  # fmt: skip
        if told.returncode:
            raise StackError(f"Elasticsearch's arguments: {told.stderr.decode()[-1000:]}")
        heap = os.environ.get("FERRIS_STACK_ELASTICSEARCH_HEAP", "512m")
        temporary = site.data / "tmp"
        return [
            Command(
                [
                    "java", f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", *java_options(),
                    "-Djava.security.manager=allow",
                    "-Dlog4j2.disable.jmx=true", "-Dio.netty.noUnsafe=true", "-Dio.netty.noKeySetOptimization=true",
                    f"-Des.path.home={self._home}", "-Des.distribution.type=tar", f"-Djava.io.tmpdir={temporary}",
                    "--module-path", self._home / "lib", "--add-modules=jdk.net", "--add-modules=ALL-MODULE-PATH",
                    "-m", "org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch",
                ],
                {"LIBFFI_TMPDIR": str(temporary)},
                site.data,
                # It is told what to do on its standard input, and ends when that ends.
                fifo=site.data / "input",
                first_input=told.stdout,
            )
        ]  # fmt: skip

    def ready(self) -> bool:
        health = probes.get(f"http://{LOCAL}:{self.port()}/_cluster/health")
        return health is not None and (b'"green"' in health or b'"yellow"' in health)

    def settings(self, site: Site) -> dict[str, str]:
        return {"FERRIS_OPS_STORE": f"elasticsearch://{LOCAL}:{self.port()}"}
