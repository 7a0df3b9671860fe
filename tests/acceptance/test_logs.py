"""What scripts print is kept: all of it, in order, whatever bytes it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.acceptance.client import until
from tests.acceptance.services import Project

GO = {"trigger_events": ["TAG.go"]}


def run(project: Project, script: str) -> tuple[str, list[dict[str, Any]]]:
    """The id of an execution of this script, and its lines of both streams."""
    project.load({"TAG_s": {"manifest.json": GO, "s.py": script}})
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    assert row["status"] == "completed", client.logs(row["id"])
    return row["id"], [line for line in client.logs(row["id"]) if line["stream"] in ("stdout", "stderr")]


def test_lines_keep_their_order_over_both_streams(project: Project) -> None:
    script = """
        import sys
        for n in range(1500):
            print(f"line {n}", file=sys.stderr if n % 5 == 0 else sys.stdout, flush=True)
    """
    _, lines = run(project, script)
    for stream, wanted in (
        ("stderr", [f"line {n}" for n in range(0, 1500, 5)]),
        ("stdout", [f"line {n}" for n in range(1500) if n % 5]),
    ):
        assert [line["message"] for line in lines if line["stream"] == stream] == wanted
    times = [line["time"] for line in lines]
    assert times == sorted(times)
    assert {line["step"] for line in lines} == {"s.py"}
    assert {line["level"].lower() for line in lines if line["stream"] == "stdout"} == {"info"}


def test_any_text_and_any_bytes(project: Project) -> None:
    script = r"""
        import os
        write = lambda data: os.write(1, data)
        write("Grüße, 世界 🎉 \u202e\u0000zero\n".encode())
        write(b"bad \xff\xfe bytes\n")
        write("cut in two: ü".encode()[:-1]); write("ü\n".encode()[-2:])
        write(b"\n")
        write(b"\x1b[31mred\x1b[0m\n")
        write(b"carriage\r\nreturn\r\n")
        write(b'{"json": "<script>alert(1)</script>"}\n')
        write(b"no newline at the end")
    """
    _, lines = run(project, script)
    said = [line["message"] for line in lines]
    assert said[0].startswith("Grüße, 世界 🎉")
    assert said[0].endswith("zero")
    assert said[1].startswith("bad ")
    assert said[1].endswith(" bytes")
    assert said[2].startswith("cut in two: ü")
    assert said[3] == ""
    assert "red" in said[4]
    assert [text.rstrip("\r") for text in said[5:7]] == ["carriage", "return"]
    assert said[7] == '{"json": "<script>alert(1)</script>"}'
    assert said[8:] == ["no newline at the end"]


def test_what_has_ended_has_its_whole_log(project: Project) -> None:
    script = "for n in range(5000):\n    print('line', n, 'x' * 200)"
    project.load({"TAG_s": {"manifest.json": GO, "s.py": script}})
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    stored = [line for line in client.stored_logs(row["id"]) if line["stream"] == "stdout"]
    assert len(stored) == 5000
    assert stored == [line for line in client.logs(row["id"]) if line["stream"] == "stdout"]


def test_a_long_line_is_kept_or_cut_with_a_mark(project: Project) -> None:
    _, lines = run(project, "print('begin' + 'x' * 3_000_000 + 'end')\nprint('after')")
    assert lines[-1]["message"] == "after"
    text = "".join(line["message"] for line in lines[:-1])
    assert text.startswith("begin" + "x" * 1000)
    assert text.endswith("end") or "cut" in text[-200:] or "trunc" in text[-200:], text[-200:]


def test_a_flood_ends_with_a_notice(project: Project) -> None:
    """Ten mebibytes are kept (FERRIS_LOG_LIMIT): a script that floods does not harm the platform."""
    project.load(
        {
            "TAG_s": {
                "manifest.json": GO,
                "s.py": "line = 'y' * 1023\nfor n in range(12 * 1024):\n    print(line)\nprint('the end')",
            }
        }
    )
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1, timeout=60)[0]
    assert row["status"] == "completed"
    kept = client.logs(row["id"])
    assert kept == client.stored_logs(row["id"])
    assert 5 * 1024 < len(kept) < 12 * 1024
    assert any("limit" in line["message"].lower() for line in kept if line["stream"] == "platform"), kept[-2:]


def test_the_loggers_levels(project: Project) -> None:
    script = """
        from ferris_ef import context
        context.logging.debug("d")
        context.logging.info("i")
        context.logging.warning("w")
        context.logging.error("e")
    """
    project.load({"TAG_s": {"manifest.json": GO, "s.py": script, "config.json": {"LOG_LEVEL": "DEBUG"}}})
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    said = [
        (x["level"].lower(), x["message"]) for x in client.logs(row["id"]) if x["message"] in list("diwe")
    ]
    assert said == [("debug", "d"), ("info", "i"), ("warning", "w"), ("error", "e")]


def test_a_log_can_be_followed_while_it_grows(project: Project, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    project.load(
        {
            "TAG_s": {
                "manifest.json": GO,
                "s.py": f"""
                    import os, time
                    print("first", flush=True)
                    while not os.path.exists({str(go_on)!r}):
                        time.sleep(0.02)
                    print("second")
                """,
            }
        }
    )
    client = project.client
    flow = project.emit("TAG.go")
    row = until(lambda: client.executions(correlation_id=flow, status="in_progress"), 20, "not started")[0]
    seen = []
    for line in client.lines(f"/api/v1/executions/{row['id']}/logs/?follow=1"):  # ends with the execution
        seen.append(line.decode())
        if "first" in seen[-1]:
            assert client.execution(row["id"])["status"] == "in_progress"
            go_on.touch()
    assert "second" in "".join(seen)
