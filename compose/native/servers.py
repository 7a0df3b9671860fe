"""The servers, one class each: where it comes from, how it is set up and started, when it is ready.

Everything binds to 127.0.0.1. What is kept lies in the server's own folder and belongs to the account it
runs as.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import install
import probes
from process import Account, Command, StackError

HERE = Path(__file__).resolve().parent
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Site:
    """What a server is given: its folder, its account, and passwords that stay from start to start."""

    data: Path
    who: Account
    passwords: Mapping[str, str]


class Server(ABC):
    """One server. `ports` are the defaults; FERRIS_STACK_<KEY> overrides each."""

    name: str
    title: str
    ports: Mapping[str, int]
    patience = 90.0  # seconds until it must be ready
    farewell = 20.0  # seconds it may take to end

    def port(self, key: str | None = None) -> int:
        key = key or next(iter(self.ports))
        value = os.environ.get(f"FERRIS_STACK_{key}") or str(self.ports[key])
        if not value.isdecimal() or not 0 < int(value) < 65536:
            raise StackError(f"FERRIS_STACK_{key} is {value!r}: set it to a free port")
        return int(value)

    @abstractmethod
    def get(self) -> str:
        """Have it in the cache; its version."""

    @abstractmethod
    def commands(self, site: Site) -> list[Command]:
        """Set its folder up; the processes to start, the server itself last."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers as it should."""

    @abstractmethod
    def settings(self, site: Site) -> dict[str, str]:
        """The platform's settings that name it."""

    def secrets(self) -> tuple[str, ...]:
        """The names of the passwords it needs."""
        return ()


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


class Kafka(Server):
    name, title = "kafka", "Kafka"
    ports = {"KAFKA_PORT": 29092, "KAFKA_CONTROLLER_PORT": 29093}
    version = "4.3.1"

    def __init__(self) -> None:
        self._home = Path()

    def get(self) -> str:
        pom = HERE / "kafka/pom.xml"
        self._home = install.made(f"kafka-{self.version}", lambda part: install.maven(pom, part / "libs"))
        return self.version

    def commands(self, site: Site) -> list[Command]:
        properties = site.who.write(site.data / "server.properties", self._properties(site))
        java = ["java", "-cp", f"{self._home}/libs/*"]
        if not (site.data / "log/meta.properties").exists():
            cluster = secrets.token_urlsafe(16)  # it may begin with "-"
            done = subprocess.run(
                [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted",
                 f"--cluster-id={cluster}", "-c", properties],
                cwd=site.data, capture_output=True, text=True, check=False, **site.who.options(),
            )  # fmt: skip
            if done.returncode:
                raise StackError(f"Kafka's storage cannot be formatted: {done.stderr.strip()[-1000:]}")
        heap = os.environ.get("FERRIS_STACK_KAFKA_HEAP", "512m")
        return [
            Command(
                [
                    java[0],
                    f"-Xmx{heap}",
                    f"-Xms{heap}",
                    "-XX:+UseSerialGC",
                    *java[1:],
                    "kafka.Kafka",
                    properties,
                ],
                folder=site.data,
            )
        ]

    def _properties(self, site: Site) -> str:
        broker, controller = (f"{LOCAL}:{self.port(key)}" for key in self.ports)
        return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{broker},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={site.data / "log"}
# Topics are made by who knows how many partitions they need.
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
message.max.bytes=4194304
# What was answered is on disk: one broker has no replica that would still know it.
log.flush.interval.messages=1
"""

    def ready(self) -> bool:
        return probes.kafka(self.port())

    def settings(self, site: Site) -> dict[str, str]:
        return {"FERRIS_EVENT_LOG": f"kafka://{LOCAL}:{self.port()}?partitions=4"}


class MinIO(Server):
    name, title = "minio", "MinIO"
    ports = {"MINIO_PORT": 29000, "MINIO_CONSOLE_PORT": 29001}
    version = "v0.0.0-20260212201848-7aac2a2c5b7c"

    def __init__(self) -> None:
        self._home = Path()

    def get(self) -> str:
        module = f"github.com/minio/minio@{self.version}"
        self._home = install.made(f"minio-{self.version}", lambda part: install.go_install(module, part))
        return self.version.split("-")[1]

    def secrets(self) -> tuple[str, ...]:
        return ("minio",)

    def commands(self, site: Site) -> list[Command]:
        address, console = (f"{LOCAL}:{self.port(key)}" for key in self.ports)
        site.who.own(site.data / "objects")
        site.who.own(site.data / "notices")
        return [
            Command(
                [
                    self._home / "minio",
                    "server",
                    "--address",
                    address,
                    "--console-address",
                    console,
                    "objects",
                ],
                {
                    "MINIO_ROOT_USER": "ferris",
                    "MINIO_ROOT_PASSWORD": site.passwords["minio"],
                    "MINIO_UPDATE": "off",
                    # What is uploaded is told on the log. While Kafka is away MinIO keeps it in its queue.
                    "MINIO_NOTIFY_KAFKA_ENABLE_FERRIS": "on",
                    "MINIO_NOTIFY_KAFKA_BROKERS_FERRIS": f"{LOCAL}:{Kafka().port()}",
                    "MINIO_NOTIFY_KAFKA_TOPIC_FERRIS": "ferris.uploads",
                    "MINIO_NOTIFY_KAFKA_QUEUE_DIR_FERRIS": str(site.data / "notices"),
                },
                site.data,
            )
        ]

    def ready(self) -> bool:
        return probes.http(f"http://{LOCAL}:{self.port()}/minio/health/ready")

    def settings(self, site: Site) -> dict[str, str]:
        return {
            "FERRIS_OBJECT_STORE": f"s3://ferris:{site.passwords['minio']}@{LOCAL}:{self.port()}"
            "?secure=0&notify=arn:minio:sqs::FERRIS:kafka"
        }


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
            ["java", "-cp", f"{self._home}/lib/*:{self._home}/classes", "WriteServerArgs", self._home, site.data,
             *(f"{name}={value}" for name, value in settings.items())],
            cwd=site.data, capture_output=True, check=False, **site.who.options(),
        )  # fmt: skip
        if told.returncode:
            raise StackError(f"Elasticsearch's arguments: {told.stderr.decode()[-1000:]}")
        heap = os.environ.get("FERRIS_STACK_ELASTICSEARCH_HEAP", "512m")
        temporary = site.data / "tmp"
        return [
            Command(
                [
                    "java", f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", "-Djava.security.manager=allow",
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


ALL: tuple[type[Server], ...] = (PostgreSQL, RabbitMQ, Kafka, MinIO, Consul, Elasticsearch)
