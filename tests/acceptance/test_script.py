"""How a script is called: argument, environment, folder, and what the helper library gives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.client import until
from tests.acceptance.services import Project

GO = {"trigger_events": ["TAG.go"]}
VARIABLES = (
    "CONSUL_HOST", "CONSUL_PORT", "CONSUL_SCHEME", "APP_NAME", "KAFKA_PROTOCOL", "SECRETS_API_URL",
    "SERVICES_API_URL",
)  # fmt: skip
DUMP = """
    import json, os, sys
    with open({path!r}, "w") as file:
        json.dump({{"argv": sys.argv, "environ": dict(os.environ), "cwd": os.getcwd(),
                    "files": sorted(os.listdir()), "name": __name__, "path0": sys.path[0],
                    "stdin": sys.stdin.read()}}, file)
"""


def dump(project: Project, path: Path, data: Any, **manifest: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a script saw when it ran for an event with this data, and its execution."""
    project.load(
        {
            "TAG_s": {
                "manifest.json": {**GO, **manifest},
                "secrets.json": {"key": {"user": "u", "n": 1}},
                "table.csv": "a,b\n",
                "sub/more.txt": "x",
                "main.py": DUMP.format(path=str(path)),
            }
        }
    )
    row = project.client.flow(project.emit("TAG.go", data), 1)[0]
    assert row["status"] == "completed", project.client.logs(row["id"])
    return json.loads(path.read_text()), row


def test_the_argument_is_the_events_data_and_the_platforms_names(project: Project, tmp_path: Path) -> None:
    data = {
        "n": 1,
        "text": "Grüße, 世界 🎉",
        "none": None,
        "list": [1, {"a": True}],
        "package_name": "mine",
        "_fxexec": 5,
    }
    seen, row = dump(project, tmp_path / "seen", data)
    assert len(seen["argv"]) == 2
    assert seen["argv"][0].endswith("main.py")
    argument = json.loads(seen["argv"][1])
    assert {name: argument[name] for name in ("n", "text", "none", "list")} == {
        name: data[name] for name in ("n", "text", "none", "list")
    }
    assert argument["package_name"] == project("TAG_s")
    assert argument["package_id"]
    assert argument["secrets"] == {"key": {"user": "u", "n": 1}}
    assert argument["_fxcid"] == row["correlation_id"]
    assert argument["_fxexec"] == row["id"]
    assert argument["_fxparentexec"] is None
    assert argument["origin_event_type"] == project("TAG.go")


def test_environment_and_folder(project: Project, tmp_path: Path) -> None:
    seen, _ = dump(project, tmp_path / "seen", {})
    environment = seen["environ"]
    for name in VARIABLES:
        assert environment.get(name), name
    assert environment["DEFAULT_CONFIG"] == "ferris.env"
    assert environment["SECRETS_API_URL"].endswith("/")
    assert environment["SERVICES_API_URL"].endswith("/")
    ours = {name for name in environment if name.startswith(("FERRIS_", "DJANGO_"))}
    assert ours <= {"FERRIS_CHANNEL", "FERRIS_ARTIFACTS"}
    assert {"main.py", "table.csv", "sub"} <= set(seen["files"])
    assert "secrets.json" not in seen["files"]
    assert seen["path0"] == seen["cwd"]
    assert seen["name"] == "__main__"
    assert seen["stdin"] == ""


def test_data_that_is_no_object_is_a_parameter_named_data(project: Project, tmp_path: Path) -> None:
    seen, _ = dump(project, tmp_path / "seen", [1, 2])
    assert json.loads(seen["argv"][1])["data"] == [1, 2]


def test_an_argument_of_any_size_and_nothing_in_the_process_list(project: Project, tmp_path: Path) -> None:
    """A program's argument may have 128 KiB; the contract sets no limit, and events may have 1 MiB."""
    path, go_on = tmp_path / "pid", tmp_path / "go on"
    project.load(
        {
            "TAG_s": {
                "manifest.json": GO,
                "s.py": f"""
                    import json, os, sys, time
                    with open({str(path)!r}, "w") as file:
                        file.write(f"{{os.getpid()}}\\n")
                    while not os.path.exists({str(go_on)!r}):
                        time.sleep(0.02)
                    print(len(json.loads(sys.argv[1])["big"]))
                """,
            }
        }
    )
    client = project.client
    flow = project.emit("TAG.go", {"big": "telltale" * 110_000})
    until(lambda: path.exists() and path.read_text().endswith("\n"), 20, "the script has not begun")
    process = psutil.Process(int(path.read_text()))
    shown = "\0".join(process.cmdline()) + str(process.environ())
    go_on.touch()
    assert "telltale" not in shown
    assert "secrets" not in "".join(process.cmdline()) if process.is_running() else True
    row = client.flow(flow, 1)[0]
    assert client.output(row["id"]) == ["880000"]


def test_which_scripts_run(project: Project) -> None:
    say = "print(__file__.rpartition('/')[2])"
    only_defines = '"""Only defines."""\nimport os\nLIMIT = 5\n\n\ndef f():\n    print("never")\n'
    project.load(
        {
            "TAG_alphabet": {
                "manifest.json": GO,
                "b.py": say,
                "a.py": f"import tools\n{say}",
                "tools.py": only_defines,
                "__init__.py": say,
                "test_a.py": say,
                "notes.txt": "",
            },
            "TAG_order": {
                "manifest.json": {**GO, "execution_order": ["b.py", "a.py"]},
                "a.py": say,
                "b.py": say,
            },
            "TAG_entry": {
                "manifest.json": {**GO, "entrypoint": "b.py", "execution_order": ["a.py"]},
                "a.py": say,
                "b.py": say,
            },
            "TAG_default": {"only.py": say},
        }
    )
    client = project.client
    rows = {row["service"]: row for row in client.flow(project.emit("TAG.go"), 3)}
    ran = {
        name: client.output(rows[project(name)]["id"]) for name in ("TAG_alphabet", "TAG_order", "TAG_entry")
    }
    assert ran == {"TAG_alphabet": ["a.py", "b.py"], "TAG_order": ["b.py", "a.py"], "TAG_entry": ["b.py"]}
    by_hand = client.finished(client.run(project("TAG_default")))
    assert client.output(by_hand["id"]) == ["only.py"]


def test_config_and_state(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": {**GO, "priority": "2"},
                "config.json": {"limit": 5, "name": "ü"},
                "s.py": """
                    from fx_ef import context
                    config = context.config
                    print(config.get("limit"), config.get("name"), config.get("no", "default"))
                    print(context.state.get("n"))
                    context.state.put("n", {"last": context.params.get("n")})
                    print(context.state.get("n"), context.state.get())
                    print(context.package.name)
                """,
            }
        }
    )
    client, name = project.client, project("TAG_s")
    first = client.flow(project.emit("TAG.go", {"n": 1}), 1)[0]["id"]
    assert client.output(first) == ["5 ü default", "None", "{'last': 1} {'n': {'last': 1}}", name]
    assert client.get(f"/api/v1/services/{name}/state/") == {"n": {"last": 1}}
    client.call("PUT", f"/api/v1/services/{name}/config/", {"limit": 6})
    client.call("PUT", f"/api/v1/services/{name}/state/", {"n": "from outside"})
    assert client.get(f"/api/v1/services/{name}/config/") == {"limit": 6}
    second = client.flow(project.emit("TAG.go", {"n": 2}), 1)[0]["id"]
    assert client.output(second)[:3] == ["6 None default", "from outside", "{'last': 2} {'n': {'last': 2}}"]


def test_consuls_dialect_and_the_secrets_address_answer_the_script_alone(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": GO,
                "config.json": {"limit": 5},
                "secrets.json": {"pin": 1234567},
                "s.py": """
                    import base64, json, os, sys, urllib.request

                    def get(url, data=None, method=None):
                        request = urllib.request.Request(url, data, method=method)
                        with urllib.request.urlopen(request) as answer:
                            return answer.read(), answer.headers
                    e = os.environ
                    kv = f"{e['CONSUL_SCHEME']}://{e['CONSUL_HOST']}:{e['CONSUL_PORT']}/v1/kv/"
                    env = json.loads(get(kv + e["DEFAULT_CONFIG"] + "?raw")[0])
                    print("DEFAULT_TOPIC" in env, "KAFKA_BOOTSTRAP_SERVER" in env)
                    body, headers = get(kv + "TAG_s")
                    entry = json.loads(body)[0]
                    print(json.loads(base64.b64decode(entry["Value"])), headers["X-Consul-Index"] is not None)
                    print(get(kv + "TAG_s.state", b'{"a": 1}', "PUT")[0].decode())
                    print(get(kv + "TAG_s.state?raw")[0].decode())
                    package = json.loads(sys.argv[1])["package_id"]
                    found = get(f"{e['SECRETS_API_URL']}by-name?name=pin&package_id={package}")[0]
                    print(json.loads(found)["value"] == 1234567)
                """,
            }
        }
    )
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    assert client.output(row["id"]) == ["True True", "{'limit': 5} True", "true", '{"a": 1}', "True"], (
        client.logs(row["id"])
    )


def test_sent_events_carry_flow_and_parent(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    project.load(
        {
            "TAG_a": {
                "manifest.json": GO,
                "s.py": """
                    from ferris_ef import context
                    context.events.send("TAG.sent", "some/source", {"x": 1}, reference_id="ref-9")
                """,
            },
            "TAG_b": {"manifest.json": {"trigger_events": ["TAG.sent"]}, "s.py": DUMP.format(path=str(path))},
        }
    )
    rows = {row["service"]: row for row in project.client.flow(project.emit("TAG.go"), 2)}
    argument = json.loads(json.loads(path.read_text())["argv"][1])
    assert argument["x"] == 1
    assert argument["_fxparentexec"] == rows[project("TAG_a")]["id"]
    assert rows[project("TAG_b")]["parent_execution_id"] == rows[project("TAG_a")]["id"]
