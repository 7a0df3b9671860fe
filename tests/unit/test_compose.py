"""compose/: what can be said of it without a Docker daemon. tests/contract/test_compose_config.py reads it with
Compose's own loader."""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from ferris.config import Settings
from tests.unit.compose_file import (
    COMPOSE,
    FILE,
    ONE_SHOTS,
    OURS,
    REQUIRED,
    ROOT,
    SECRET,
    SERVICES,
    TEXT,
    environment,
)


def native(name: str) -> Any:
    """A module of compose/native or tests/acceptance, read and not run."""
    return ast.parse((ROOT / name).read_text())


def constant(tree: ast.Module, name: str) -> Any:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == name for t in node.targets
        ):
            return ast.literal_eval(node.value)
    raise LookupError(name)


# ----------------------------------------------------------------------------------------- the services


def test_everything_of_the_platform_is_there() -> None:
    assert {"prepare", "web", "gateway", "executor", "flower"} == OURS
    assert SERVICES.keys() - OURS - ONE_SHOTS == {
        "postgresql", "rabbitmq", "kafka", "minio", "consul", "elasticsearch", "kibana",
    }  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_tells_how_it_is_or_ends(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOTS:
        assert "healthcheck" not in service
        return
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert len(check["test"]) == 2 or check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_until_what_it_needs_is_there(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        assert how == {"condition": wanted}, other


def test_every_server_that_a_setting_names_is_waited_for() -> None:
    def waited(name: str) -> set[str]:
        found = set(SERVICES[name].get("depends_on", ()))
        return found.union(*(waited(other) for other in found)) if found else found

    for name in OURS:
        named = {
            host for value in environment(name).values() for host in re.findall(r"[@/]([a-z]+):\d", value)
        }
        assert named & SERVICES.keys() <= waited(name) | {name}, name


def test_networks_and_volumes_are_declared_and_used() -> None:
    networks = {network for service in SERVICES.values() for network in service["networks"]}
    assert networks == FILE["networks"].keys()
    volumes = {
        volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())
    }
    assert {volume for volume in volumes if not volume.startswith(".")} == FILE["volumes"].keys()
    for path in volumes:
        assert not path.startswith(".") or (COMPOSE / path).exists(), path


def test_images_are_pinned() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            _, _, tag = service["image"].rpartition(":")
            assert re.match(r"(RELEASE\.)?\d+[.-]\d+[.-]\d+", tag) or re.match(r"\d+\.\d+-", tag), service[
                "image"
            ]


def test_servers_have_the_versions_that_are_tested() -> None:
    versions = {
        name: constant(ast.Module(node.body, []), "version")
        for name in ("kafka", "consul", "elasticsearch")
        for node in native(f"compose/native/servers/{name}.py").body
        if isinstance(node, ast.ClassDef)
    }
    for name, version in versions.items():
        assert SERVICES[name]["image"].endswith(f":{version}")
    assert SERVICES["kibana"]["image"].endswith(f":{versions['elasticsearch']}")
    client = re.search(r"^elasticsearch==(\d+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert client
    assert versions["elasticsearch"].split(".")[0] == client[1]


def test_kafka_is_set_up_as_the_native_one() -> None:
    text = (COMPOSE / "native/servers/kafka.py").read_text()
    listed = text[text.index("process.roles=") : text.index("    def ready", text.index("process.roles="))]
    lines = (line for line in listed.splitlines() if re.match(r"[a-z.]+=", line))
    own = {
        "listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs",
    }  # where it lies and listens  # fmt: skip
    for key, _, value in (line.partition("=") for line in lines):
        if key not in own:
            assert environment("kafka")["KAFKA_" + key.upper().replace(".", "_")] == value, key


# ------------------------------------------------------------------------------------------ the commands


def test_commands_are_those_that_tests_run() -> None:
    # web, gateway and executor: tests/acceptance/real.py takes them from compose.yaml
    assert '"compose.yaml"' in (ROOT / "tests/acceptance/real.py").read_text()
    assert SERVICES["executor"]["command"][-2:] == ["-n", "executor@%h"], (
        "there each executor gets its own number"
    )
    assert SERVICES["prepare"]["command"] == ["python", "compose/native/prepare.py"]
    assert "compose/native/prepare.py" in (ROOT / "compose/native/stack.py").read_text()
    flower = (ROOT / "tests/contract/test_flower.py").read_text()
    assert SERVICES["flower"]["command"][:3] == ["celery", "-A", "celery_app"]
    assert all(f'"{word}"' in flower for word in SERVICES["flower"]["command"][3:])


def test_gateways_and_executors_can_be_more_than_two() -> None:
    for name in ("gateway", "executor"):
        assert SERVICES[name]["deploy"] == {"replicas": 2}
        assert "container_name" not in SERVICES[name]
        assert "ports" not in SERVICES[name], "a second one could not have the same port"


# ---------------------------------------------------------------------------------- who may know and reach what


def test_no_password_stands_in_the_file() -> None:
    for name in SERVICES:
        for key, value in environment(name).items():
            if SECRET.search(key) and key != "RABBITMQ_DEFAULT_USER":
                assert REQUIRED.fullmatch(value), f"{name}: {key}"
            for login in re.findall(r"//([^@/]*)@", value):
                password = login.partition(":")[2] or login
                assert REQUIRED.fullmatch(password), f"{name}: {key}"
    assert not re.search(r"\$\{[A-Z_]*(PASS|TOKEN|SECRET|KEY)[A-Z_]*:-", TEXT), "a secret has no default"


def test_executors_know_and_reach_nothing_that_users_code_must_not() -> None:
    said = " ".join(f"{key}={value}" for key, value in environment("executor").items())
    for hidden in (
        "POSTGRES",
        "DATABASE",
        "ENCRYPTION",
        "SECRET_KEY",
        "CONSUL",
        "ELASTIC",
        "ADMIN",
        "FLOWER",
    ):
        assert hidden not in said
    assert SERVICES["executor"]["networks"] == ["work"]
    for server in ("postgresql", "consul", "elasticsearch", "kibana"):
        assert "work" not in SERVICES[server]["networks"]
    assert FILE["networks"]["data"] == {"internal": True}


def test_only_web_has_the_keys_of_secrets_and_sessions() -> None:
    for key in ("FERRIS_ENCRYPTION_KEYS", "FERRIS_SECRET_KEY", "FERRIS_ADMIN_PASSWORD"):
        assert [name for name in SERVICES if key in environment(name)] == ["web"]


def test_what_is_published_asks_for_a_password_and_is_local_unless_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.keys() == {"web", "flower", "kibana"}
    for ports in published.values():
        assert all(port.startswith("${FERRIS_BIND:-127.0.0.1}:") for port in ports)


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_platform_runs_with_few_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "cap_add", "pid", "network_mode"} & service.keys()
    places = {place.partition(":")[0] for place in (*service["tmpfs"], *service.get("volumes", ()))}
    homes = [
        place for place in (*service["tmpfs"], *service.get("volumes", ())) if "/var/lib/ferris" in place
    ]
    assert "/tmp" in places
    assert len(homes) == 1, "one home, that can be written"


# --------------------------------------------------------------------------------------------- .env and settings


def make_env(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", COMPOSE / "make_env.py", path], capture_output=True, text=True, check=False
    )


def test_the_generator_makes_what_compose_asks_for_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert make_env(one).returncode == make_env(other).returncode == 0
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    made = dict(line.split("=", 1) for line in one.read_text().splitlines() if not line.startswith("#"))
    assert made.keys() == set(REQUIRED.findall(TEXT))
    again = dict(line.split("=", 1) for line in other.read_text().splitlines() if not line.startswith("#"))
    assert not set(made.values()) & set(again.values()), "nothing is the same twice"
    for name, value in made.items():
        assert len(value) >= 22, name
        assert re.fullmatch(r"[\w=-]+", value), f"{name} would need quoting somewhere"
    Fernet(made["FERRIS_ENCRYPTION_KEYS"])


def test_the_generator_overwrites_nothing_and_shows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "env"
    first = make_env(path)
    before = path.read_text()
    second = make_env(path)
    assert (second.returncode, path.read_text()) == (1, before)
    assert "stays as it is" in second.stderr
    for line in before.splitlines():
        if not line.startswith("#"):
            assert line.partition("=")[2] not in first.stdout + second.stderr


def test_env_stays_out_of_the_repository() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", "--no-index", "compose/.env"], cwd=ROOT, check=False
    )
    assert ignored.returncode == 0


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_platform_understands_what_it_is_given(name: str, tmp_path: Path) -> None:
    assert make_env(tmp_path / "env").returncode == 0
    made = dict(
        line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if not line.startswith("#")
    )
    given = {key: filled(value, made) for key, value in environment(name).items()}
    settings = Settings.from_env({"FERRIS_HOME": str(tmp_path / "home"), **given})
    known = (ROOT / "ferris/config.py").read_text()
    assert all(f'"{key}"' in known for key in given), "a setting that does not exist"
    if name != "prepare":
        assert not settings.embedded


def filled(value: str, made: dict[str, str]) -> str:
    value = REQUIRED.sub(lambda found: made[found[1]], value)
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
