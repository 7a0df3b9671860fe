"""Which files run when the manifest names none."""

from __future__ import annotations

import pytest

from ferris.documents import Notes
from ferris.manifest import parse_service
from ferris.scripts import only_defines

DEFINES = {
    "empty": "",
    "comments": "# nothing\n",
    "docstring": '"""Text."""\n',
    "imports": "from __future__ import annotations\nimport os, sys\nfrom .x import y\n",
    "functions": "def f():\n    print(1)\n\nasync def g(): ...\n",
    "classes": "class A(B):\n    x = compute()\n",
    "decorated": "@decorate(1)\ndef f(): pass\n",
    "constants": "A = 1\nB: int = -2\nC: str\nD, E = 'x', f'{A}'\nF = [A, {'k': (B,)}]\nG = A if B else 2 * A\n",
    "types": "JSON = dict[str, object]\nF = int | None\n",
    "dunder": "__all__ = ['a']\n__all__ += ['b']\n",
    "makers": "log = logging.getLogger(__name__)\nR = re.compile('x')\nP = Path(__file__)\nS = frozenset({1})\n",
    "lambda": "f = lambda x: x + 1\n",
    "type checking": "if TYPE_CHECKING:\n    import a\n",
    "typing.type checking": "if typing.TYPE_CHECKING:\n    import a\nelse:\n    a = None\n",
    "optional import": "try:\n    import yaml\nexcept ImportError:\n    yaml = None\n",
    "pass and ellipsis": "pass\n...\n",
}
DOES = {
    "call": "main()\n",
    "print": "import os\nprint(os.getcwd())\n",
    "main guard": "def main(): pass\n\nif __name__ == '__main__':\n    main()\n",
    "result of a call": "rows = load()\n",
    "call inside a constant": "A = [f(x) for x in range(3)]\n",
    "loop": "for i in range(3):\n    pass\n",
    "with": "with open('x') as f:\n    pass\n",
    "if": "if A:\n    B = 1\n",
    "else of type checking": "if TYPE_CHECKING:\n    import a\nelse:\n    run()\n",
    "try": "try:\n    run()\nexcept Exception:\n    pass\n",
    "handler": "try:\n    import a\nexcept ImportError:\n    raise SystemExit(1)\n",
    "delete": "del x\n",
    "walrus": "A = (b := 1)\n",
    "raise": "raise SystemExit\n",
    "assert": "assert True\n",
}


@pytest.mark.parametrize("name", DEFINES)
def test_modules_that_only_define(name: str) -> None:
    assert only_defines("x.py", DEFINES[name].encode(), Notes())


@pytest.mark.parametrize("name", DOES)
def test_scripts_that_do_something(name: str) -> None:
    assert not only_defines("x.py", DOES[name].encode(), Notes())


def test_alphabetical_order_and_what_is_left_out() -> None:
    run, library = b"print(1)", b"def f(): pass"
    parsed = parse_service(
        {
            "manifest.json": b"{}",
            "b.py": run,
            "a.sql": b"select 1",
            "B.py": run,
            "10.py": run,
            "9.py": run,
            "__init__.py": run,
            "conftest.py": run,
            "test_b.py": run,
            "library.py": library,
            "sub/c.py": run,
            "data.csv": b"",
        }
    )
    assert parsed.manifest is not None
    assert parsed.manifest.scripts == ("10.py", "9.py", "B.py", "a.sql", "b.py")
    assert [(m.level, m.file) for m in parsed.messages] == [("info", "library.py")]


def test_a_named_module_runs_whatever_it_holds() -> None:
    parsed = parse_service({"manifest.json": b'{"entrypoint": "lib.py"}', "lib.py": b"def f(): pass"})
    assert parsed.manifest is not None
    assert parsed.manifest.scripts == ("lib.py",)
    assert parsed.messages == ()


def test_no_script_is_a_warning() -> None:
    parsed = parse_service({"manifest.json": b"{}", "lib.py": b"X = 1"})
    assert parsed.manifest is not None
    assert parsed.manifest.scripts == ()
    assert [(m.level, m.file) for m in parsed.messages] == [("info", "lib.py"), ("warning", "manifest.json")]


@pytest.mark.parametrize("manifest", [b"{}", b'{"entrypoint": "-c.py"}', b'{"execution_order": ["./-c.py"]}'])
def test_names_that_programs_take_for_options_are_refused(manifest: bytes) -> None:
    parsed = parse_service({"manifest.json": manifest, "-c.py": b"main()"})
    assert parsed.manifest is None
    assert any("begins with -" in str(message) for message in parsed.messages)


@pytest.mark.parametrize("source", [b"def (", b"\xff\xff", b"x = '\0'", b"(" * 500, b"x = 1 +\n"])
def test_what_cannot_be_parsed_is_run_with_a_warning(source: bytes) -> None:
    for manifest in (b"{}", b'{"entrypoint": "x.py"}'):
        parsed = parse_service({"manifest.json": manifest, "x.py": source})
        assert parsed.manifest is not None
        assert parsed.manifest.scripts == ("x.py",)
        assert [(m.level, m.file) for m in parsed.messages] == [("warning", "x.py")]


def test_a_huge_file_is_not_looked_into() -> None:
    assert not only_defines("x.py", b"#" * (1024 * 1024 + 1), Notes())
