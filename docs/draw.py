"""Draws the diagrams of the documentation: `make pictures`. Needs Chromium, and npm for mermaid.

A diagram is a ```mermaid block; its picture is named after its text, so that a changed diagram has none until it is
drawn again, and the pictures of those that are gone are removed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ferris_web.console.picture_names import picture_name  # noqa: E402

_MERMAID = "mermaid@12.3.0"
_STATIC = ROOT / "ferris_web" / "console" / "static"


def diagrams() -> dict[str, str]:
    """The text of every diagram by the name of its picture."""
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "compose" / "README.md"]
    texts = [
        text
        for page in pages
        for text in re.findall(r"^```mermaid\n(.*?)^```", page.read_text(), re.S | re.M)
    ]
    return {picture_name(text): text for text in texts}


def main() -> None:
    """Draw what has no picture yet, remove what has no diagram any more."""
    from playwright.sync_api import sync_playwright

    wanted = diagrams()
    folder = _STATIC / Path(picture_name("")).parent
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.relative_to(_STATIC).as_posix() not in wanted:
            old.unlink()
    missing = {name: text for name, text in wanted.items() if not (_STATIC / name).exists()}
    if not missing:
        return
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        subprocess.run(
            ["npm", "pack", "--silent", _MERMAID], cwd=place, check=True, stdout=subprocess.DEVNULL
        )
        with tarfile.open(next(Path(place).glob("*.tgz"))) as package:
            package.extractall(place, filter="data")
        rights = ["--no-sandbox"] if os.geteuid() == 0 else []
        page = playwright.chromium.launch(executable_path=chromium, args=rights).new_page()
        page.add_script_tag(path=str(Path(place) / "package" / "dist" / "mermaid.min.js"))
        page.evaluate(
            "mermaid.initialize({startOnLoad: false, htmlLabels: false, flowchart: {htmlLabels: false}})"
        )
        for number, (name, text) in enumerate(missing.items()):
            drawn = page.evaluate("([id, text]) => mermaid.render(id, text)", [f"d{number}", text])
            (_STATIC / name).write_text(_as_picture(drawn["svg"]) + "\n")
            print(f"drew {name}")


def _as_picture(svg: str) -> str:
    """With a size of its own: a picture has no page whose width it could take."""
    width, height = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    svg = re.sub(r'(<svg[^>]*?) width="100%"', r"\1", svg, count=1)
    return svg.replace("<svg ", f'<svg width="{float(width):.0f}" height="{float(height):.0f}" ', 1).replace(
        "<br>", "<br/>"
    )


if __name__ == "__main__":
    main()
