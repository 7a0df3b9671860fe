"""Files of which git has a pointer alone, as Git LFS leaves them where it does not fetch."""

from __future__ import annotations

import pytest

from ferris.manifest import Parsed, parse_service

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 48213\n"


def said(parsed: Parsed) -> list[tuple[str, str]]:
    return [(message.level, message.file) for message in parsed.messages if "Git LFS" in message.text]


@pytest.mark.parametrize(
    "name",
    ["run.py", "part/module.py", "query.sql", "manifest.json", "config.json", "secrets.json", "parameters.json",
     "metadata.json", "requirements.txt"],
)  # fmt: skip
def test_what_the_platform_runs_or_reads_is_refused(name: str) -> None:
    parsed = parse_service({"main.py": b"print(1)\n", name: POINTER})
    assert parsed.manifest is None
    assert said(parsed) == [("error", name)]
    [told] = [message.text for message in parsed.messages if message.file == name]  # and nothing of its JSON
    assert "commit it as an ordinary file" in told


def test_of_what_scripts_read_it_is_said() -> None:
    files = {"main.py": b"print(1)\n", "data/model.bin": POINTER, "README.md": POINTER}
    parsed = parse_service(files)
    assert parsed.manifest is not None
    assert said(parsed) == [("warning", "README.md"), ("warning", "data/model.bin")]
    [told] = {message.text for message in parsed.messages if message.file == "data/model.bin"}
    assert "bucket" in told


@pytest.mark.parametrize(
    "content", [b"", b"version 2\n", POINTER[:30], POINTER + b"x" * 1024, b"# " + POINTER]
)
def test_other_files_are_none(content: bytes) -> None:
    assert said(parse_service({"main.py": b"print(1)\n", "notes.txt": content})) == []
