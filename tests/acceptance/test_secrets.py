"""A secret reaches its script and nothing else: no answer, no log line, no file, no dump."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

PLAIN = "Tr0ub4dor-plain-horse"
UNICODE = "gehäuse-ß-geheim-77"
LINES = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEAtelltale\nsecondline0TELLTALE\n-----END KEY-----"
INNER = "inner-P4ssw0rd-of-object"
QUOTED = 'quote"d\\s3cret-value'
LATER = "set-by-a-script-0nly"
NEEDLES = (PLAIN, UNICODE, "MIIEowIBAAKCAQEAtelltale", "secondline0TELLTALE", INNER, QUOTED, LATER)

SECRETS = {
    "plain": PLAIN,
    "umlaut": UNICODE,
    "key": LINES,
    "db": {"user": "app", "password": INNER},
    "quoted": QUOTED,
}

SCRIPT = """
    import json, sys, time
    from ferris_ef import context, get_secret

    plain = context.secrets.get("plain")
    assert plain == get_secret("plain") and plain.startswith("Tr0ub4dor")
    assert context.secrets.get("db")["user"] == "app"
    print("the secret is", plain, flush=True)
    print("all of them:", json.dumps(json.loads(sys.argv[1])["secrets"]))
    print("as Python:", json.loads(sys.argv[1])["secrets"])
    print("the argument:", sys.argv[1])
    print(context.secrets.get("key"))
    print(context.secrets.get("umlaut"), context.secrets.get("quoted"), file=sys.stderr)
    sys.stdout.write(plain[:9]); sys.stdout.flush(); time.sleep(0.05)
    sys.stdout.write(plain[9:] + "\\n"); sys.stdout.flush()
    context.logging.warning("logged: " + plain)
    context.secrets.set("later", "set-by-" + "a-script-0nly", context="project")
    print(context.secrets.get("later"))
    context.progress(1, 2, "reading " + plain)
    context.events.send("TAG.told", data={"password": plain, "all": [context.secrets.get("key")]})
    context.artifacts.put("dump.json", json.dumps(json.loads(sys.argv[1])))
    context.artifacts.put(plain + ".txt", context.secrets.get("key"))
    print("user is app")
    raise ValueError("failed with " + plain)
"""


def test_a_secret_never_shows(shared: Platform, project: Project, tmp_path: Path) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": {"trigger_events": ["TAG.go"]},
                "secrets.json": SECRETS,
                "s.py": SCRIPT,
            },
            "TAG_next": {
                "manifest.json": {"trigger_events": ["TAG.later"]},
                "s.py": "from ferris_ef import context\nassert len(context.secrets.get('later')) == 20",
            },
        }
    )
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    lines = client.logs(row["id"])
    assert (row["status"], row["reason"]) == ("failed", "script_failed"), lines
    said = "\n".join(line["message"] for line in lines)
    assert "the secret is" in said
    assert "user is app" in said  # what stands beside a secret is not masked with it
    assert "ValueError: failed with" in said
    assert row["progress"]["message"] == "reading ***"
    kept = client.all(f"/api/v1/executions/{row['id']}/artifacts/")
    assert sorted(one["name"] for one in kept) == ["***.txt", "dump.json"]
    assert client.flow(project.emit("TAG.later"), 1)[0]["status"] == "completed"

    name = project("TAG_s")
    answers = {
        path: client.request("GET", path).body
        for path in (
            f"/api/v1/executions/{row['id']}/",
            f"/api/v1/executions/{row['id']}/steps/",
            f"/api/v1/executions/{row['id']}/logs/",
            f"/api/v1/executions/{row['id']}/artifacts/",
            f"/api/v1/executions/{row['id']}/artifacts/dump.json",
            f"/api/v1/executions/?service={name}",
            f"/api/v1/services/{name}/",
            f"/api/v1/services/{name}/config/",
            f"/api/v1/services/{name}/state/",
            f"/api/v1/projects/{project.tag}/",
            f"/api/v1/flows/{row['flow_id']}/",
            "/api/v1/services/",
            "/api/v1/events/",
            "/metrics",
        )
    }
    for path, body in answers.items():
        assert not _found(body), f"{path} shows {_found(body)}"
    for file in _files(shared):
        found = _found(_content(file))
        assert not found, f"{file} holds {found}"
    assert not _found(shared.output.read_bytes())


def test_secrets_are_write_only(project: Project) -> None:
    project.load({"TAG_s": {"secrets.json": {"plain": PLAIN}, "s.py": "print()"}})
    name = project("TAG_s")
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = project.client.request(method, f"/api/v1/services/{name}/secrets/")
        assert PLAIN.encode() not in answer.body


def _files(platform: Platform) -> list[Path]:
    """Every file that the platform or one of its servers keeps, after a moment for late writers."""
    time.sleep(1.5)
    for folder in platform.folders():
        assert any(path.is_file() for path in folder.rglob("*")), f"{folder} is empty"
    return [path for folder in platform.folders() for path in folder.rglob("*") if path.is_file()]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:  # servers throw away what they need no more
        return b""


def _found(content: bytes) -> list[str]:
    shown = []
    for needle in NEEDLES:
        spellings = (
            needle,
            json.dumps(needle)[1:-1],
            json.dumps(needle, ensure_ascii=False)[1:-1],
            repr(needle)[1:-1],
        )
        if any(spelling.encode() in content for spelling in spellings):
            shown.append(needle)
    return shown
