"""Finds the texts of the console, updates the catalogues of translations and compiles them: `make messages`.

Babel does it, so that nothing of GNU gettext has to be installed. No places and no dates are written and the messages
are sorted: what somebody adds changes those lines only. Catalogues and what is compiled of them are both committed.

There are two for each language: `django` has the texts of the console, which Django translates where they stand;
`sentences` what the domain says in English, which the console recognises (`console/sentences.py`).
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from ferris_web.locale.sentences import sentences

HERE: Final = Path(__file__).resolve().parent
TOP: Final = HERE.parent
LANGUAGES: Final = ("de",)
DJANGO, SENTENCES = "django", "sentences"
DOMAINS: Final = (DJANGO, SENTENCES)
_KEYWORDS: Final = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop")),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
_NO_DATE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DROPPED: Final = (
    "POT-Creation-Date",
    "PO-Revision-Date",
    "Last-Translator",
    "Language-Team",
    "Generated-By",
)


def sources() -> Iterator[tuple[Path, bytes]]:
    """Every file that may hold texts, as Python that Babel reads."""
    for path in sorted(TOP.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path, path.read_bytes()
    for path in sorted(TOP.rglob("templates/**/*.html")):
        # In brackets, the indentation of a template means nothing to Python.
        yield path, f"(\n{templatize(path.read_text())}\n)".encode()


def template(domain: str = DJANGO) -> Catalog:
    """All texts of the code."""
    found = Catalog(charset="utf-8")
    if domain == SENTENCES:
        for text in sentences():
            found.add(text)
        return found
    for _path, source in sources():
        for _line, message, comments, context in extract("python", io.BytesIO(source), _KEYWORDS):
            found.add(message, auto_comments=comments, context=context)
    return found


def po(language: str, domain: str = DJANGO) -> Path:
    """Where the translations are written."""
    return HERE / language / "LC_MESSAGES" / f"{domain}.po"


def mo(language: str, domain: str = DJANGO) -> Path:
    """Where they are compiled."""
    return po(language, domain).with_suffix(".json" if domain == SENTENCES else ".mo")


def read(language: str, domain: str = DJANGO) -> Catalog:
    """The catalogue of a language."""
    with po(language, domain).open("rb") as file:
        return read_po(file, locale=language, charset="utf-8", abort_invalid=True)


def written(catalog: Catalog) -> bytes:
    """The catalogue as the file has it."""
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=110, sort_output=True, no_location=True, ignore_obsolete=True)
    lines = buffer.getvalue().decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(tuple(f'"{d}:' for d in _DROPPED))).encode()


def compiled(catalog: Catalog, domain: str = DJANGO) -> bytes:
    """What Django loads, or the console: whole sentences by their English, in the order of the catalogue."""
    if domain == SENTENCES:
        pairs = {str(one.id): str(one.string) for one in catalog if one.id and one.string and not one.fuzzy}
        return (json.dumps(dict(sorted(pairs.items())), ensure_ascii=False, indent=0) + "\n").encode()
    catalog.creation_date = catalog.revision_date = _NO_DATE
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def lacking(catalog: Catalog) -> list[str]:
    """The texts without a translation that may be used."""
    return [
        str(one.id)
        for one in catalog
        if one.id and (one.fuzzy or not all([*one.string] if isinstance(one.string, tuple) else [one.string]))
    ]


def update(language: str, domain: str) -> list[str]:
    """Bring both files up to date; the texts that have no translation yet."""
    catalog = read(language, domain)
    comment = catalog.header_comment
    catalog.update(template(domain), no_fuzzy_matching=True, update_header_comment=False)
    catalog.header_comment = comment
    po(language, domain).write_bytes(written(catalog))
    mo(language, domain).write_bytes(compiled(read(language, domain), domain))
    return lacking(catalog)


if __name__ == "__main__":
    missing = {(language, domain): update(language, domain) for language in LANGUAGES for domain in DOMAINS}
    for (language, domain), texts in missing.items():
        print(f"{language}, {domain}: {len(texts)} texts to translate")
        for text in texts:
            print(f"  {text}")
    sys.exit(any(missing.values()))
