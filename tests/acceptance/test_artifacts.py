"""How far a script is and what files it leaves, seen from outside."""

from __future__ import annotations

from typing import Any

from tests.acceptance.client import until
from tests.acceptance.services import Project

GO = {"trigger_events": ["TAG.go"]}


def test_progress_is_on_the_execution_while_it_runs(project: Project) -> None:
    script = """
        import os, time
        from ferris_ef import context

        context.progress(1, 4, "waiting")
        while not context.state.get("go_on"): time.sleep(0.05)
        for n in range(2, 5): context.progress(n, 4)
    """
    project.load({"TAG_s": {"manifest.json": GO, "s.py": script}})
    client, flow = project.client, project.emit("TAG.go")

    def waiting() -> dict[str, Any] | None:
        rows = project.runs("TAG_s")
        return rows[0] if rows and rows[0]["progress"] else None

    seen = until(waiting, 30, "no progress was seen")
    assert seen["status"] == "in_progress"
    assert {name: seen["progress"][name] for name in ("done", "total", "message")} == {
        "done": 1, "total": 4, "message": "waiting",
    }  # fmt: skip
    answer = client.request("PUT", f"/api/v1/services/{project('TAG_s')}/state/", {"go_on": True})
    assert answer.status < 300, answer.body
    row = client.flow(flow, 1)[0]
    assert (row["status"], row["progress"]["done"]) == ("completed", 4)


def test_files_are_kept_also_of_a_failed_step(project: Project) -> None:
    first = """
        import os
        os.makedirs(os.environ["FERRIS_ARTIFACTS"] + "/deep")
        open(os.environ["FERRIS_ARTIFACTS"] + "/deep/ü a.csv", "w").write("a,b\\n1,2\\n")
        os.symlink("/etc/passwd", os.environ["FERRIS_ARTIFACTS"] + "/passwd")
    """
    second = """
        from ferris_ef import context
        context.artifacts.put("page.html", "<h1>x</h1>")
        1 / 0
    """
    project.load({"TAG_s": {"manifest.json": GO, "a.py": first, "b.py": second}})
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    assert row["status"] == "failed"
    found = client.all(f"/api/v1/executions/{row['id']}/artifacts/")
    assert [(one["name"], one["size"], one["script"], one["content_type"]) for one in found] == [
        ("deep/ü a.csv", 8, "a.py", "text/csv"),
        ("page.html", 10, "b.py", "text/html"),
    ]
    bodies = [client.request("GET", one["url"]) for one in found]
    assert [answer.body for answer in bodies] == [b"a,b\n1,2\n", b"<h1>x</h1>"]
    assert any("'passwd' is not kept: it is a link" in line["message"] for line in client.logs(row["id"]))
