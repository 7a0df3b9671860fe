"""The documentation holds together: decisions have numbers of their own, links lead somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "compose").glob("*.md"))]


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = Counter(path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [number for number, count in numbers.items() if count > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text)
    lost = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert lost == []


def test_every_page_stands_in_the_table_of_contents() -> None:
    contents = (ROOT / "docs" / "README.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in contents] == []


def test_every_setting_is_explained() -> None:
    code = "".join((ROOT / "ferris" / name).read_text() for name in ("config.py", "variables.py"))
    read = set(re.findall(r"\"(FERRIS_[A-Z_]+)\"", code))
    read |= {f"FERRIS_OIDC_{name}" for name in re.findall(r"\{prefix\}([A-Z_]+)\"", code)}
    assert "FERRIS_OIDC_SIGN_OUT" in read
    told = set(re.findall(r"`(FERRIS_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text()))
    assert sorted(read - told) == []
