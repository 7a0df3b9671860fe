"""The texts that scripts of the console show, for pages in another language: the page carries them as JSON.

English stands in the scripts themselves, as `say("…")`; a test sees that all of it is here.
"""

from __future__ import annotations

import json
from typing import Final

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

TEXTS: Final = (
    _("Theme: system"),
    _("Theme: light"),
    _("Theme: dark"),
    _("Copied"),
    _("Press Ctrl+C"),
    _("Back"),
    _("just now"),
    _("{amount} ago"),
    _("in {amount}"),
    _("d"),
    _("Not live since {time}: the connection was lost."),
    _(
        "Not live since {time}: too many pages are open, or the platform is busy. It is tried again in a minute."
    ),
    _("{amount} new"),
    _("Go to"),
    _("A page, a service, an id …"),
    _("Found"),
    _("Arrow keys choose, Enter goes there, Esc closes."),
    _("{amount} found"),
    _("Tab leaves the text now"),
    _("You are not allowed to do this. Ask an owner of the project."),
    _("That is not there any more. Load the page again."),
    _("Too much was asked for. Wait a moment and try again."),
    _("The server could not answer ({status}). Nothing on this page was changed; try again."),
    _("The server cannot be reached. What you see may be old."),
    _("Sending …"),
    _("Stopped."),
    _("Not shown here: it is a file."),
    _("Only its beginning is shown."),
    _("This has just changed, and nothing was done. Press again if you mean it."),
    _("What you were asked about has changed meanwhile. Nothing was done."),
    _("{name} is number {number} of {count}"),
    _("This device has a passkey for you already."),
    _("No passkey was shown. Try again, or use another way."),
    _("What you typed is here again. It was not sent; secrets and files are to be given again."),
)


def script_words() -> str:
    """They, translated; nothing where the scripts' own English is right."""
    if (get_language() or "en").startswith("en"):
        return ""
    return json.dumps({text: gettext(text) for text in TEXTS}, ensure_ascii=False)
