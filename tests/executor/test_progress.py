"""`context.progress` on its way through the executor."""

from __future__ import annotations

from tests.executor.control_server import Platform


def words(result) -> list[tuple[object, object, object]]:  # type: ignore[no-untyped-def]
    return [
        (report.data["done"], report.data["total"], report.data["message"])
        for report in result.reports
        if report.type == "ferris.execution.progress"
    ]


def test_a_hundred_thousand_calls_are_a_few_reports(ferris: Platform) -> None:
    code = (
        "from fx_ef import context\n"
        "for n in range(100_000): context.progress(n, 100_000)\n"
        "context.progress(100_000, 100_000, 'all  of\\nthem ' + 'x' * 500)\n"
    )
    result = ferris.run({"main.py": code})
    said = words(result)
    assert said[0] == (0, 100_000, "")
    assert said[-1] == (100_000, 100_000, ("all of them " + "x" * 500)[:200])
    assert len(said) < 200
    assert result.types[-2:] == ["step.completed", "execution.completed"]
    assert result.types[-3] == "execution.progress"
    assert len({report.id for report in result.reports}) == len(result.reports)
    assert result.reports[-3].data["script"] == "main.py"


def test_no_secret_in_a_message(ferris: Platform) -> None:
    code = "from ferris_ef import context\ncontext.progress(1, message='with ' + context.secrets['s'])"
    result = ferris.run({"main.py": code}, secrets={"s": "correct-horse"})
    assert words(result) == [(1, None, "with ***")]


def test_wrong_numbers_are_the_scripts_error(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\n"
        "for wrong in ('3', None, -1, float('nan'), True):\n"
        "    try: context.progress(wrong)\n"
        "    except (TypeError, ValueError) as error: print(error)\n"
    )
    result = ferris.run({"main.py": code})
    assert result.text("stdout").count("done: is ") == 5
    assert words(result) == []


def test_what_is_said_last_arrives_while_the_script_goes_on(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\nimport time\n"
        "for n in range(1000): context.progress(n, 1001)\n"
        "context.progress(1000, 1001, 'saving')\n"
        "print('now', flush=True)\ntime.sleep(600)\n"
    )
    order = ferris.order({"main.py": code})
    thread = ferris.start(order)
    ferris.wait_progress(order.execution_id, 1000)
    ferris.control.stop[order.execution_id] = "cancelled"
    thread.join(60)
    assert words(ferris.result(order.execution_id))[-1] == (1000, 1001, "saving")


def test_a_script_that_forks_while_it_tells(ferris: Platform) -> None:
    code = (
        "import os, warnings\nwarnings.simplefilter('ignore')\nfrom ferris_ef import context\n"
        "for n in range(200):\n"
        "    context.progress(n, 200)\n"
        "    if n % 20 == 0 and os.fork() == 0:\n"
        "        context.progress(n, 200, 'child')\n        os._exit(0)\n"
        "while True:\n    try: os.wait()\n    except ChildProcessError: break\n"
        "context.progress(200, 200)\n"
    )
    result = ferris.run({"main.py": code})
    assert result.types[-1] == "execution.completed"
    assert words(result)[-1] == (200, 200, "")
