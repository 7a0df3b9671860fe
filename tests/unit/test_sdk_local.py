"""EF_ENV=local: every call without a platform. And scripts that are started by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ferris_ef import events, quickjson

import ferris.events
from ferris.config import EVENTS, METRICS, NOTIFICATIONS

SDK = Path(__file__).parents[2] / "sdk"


def run(folder: Path, code: str, *arguments: str, local: bool = True, cwd: Path | None = None) -> Any:
    (folder / "main.py").write_text(code)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SDK), **({"EF_ENV": "local"} if local else {})}
    command = [sys.executable, str(folder / "main.py"), *arguments]
    return subprocess.run(command, cwd=cwd or folder, env=environ, capture_output=True, text=True)


def show(expression: str) -> str:
    return (
        f"import json\nfrom ferris_ef import context, get_param, get_secret\nprint(json.dumps({expression}))"
    )


def write(folder: Path, document: Any) -> None:
    (folder / "ef_env.json").write_text(json.dumps(document))


def test_params_secrets_and_config_come_from_the_file_beside_the_script(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "params": {"package_name": "mine", "package_id": "9", "n": 1},
            "secrets": {"s": [1]},
            "config": {"c": True},
        },
    )
    code = show(
        "[context.params.all(), context.params.get('x', 5), context.secrets.get('s'), context.secrets.get('none'),"
        " context.config.get('c'), context.package.name, context.package.id, get_param('n'), get_secret('s'),"
        " context.is_local_env]"
    )
    done = run(tmp_path, code, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"package_name": "mine", "package_id": "9", "n": 1}, 5, [1], None, True, "mine", "9", 1, [1], True,
    ]  # fmt: skip


def test_without_a_file_there_are_defaults_and_an_argument_adds_to_them(tmp_path: Path) -> None:
    done = run(
        tmp_path, show("[context.package.name, context.params.get('a'), context.config.all()]"), '{"a": 2}'
    )
    assert json.loads(done.stdout) == ["local_package", 2, {}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main.py"]


def test_state_is_kept_in_a_file(tmp_path: Path) -> None:
    code = show("[context.state.get(), context.state.update('n', lambda n: (n or 0) + 1), context.state.put('m', 'x'),"
                " context.state.get('n'), context.state.get('none', 7)]")  # fmt: skip
    assert json.loads(run(tmp_path, code).stdout) == [{}, 1, None, 1, 7]
    assert json.loads(run(tmp_path, code).stdout) == [{"n": 1, "m": "x"}, 2, None, 2, 7]
    assert json.loads((tmp_path / "ef_package_state.json").read_text()) == {"n": 2, "m": "x"}


def test_events_and_schedules_are_printed(tmp_path: Path) -> None:
    code = (
        "from fx_ef import context\ncontext.events.send('a.b', data={'x': 1}, reference_id=3)\n"
        "print(context.scheduler.schedule(minutes=5), context.scheduler.retry(cron_expression='0 1 * * *'))"
    )
    lines = run(tmp_path, code).stdout.splitlines()
    assert json.loads(lines[0].removeprefix("event ")) == {
        "type": "a.b", "source": "local_package", "data": {"x": 1}, "topic": None, "subject": "3",
    }  # fmt: skip
    assert json.loads(lines[2].removeprefix("schedule "))["schedule"] == "0 1 * * *"
    assert lines[3] == "OK OK"


def test_logging_goes_to_standard_error(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "from ferris_ef import context\ncontext.logging.debug('d')\ncontext.logging.warning('w %d', 1)",
    )
    assert (done.stdout, done.stderr) == ("", "WARNING: w 1\n")


def test_objects_are_files(tmp_path: Path) -> None:
    code = (
        "from ferris_ef import context\nfrom ferris_ef.wire import PlatformError\n"
        "context.objects.put('bucket', 'a/b.txt', 'text')\nprint(context.objects.get('bucket', 'a/b.txt'))\n"
        "for name in ('../x', 'none'):\n    try:\n        context.objects.get('bucket', name)\n"
        "    except (ValueError, PlatformError) as error:\n        print(error)"
    )
    assert run(tmp_path, code).stdout.splitlines() == [
        "b'text'", "bucket/../x is no name of an object", "there is no object none in bucket",
    ]  # fmt: skip
    assert (tmp_path / "ef_objects" / "bucket" / "a" / "b.txt").read_text() == "text"


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "ef_env.json is no JSON"), ('{"params": []}', "ef_env.json: params is a list")],
)
def test_a_bad_file_is_said_to_be_bad(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "ef_env.json").write_text(text)
    assert problem in run(tmp_path, show("context.params.all()")).stderr


def test_a_script_started_by_hand_has_its_argument_and_clear_errors_for_the_rest(tmp_path: Path) -> None:
    code = show(
        "[context.params.get('a'), context.secrets['s'], context.package.name, context.config.all(), get_param('b', 3)]"
    )
    done = run(tmp_path, code, '{"a": 1, "secrets": {"s": 2}}', local=False)
    assert json.loads(done.stdout) == [1, 2, "main", {}, 3]
    assert json.loads(run(tmp_path, show("context.params.all()"), local=False).stdout) == {}
    for call in (
        "events.send('x')",
        "state.get()",
        "secrets.get('x')",
        "scheduler.retry(1)",
        "objects.get('a', 'b')",
    ):
        done = run(tmp_path, f"from ferris_ef import context\ncontext.{call}", "{}", local=False)
        assert done.returncode == 1
        assert "PlatformError: this script does not run on the platform" in done.stderr
        assert "EF_ENV=local" in done.stderr
    for bad in ("[1]", "no json"):
        assert "first argument is no JSON" in run(tmp_path, show("get_param('x')"), bad, local=False).stderr


def test_logging_without_a_platform_is_seen(tmp_path: Path) -> None:
    done = run(tmp_path, "from ferris_ef import context\ncontext.logging.info('seen')", "{}", local=False)
    assert done.stderr == "INFO: seen\n"


def test_a_short_script_imports_nothing_slow(tmp_path: Path) -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\nfrom ferris_ef import context, get_param\nget_param('a')\n"
        "context.package.name\nprint(sorted(m for m in set(sys.modules) - before if not m.startswith('ferris_ef')))"
    )
    done = run(tmp_path, code, '{"a": [1.5, "x"]}', local=False)
    assert done.stdout == "['__future__', '_json']\n"


def test_the_rules_of_events_are_the_platforms() -> None:
    assert events.RESERVED == ferris.events.RESERVED
    assert events.TOPICS == (EVENTS, NOTIFICATIONS, METRICS)
    assert ferris.events.MAX_EVENT_BYTES > events.LARGEST_DATA


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1.5e300,
        "",
        'ü"\\\n\u2028😀',
        [],
        {},
        [[{"a": [1, {"b": None}]}]],
        {"k" * 999: "v" * 9999},
    ],
)
def test_json_both_ways(value: Any) -> None:
    assert quickjson.loads(quickjson.dumps(value)) == value
    assert json.loads(quickjson.dumps(value)) == value
    assert quickjson.loads(f" \n{json.dumps(value, indent=2, ensure_ascii=False)}\t") == value


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", "{} x", "nul", "'a'", '"\n"', "[" * 100_000])
def test_no_json(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        quickjson.loads(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_what_json_cannot_say(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        quickjson.dumps(value)


def test_artifacts_are_files_beside_the_script(tmp_path: Path) -> None:
    code = (
        "from ferris_ef import context\ncontext.artifacts.put('charts/a.svg', '<svg/>', content_type='image/svg+xml')\n"
        "open(context.artifacts.path('b.bin'), 'wb').write(b'x')\n"
    )
    done = run(tmp_path, code, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ef_artifacts" / "charts" / "a.svg").read_text() == "<svg/>"
    assert (tmp_path / "ef_artifacts" / "b.bin").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a//b", "", "a\\\\b", "a\\nb", "x" * 256])
def test_artifacts_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, f"from ferris_ef import context\ncontext.artifacts.put('{name}', 'x')")
    assert "ValueError: name:" in done.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["main.py"]


def test_progress_is_printed(tmp_path: Path) -> None:
    code = "from fx_ef import context\ncontext.progress(3, 10, 'reading')\ncontext.progress(7)"
    done = run(tmp_path, code)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == ["progress 3/10 reading", "progress 7"]
    assert run(tmp_path, code, local=False).stderr == done.stderr  # by hand, without a platform
    assert "ValueError: done: is -1" in run(tmp_path, code.replace("7", "-1")).stderr
