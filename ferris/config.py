"""The platform's settings: read from the environment once, checked at start, frozen.

Nothing else in the platform reads environment variables (scripts' own variables excepted).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ferris.encryption_keys import Stamp
from ferris.identity import Provider
from ferris.isolation import BASIC, Ceiling, ResourceLimits
from ferris.key_files import KeyFiles
from ferris.public_addresses import Network
from ferris.running import running
from ferris.variables import Variables

ROOT = Path(__file__).resolve().parent.parent

EVENTS = "ferris.events"
LIFECYCLE = "ferris.hpsm"
LOGS = "ferris.logs"
METRICS = "ferris.metrics"
NOTIFICATIONS = "ferris.notifications"
DEAD_LETTER = "ferris.dead-letter"
CONTROL = "ferris.control"  # wakes the scheduler: plans changed
CHANGES = "ferris.changes"  # which executions changed, which events came: what screens and streams follow
UPLOADS = "ferris.uploads"  # what an S3 store tells by itself
TOPICS = (EVENTS, LIFECYCLE, LOGS, METRICS, NOTIFICATIONS, DEAD_LETTER, CONTROL, CHANGES, UPLOADS)

PACKAGES_BUCKET = "packages"
PLATFORM_BUCKETS = frozenset({PACKAGES_BUCKET, "ferris-artifacts", "ferris-logs"})  # closed to scripts

DEFAULT_LIMITS = ResourceLimits(memory=2 << 30, cpu=0, files=1024, processes=256, file_size=4 << 30)
NO_CEILING = Ceiling()


@dataclass(frozen=True)
class Settings:
    """Every setting of one process. Times are seconds, sizes are bytes."""

    home: Path
    host: str
    port: int
    debug: bool
    public_url: str
    allowed_hosts: tuple[str, ...]
    database_url: str
    event_log_url: str
    broker_url: str
    object_store_url: str
    config_store_url: str
    ops_store_url: str
    secret_key: str = field(repr=False)
    secret_keys: tuple[str, ...] = field(repr=False)
    executor_token: str = field(repr=False)
    keys_stamp: Stamp | None = (
        None  # of the file that the encryption keys are from; None: they are not from it
    )
    control_url: str = ""
    worker_concurrency: int = 8
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 1.0
    cancel_grace_seconds: float = 0.7
    stop_grace_seconds: float = 5.0
    hop_limit: int = 100
    slow_after_seconds: float = 300.0
    lane_limit: int = 250
    default_timeout_seconds: float = 3600.0
    one_processor: bool = True  # the embedded engine's threads keep to one
    runner: str = "warm"  # scripts are forks of a warm interpreter; or "cold": a fresh interpreter for each
    isolation: str = BASIC
    limits: ResourceLimits = DEFAULT_LIMITS
    ceiling: Ceiling = NO_CEILING
    script_reads: tuple[str, ...] = ()
    script_writes: tuple[str, ...] = ()
    script_uids: tuple[int, int] = (61_000, 61_999)
    log_limit_bytes: int = 10 * 1024 * 1024
    log_archive: bool = False  # the whole output of what passes the limit goes to the object store
    artifact_limit_bytes: int = 1024 * 1024 * 1024
    artifact_limit_count: int = 200
    snapshot_limit_bytes: int = 256 * 1024 * 1024
    environments_limit_bytes: int = 5 * 1024**3
    retention_days: int = 30
    journal_days: int = 30
    history_days: int = 90
    log_level: str = "INFO"
    log_format: str = "TEXT"
    default_role: str = ""  # of new people, in every project; empty: none until somebody gives one
    admin_password: str = field(default="", repr=False)
    broker_api_url: str = field(default="", repr=False)
    flower_port: int = 5555
    flower_password: str = field(default="", repr=False)
    flower_url: str = ""
    kibana_url: str = ""
    grafana_url: str = ""
    upload_limit: int = 100 << 20  # bytes of one file that is uploaded into a bucket in the console
    upload_types: tuple[str, ...] = ()  # empty: every type
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    api_rate: int = (
        30_000  # requests a minute of each caller of the REST API, to all web processes; 0: no limit
    )
    stream_limit: int = 50  # streams that one person may have open at once, in one web process
    git_hosts: tuple[
        str, ...
    ] = ()  # that repositories may be fetched from; none: all but this machine itself
    source_folders: tuple[str, ...] = ()  # that people who are no administrators may make repositories of
    repository_limit_bytes: int = 1 << 30
    allow_private: tuple[
        Network, ...
    ] = ()  # beside public addresses, where users may make the platform send to
    proxies: tuple[Network, ...] = ()  # whose X-Forwarded-For says where a request comes from
    mfa_required: str = "none"  # or "administrators", or "all": who must have a second factor
    providers: tuple[Provider, ...] = ()  # who sign people in beside the platform itself

    @property
    def embedded(self) -> bool:
        """True when the doorbells stay inside one process, so that web and engine are all there is."""
        return self.broker_url.startswith("memory:")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read and check every setting; ConfigError names the first wrong one and its remedy.

        Creates the home folder and its keys when they are missing.
        """
        read = Variables(environ)
        home = Path(read.text("FERRIS_HOME", str(ROOT / "var"))).expanduser().resolve()
        keys = KeyFiles(home)
        secret_keys, stamp = keys.encryption(environ.get("FERRIS_ENCRYPTION_KEYS", ""))
        # Commands that are told nothing else find the platform that runs with this home.
        at = running(home)
        host = read.text("FERRIS_HOST", at.host if at and at.port else "127.0.0.1")
        port = read.whole("FERRIS_PORT", (at and at.port) or 8000, low=1, high=65535)
        ceiling = read.ceiling()
        broker = read.text("FERRIS_BROKER", "memory://")
        local = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound
        return cls(
            home=home,
            host=host,
            port=port,
            debug=read.flag("FERRIS_DEBUG", False),
            public_url=read.text("FERRIS_PUBLIC_URL", f"http://{local}:{port}").rstrip("/"),
            allowed_hosts=tuple(
                read.text("FERRIS_ALLOWED_HOSTS", f"127.0.0.1,localhost,[::1],{local}").split(",")
            ),
            database_url=read.text("FERRIS_DATABASE", f"sqlite:///{home}/ferris.db"),
            event_log_url=read.text("FERRIS_EVENT_LOG", f"sqlite:///{home}/log/log.db"),
            broker_url=broker,
            object_store_url=read.text("FERRIS_OBJECT_STORE", f"file://{home}/objects"),
            config_store_url=read.text("FERRIS_CONFIG_STORE", "database:"),
            ops_store_url=read.text("FERRIS_OPS_STORE", f"sqlite:///{home}/ops.db"),
            secret_key=environ.get("FERRIS_SECRET_KEY") or keys.lines("session.key", _token)[0],
            secret_keys=secret_keys,
            keys_stamp=stamp,
            executor_token=environ.get("FERRIS_EXECUTOR_TOKEN") or keys.lines("executor.token", _token)[0],
            control_url=read.text("FERRIS_CONTROL_URL", f"http://{local}:{port}/control").rstrip("/"),
            worker_concurrency=read.whole(
                "FERRIS_CONCURRENCY", max(16, 4 * (os.cpu_count() or 2)), low=1, high=1000
            ),
            lease_seconds=read.seconds("FERRIS_LEASE", 30.0, low=2.0),
            heartbeat_seconds=read.seconds("FERRIS_HEARTBEAT", 1.0, low=0.1),
            cancel_grace_seconds=read.seconds("FERRIS_CANCEL_GRACE", 0.7, low=0.0),
            stop_grace_seconds=read.seconds(
                "FERRIS_STOP_GRACE", 5.0 if broker.startswith("memory:") else 60.0, low=0.0
            ),
            hop_limit=read.whole("FERRIS_HOP_LIMIT", 100, low=1, high=100_000),
            slow_after_seconds=read.seconds("FERRIS_SLOW_AFTER", 300.0, low=0.1),
            lane_limit=read.whole("FERRIS_LANE_LIMIT", 250, low=10, high=10_000),
            default_timeout_seconds=ceiling.seconds(read.seconds("FERRIS_TIMEOUT", 3600.0, low=0.1)),
            one_processor=read.flag("FERRIS_ONE_PROCESSOR", True),
            runner=read.choice("FERRIS_RUNNER", "WARM", ("WARM", "COLD")).lower(),
            isolation=read.choice("FERRIS_ISOLATION", "BASIC", ("OFF", "BASIC", "BEST")).lower(),
            limits=ResourceLimits(
                memory=read.size("FERRIS_LIMIT_MEMORY", DEFAULT_LIMITS.memory),
                cpu=read.seconds("FERRIS_LIMIT_CPU", DEFAULT_LIMITS.cpu or 0.0, low=0.0),
                files=read.whole("FERRIS_LIMIT_FILES", DEFAULT_LIMITS.files or 0, low=0, high=1_000_000),
                processes=read.whole(
                    "FERRIS_LIMIT_PROCESSES", DEFAULT_LIMITS.processes or 0, low=0, high=1_000_000
                ),
                file_size=read.size("FERRIS_LIMIT_FILE_SIZE", DEFAULT_LIMITS.file_size),
            ).within(ceiling.limits),
            ceiling=ceiling,
            script_reads=read.paths("FERRIS_SCRIPT_READS"),
            script_writes=read.paths("FERRIS_SCRIPT_WRITES"),
            script_uids=read.span("FERRIS_SCRIPT_UIDS", (61_000, 61_999)),
            log_limit_bytes=read.whole("FERRIS_LOG_LIMIT", 10 * 1024 * 1024, low=1024, high=2**40),
            log_archive=read.flag("FERRIS_LOG_ARCHIVE", False),
            artifact_limit_bytes=read.whole("FERRIS_ARTIFACT_LIMIT", 1024 * 1024 * 1024, low=0, high=2**40),
            artifact_limit_count=read.whole("FERRIS_ARTIFACT_COUNT", 200, low=0, high=1000),
            snapshot_limit_bytes=read.whole("FERRIS_SNAPSHOT_LIMIT", 256 * 1024 * 1024, low=0, high=2**30),
            environments_limit_bytes=read.whole(
                "FERRIS_ENVIRONMENTS_LIMIT", 5 * 1024**3, low=2**20, high=2**50
            ),
            retention_days=read.whole("FERRIS_RETENTION_DAYS", 30, low=1, high=36500),
            journal_days=read.whole(
                "FERRIS_JOURNAL_DAYS",
                read.whole("FERRIS_RETENTION_DAYS", 30, low=1, high=36500),
                low=1,
                high=36500,
            ),
            history_days=read.whole("FERRIS_HISTORY_DAYS", 90, low=1, high=36500),
            log_level=read.choice("FERRIS_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            log_format=read.choice("FERRIS_LOG_FORMAT", "TEXT", ("TEXT", "JSON")),
            default_role=read.choice(
                "FERRIS_DEFAULT_ROLE", "NONE", ("NONE", "VIEWER", "OPERATOR", "MAINTAINER")
            )
            .lower()
            .replace("none", ""),
            admin_password=read.password("FERRIS_ADMIN_PASSWORD"),
            broker_api_url=read.address("FERRIS_BROKER_API"),
            flower_port=read.whole("FERRIS_FLOWER_PORT", 5555, low=1, high=65535),
            flower_password=read.password("FERRIS_FLOWER_PASSWORD"),
            flower_url=read.address("FERRIS_FLOWER_URL"),
            kibana_url=read.address("FERRIS_KIBANA_URL"),
            grafana_url=read.address("FERRIS_GRAFANA_URL"),
            upload_limit=read.whole("FERRIS_UPLOAD_LIMIT", 100, low=1, high=500) << 20,
            upload_types=tuple(read.text("FERRIS_UPLOAD_TYPES", "").lower().replace(",", " ").split()),
            metrics_host=read.text("FERRIS_METRICS_HOST", "127.0.0.1"),
            metrics_port=read.whole("FERRIS_METRICS_PORT", 0, low=0, high=65535),
            api_rate=read.whole("FERRIS_API_RATE", 30_000, low=0, high=10_000_000),
            stream_limit=read.whole("FERRIS_STREAM_LIMIT", 50, low=1, high=1000),
            git_hosts=read.hosts("FERRIS_GIT_HOSTS"),
            source_folders=read.paths("FERRIS_SOURCE_FOLDERS"),
            repository_limit_bytes=read.size("FERRIS_REPOSITORY_LIMIT", 1 << 30) or 1 << 50,
            allow_private=read.networks("FERRIS_ALLOW_PRIVATE"),
            proxies=read.networks("FERRIS_PROXIES"),
            mfa_required=read.choice(
                "FERRIS_MFA_REQUIRED", "NONE", ("NONE", "ADMINISTRATORS", "ALL")
            ).lower(),
            providers=read.providers(),
        )


def _token() -> str:
    return secrets.token_urlsafe(48)
