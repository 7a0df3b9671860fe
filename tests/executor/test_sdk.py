"""The helper library inside real scripts, through the executor, against the control API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ferris.config import EVENTS
from ferris.execution import content_digest, sent_event_id
from ferris.metric_points import point_of
from ferris.uploads import FILE_UPLOADED
from tests.executor.control_server import Platform, Result


def run(ferris: Platform, code: str, **changes: Any) -> Result:
    return ferris.run({"main.py": code}, **changes)


def printed(result: Result) -> Any:
    assert result.types[-1] == "execution.completed", result
    return json.loads(result.text("stdout"))


def show(expression: str) -> str:
    return f"import json\nfrom ferris_ef import context\nprint(json.dumps({expression}))"


def test_params_config_secrets_package(ferris: Platform) -> None:
    code = show(
        "[context.params.get('n'), context.params.get('m', 5), context.params['n'], 'secrets' in context.params.all(),"
        " context.params.get('_fxcid'), context.config.get('k'), context.config['k'], context.configs.get('none', 1),"
        " context.secrets.get('password'), context.secrets['password'], context.package.name, context.package.id,"
        " context.parameters is context.params]"
    )
    result = run(
        ferris, code, params={"n": 3, "secrets": "x"}, config={"k": [1]}, secrets={"password": {"a": 1}}
    )
    assert printed(result) == [
        3,
        5,
        3,
        False,
        "ABCDEFGHIJ_01",
        [1],
        [1],
        1,
        {"a": 1},
        {"a": 1},
        "a_service",
        "7",
        True,
    ]


@pytest.mark.parametrize("module", ["ferris_ef", "fx_ef", "ferris_ef.base", "fx_ef.base"])
def test_get_param_and_get_secret_under_every_name(ferris: Platform, module: str) -> None:
    code = (
        f"from {module} import get_param, get_secret\n"
        f"print([get_param('n'), get_param('m', 2), get_secret('short')])"
    )
    result = run(ferris, code, params={"n": 1}, secrets={"short": "abc"})
    assert result.text("stdout") == "[1, 2, 'abc']\n"


def test_fx_ef_is_the_same_context(ferris: Platform) -> None:
    code = (
        "import fx_ef.context\nfrom fx_ef import context as a\nfrom ferris_ef import context as b\n"
        "print(a is b, fx_ef.context is a)"
    )
    assert run(ferris, code).text("stdout") == "True True\n"


def test_secrets_are_looked_up_on_the_platform_and_set_there(ferris: Platform) -> None:
    ferris.control.secrets["far"] = {"deep": "value"}
    code = show(
        "[context.secrets.get('far'), context.secrets.get('nowhere'), context.secrets.get('nowhere', 7),"
        " context.secrets.set('new', [1], context='project')[0], context.secrets.get('new')]"
    )
    ferris.control.requests.clear()
    assert printed(run(ferris, code)) == [{"deep": "***"}, None, 7, 200, [1]]
    assert ferris.control.requests == [
        ("GET", "/secrets/by-name", {"name": "far", "package_id": "7"}),
        ("GET", "/secrets/by-name", {"name": "nowhere", "package_id": "7"}),
        ("GET", "/secrets/by-name", {"name": "nowhere", "package_id": "7"}),
        ("POST", "/secrets/", {"name": "new", "value": [1], "context": "project", "package_id": "7"}),
    ]


def test_a_secret_learned_while_running_is_masked(ferris: Platform) -> None:
    ferris.control.secrets["far"] = "first-sesame"
    code = (
        "from ferris_ef import context\nprint(context.secrets.get('far'))\n"
        "context.secrets.set('mine', 'second-sesame')\nprint('second-sesame')"
    )
    assert run(ferris, code).text("stdout") == "***\n***\n"


def test_state_is_kept_between_executions(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\nbefore = context.state.get()\ncontext.state.put('n', 1)\n"
        "context.state.put('list', [context.state.update('n', lambda n: n + 1), context.state.get('nothing')])\n"
        "print(before, context.state.get(), context.state.get('n'))"
    )
    result = run(ferris, code, service="keeper")
    assert result.text("stdout") == "{} {'n': 2, 'list': [2, None]} 2\n"
    assert json.loads(ferris.control.kv["keeper.state"][1]) == {"n": 2, "list": [2, None]}
    again = run(ferris, "from ferris_ef import context\nprint(context.state.get('list'))", service="keeper")
    assert again.text("stdout") == "[2, None]\n"


def test_updates_of_many_executions_and_processes_all_count(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\nimport os\nchild = os.fork()\n"
        "for _ in range(5):\n    context.state.update('n', lambda n: (n or 0) + 1)\n"
        "if child:\n    assert os.waitpid(child, 0)[1] == 0\nelse:\n    os._exit(0)"
    )
    orders = [ferris.order({"main.py": code}, service="counter") for _ in range(4)]
    threads = [ferris.start(order) for order in orders]
    for thread in threads:
        thread.join()
    assert [ferris.result(order.execution_id).types[-1] for order in orders] == ["execution.completed"] * 4
    assert json.loads(ferris.control.kv["counter.state"][1]) == {"n": 40}


def test_a_signal_handler_may_use_the_library_while_a_call_is_under_way(ferris: Platform) -> None:
    code = (
        "import signal, threading\nfrom ferris_ef import context, wire\nseen = []\n"
        "def handler(*_):\n"
        "    context.events.send('by.the.handler', data={'n': len(seen)})\n"
        "    context.progress(1, 2)\n"
        "    seen.append(context.state.update('n', lambda n: (n or 0) + 1))\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "inner = wire._wire._answer\n"
        "def answer(connection):\n"
        "    signal.raise_signal(signal.SIGUSR1)\n"
        "    return inner(connection)\n"
        "wire._wire._answer = answer\n"
        "found = [context.state.get('other'), context.state.get('other')]\n"
        "wire._wire._answer = inner\n"
        "other = threading.Thread(target=context.state.put, args=('other', 5)); other.start(); other.join()\n"
        "context.events.send('by.the.script')\n"
        "print(found, seen, context.state.get('other'))"
    )
    result = run(ferris, code, service="interrupted", timeout=60)
    assert result.text("stdout") == "[None, None] [1, 2] 5\n", result
    assert sorted(event.type for event in result.events) == ["by.the.handler"] * 2 + ["by.the.script"]


def test_a_signal_handler_may_fork_while_a_call_is_under_way(ferris: Platform) -> None:
    code = (
        "import os, signal\nfrom ferris_ef import context, wire\n"
        "def handler(*_):\n"
        "    if child := os.fork():\n        print(os.waitpid(child, 0)[1], flush=True)\n        return\n"
        "    wire._wire._answer = inner\n    context.state.put('child', 1)\n    os._exit(0)\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "inner = wire._wire._answer\n"
        "wire._wire._answer = lambda connection: (signal.raise_signal(signal.SIGUSR1), inner(connection))[1]\n"
        "context.state.get('x')\nwire._wire._answer = inner\nprint(context.state.get('child'))"
    )
    assert run(ferris, code, service="forks", timeout=60).text("stdout") == "0\n1\n"


def test_an_error_of_the_function_is_told_though_the_executor_has_gone(ferris: Platform) -> None:
    code = (
        "import os\nfrom ferris_ef import context, wire\n"
        "def fails(_):\n    wire._wire._drop()\n    os.environ['FERRIS_CHANNEL'] = '/nowhere'\n"
        "    raise KeyError('mine')\n"
        "try:\n    context.state.update('n', fails)\n"
        "except KeyError as error:\n    print(error, type(error.__context__).__name__, error.__context__)\n"
    )
    said = run(ferris, code).text("stdout")
    assert said.startswith("'mine' PlatformError the executor cannot be reached"), said


def test_events_arrive_with_everything_that_belongs_to_them(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\ndata = {'a': 1}\n"
        "print(context.events.send('some.thing', data=data, reference_id=12))\n"
        "context.events.send('some.other', 'a/source', {'b': [None, 1.5]}, topic='ferris.notifications')\n"
        "context.events.send('some.empty')\nprint(data)"
    )
    result = run(ferris, code, hops=4)
    assert result.text("stdout") == "None\n{'a': 1}\n"
    first, empty = result.events
    assert (first.type, first.source, first.subject, first.data) == (
        "some.thing",
        "a_service",
        "12",
        {"a": 1},
    )
    assert (empty.type, empty.data, empty.subject) == ("some.empty", {}, None)
    assert (first.flow_id, first.hops) == ("ABCDEFGHIJ", 5)
    [note] = [e for e in ferris.events("ferris.notifications") if e.causation_id == first.causation_id]
    assert (note.type, note.source, note.data) == ("some.other", "a/source", {"b": [None, 1.5]})


def test_metrics_arrive_masked_and_as_the_gateway_reads_them(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\n"
        "context.metrics.put('orders.total', 129.5, unit='EUR', labels={'shop': 'north'})\n"
        "context.metrics.put('orders.total', 2, labels={'key': context.secrets.get('key')})\n"
        "raise SystemExit(1)"
    )
    result = run(ferris, code, secrets={"key": "s3cr3t-of-the-shop"})
    assert result.types[-1] == "execution.failed"
    first, second = map(point_of, ferris.events("ferris.metrics"))
    assert (first.name, first.value, first.unit, first.labels) == (
        "orders.total",
        129.5,
        "EUR",
        {"shop": "north"},
    )
    assert first.execution == second.execution
    assert second.labels == {"key": "***"}


def test_event_ids_are_the_same_when_the_execution_is_run_again(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\nfor n in (1, 1, 2):\n    context.events.send('tick', data={'n': n})\n"
        "context.events.send('attempt', data={'attempt': 1})"
    )
    order = ferris.order({"main.py": code})
    ferris.start(order).join()
    first = [event.id for event in ferris.result(order.execution_id).events]
    from dataclasses import replace

    ferris.start(replace(order, attempt=2)).join()
    both = [event.id for event in ferris.result(order.execution_id).events]
    assert both == first * 2
    assert len(set(first)) == 4
    one = content_digest("tick", "a_service", None, {"n": 1}, "ferris.events")
    assert first[1] == sent_event_id(order.execution_id, one, 1)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("''", "ValueError: event_type: is ''"),
        ("7", "TypeError: event_type: is a int"),
        (
            "'ferris.execution.completed'",
            "ValueError: event_type: 'ferris.execution.completed' is a name that only",
        ),
        ("'x', data={'a': {1, 2}}", "TypeError: data.a: a value of type set cannot be written as JSON"),
        ("'x', data={'a': [float('nan')]}", "ValueError: data.a[0]: is nan, which JSON cannot say"),
        ("'x', data={1: 2}", "TypeError: data: has the key 1; expected texts as keys"),
        ("'x', data='y' * 2000000", "ValueError: data: has 2000002 bytes as JSON"),
        ("'x', data=2 ** 70", "ValueError: data: is an integer of more than 64 bits"),
        ("'x', topic='ferris.hpsm'", "ValueError: topic: 'ferris.hpsm' is none that scripts may send to"),
        ("'x', 'a\\nb'", "ValueError: event_source: is 'a\\nb'"),
    ],
)
def test_what_is_wrong_with_an_event_is_said_at_once(ferris: Platform, call: str, problem: str) -> None:
    result = run(ferris, f"from ferris_ef import context\ncontext.events.send({call})")
    assert result.last.data["reason"] == "script_failed"
    assert problem in result.last.data["error"]
    assert result.events == []


def test_whatever_the_library_lets_pass_the_log_takes(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\ndeep = 1\nfor _ in range(62):\n    deep = [deep]\n"
        "context.events.send('deep', data=deep)\n"
        "context.events.send('big', data='y' * (1024 * 1024 - 5000))\n"
        "context.events.send('wide', data='\\u00e4\\U0001f600' * 80000)\n"
        "context.events.send('n' * 512, 's' * 512, reference_id='r' * 512, data=[2**64 - 1, -2**63, 1e308])\n"
        "try:\n    context.events.send('deeper', data=[deep])\nexcept ValueError as error:\n    print(error)"
    )
    result = run(ferris, code)
    assert [event.type[:4] for event in result.events] == ["deep", "big", "wide", "nnnn"], result.lines
    assert result.text("stdout") == "data: is nested deeper than 64 levels\n"


def test_events_of_a_script_that_dies_are_not_lost(ferris: Platform) -> None:
    code = (
        "import os, signal\nfrom ferris_ef import context\n"
        "for n in range(500):\n    context.events.send('n', data={'n': n})\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    result = run(ferris, code)
    assert [event.data["n"] for event in result.events] == list(range(500))
    assert result.last.data["error"] == "main.py was ended by SIGKILL"


def test_events_of_threads_and_children(ferris: Platform) -> None:
    code = (
        "import threading, multiprocessing\nfrom ferris_ef import context\n"
        "def send(name):\n    for n in range(20):\n        context.events.send(name, data={'n': n})\n"
        "if __name__ == '__main__':\n"
        "    context.events.send('start')\n"
        "    all = [threading.Thread(target=send, args=(f't{i}',)) for i in range(3)]\n"
        "    all += [multiprocessing.Process(target=send, args=(f'p{i}',)) for i in range(2)]\n"
        "    all += [multiprocessing.get_context('spawn').Process(target=send, args=('s',))]\n"
        "    [one.start() for one in all]\n    [one.join() for one in all]"
    )
    result = run(ferris, code)
    names = [event.type for event in result.events]
    assert {name: names.count(name) for name in set(names)} == {
        "start": 1, "t0": 20, "t1": 20, "t2": 20, "p0": 20, "p1": 20, "s": 20,
    }  # fmt: skip


def test_logging_keeps_its_level_and_is_not_doubled(ferris: Platform) -> None:
    code = (
        "import logging\nlogging.basicConfig(level=0)\nfrom ferris_ef import context\nlog = context.logging\n"
        "log.debug('not shown')\nlog.info('an %s', 'info')\nlog.warning('w')\nlog.error('two\\nlines')\n"
        "log.critical('c')\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('caught')"
    )
    result = run(ferris, code)
    said = [(line["stream"], line["level"], line["message"].split("\n")[0]) for line in result.lines]
    assert said == [
        ("log", "info", "an info"), ("log", "warning", "w"), ("log", "error", "two"), ("log", "critical", "c"),
        ("log", "error", "caught"),
    ]  # fmt: skip
    assert result.lines[-1]["message"].endswith("ZeroDivisionError: division by zero")
    debugging = run(
        ferris, "from ferris_ef import context\ncontext.logging.debug('shown')", config={"LOG_LEVEL": "debug"}
    )
    assert [(line["level"], line["message"]) for line in debugging.lines] == [("debug", "shown")]


def test_scheduling_in_both_signatures(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\ns = context.scheduler\n"
        "print(s.schedule('other', 'an.event', {'a': 1}, '*/5 * * * *'))\n"
        "s.schedule(cron_expression='0 3 * * *', parameters={'b': 2})\ns.schedule(minutes=5)\ns.schedule(90)\n"
        "s.retry(hours=1, parameters={'c': 3})\n"
        "try:\n    s.retry()\nexcept ValueError as error:\n    print(error)"
    )
    ferris.control.requests.clear()
    result = run(ferris, code)
    assert result.text("stdout") == "42\nsay when: minutes, hours, days or cron_expression\n"
    asked = [
        (path, body["name"], body["parameters"], body["schedule"])
        for _, path, body in ferris.control.requests
    ]
    assert asked[:2] == [
        ("/services/other/schedule", "an.event", {"a": 1}, "*/5 * * * *"),
        ("/services/7/schedule", "a_service", {"b": 2}, "0 3 * * *"),
    ]
    for path, _, parameters, when in asked[2:]:
        assert path == "/services/7/schedule"
        assert len([int(part) for part in when.split()]) == 4
        assert parameters in ({}, {"c": 3})
    assert len(asked) == 5


def test_objects(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\nfrom ferris_ef.wire import PlatformError\nput = context.objects.put\n"
        "size = put('reports', 'a/b.csv', b'x;y\\n', content_type='text/csv')['size']\n"
        "print(size, put('reports', 't', 'text')['key'])\n"
        ""
        "print(context.objects.get('reports', 'a/b.csv'), len(context.objects.get('reports', 'big')))\n"
        "for bad in (('reports', 'none'), ('packages', 'x'), ('reports', '../x')):\n"
        "    try:\n        context.objects.get(*bad)\n    except PlatformError as error:\n        print(error)"
    )
    ferris.executor.objects.put("reports", "big", b"\0\xff" * 4_000_000)
    lines = run(ferris, code).text("stdout").splitlines()
    assert lines[:2] == ["4 t", "b'x;y\\n' 8000000"]
    assert len(lines) == 5
    info = ferris.executor.objects.stat("reports", "a/b.csv")
    assert info is not None
    assert info.content_type == "text/csv"
    told = [event for event in ferris.events(EVENTS) if event.type == FILE_UPLOADED]
    assert [event.subject for event in told] == ["reports/a/b.csv", "reports/t"]
    assert told[0].data == {
        "bucket": "reports", "key": "a/b.csv", "file_name": "b.csv", "size": 4, "etag": info.etag,
        "content_type": "text/csv",
    }  # fmt: skip
    assert (told[0].hops, bool(told[0].causation_id)) == (1, True)
