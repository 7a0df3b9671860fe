"""`export`: a project of a running platform as a folder that git takes."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from remote.client import Client, Refused, part
from remote.saving import new_file
from remote.showing import clean
from remote.words import told

Options = argparse.Namespace
ALL_OF_IT = (
    "without --project this carries a whole platform, which must stand still for it, and then it has no API: "
    "`manage.py export FILE` on its own machine does it. From here, and while it runs, `export FILE --project NAME` "
    "has one project"
)
BROKEN_OFF = "the platform broke off in the middle; its log says why. Nothing was written here: ask again"


def add_export(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a new file, such as shop.zip")
    parser.add_argument(
        "--project",
        metavar="NAME",
        help="this project alone, as folders that git and `project add` take; the platform goes on running",
    )


def export(client: Client, options: Options) -> int:
    """Save one project."""
    if not options.project:
        raise Refused(ALL_OF_IT)
    saved(options, lambda: client.content(f"projects/{part(options.project)}/export/"))
    return 0


def saved(options: Options, ask: Callable[[], Iterable[bytes]]) -> None:
    """Write the pieces that `ask` gives to the file, and say what it is. Refused when they are no whole archive."""
    with new_file(options.file) as stream:
        for piece in ask():
            stream.write(piece)
        size = stream.tell()
        try:
            with zipfile.ZipFile(stream) as archive:
                services = {name.split("/")[1] for name in archive.namelist() if name.count("/") > 1}
        except zipfile.BadZipFile:
            raise Refused(BROKEN_OFF) from None
    values = {"project": options.project, "file": str(options.file), "services": len(services), "bytes": size}
    line = (
        f"Written: {options.file} ({size:,} bytes), {len(services)} services of {options.project}. README.md in it "
        "says what has to be set by hand where it goes."
    )
    told(options, clean(line), values)
