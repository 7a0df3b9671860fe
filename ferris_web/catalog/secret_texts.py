"""Whether a secret stands in a text that is about to be kept or told elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ferris.errors import FerrisError
from ferris.json_values import texts_in
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.secrets import SealedSecret, secrets_of, secrets_opened

_SHORTEST: Final = 4  # characters; shorter texts are found by chance everywhere


def hides(
    owner: Service | Project | None, value: bytes, sealed: Iterable[SealedSecret] | None = None
) -> bool:
    """True when a secret that a service, a project or the platform sees stands in this value, and when nobody can
    tell. `sealed`: those that a service may see, where they were read for several at once."""
    try:
        if sealed is not None and isinstance(owner, Service):
            secrets = secrets_opened(owner.pk, owner.project_id, sealed)
        else:
            secrets = secrets_of(owner)
    except FerrisError:
        return True  # who cannot tell must not tell
    return holds_secret(value.decode(errors="replace"), secrets)


def holds_secret(text: str, secrets: Mapping[str, Any]) -> bool:
    """True when one of these secrets, or a part of one, stands in the text, as it is or as JSON writes it."""
    for secret in texts_in(list(secrets.values())):
        if len(secret) >= _SHORTEST and (secret in text or json.dumps(secret)[1:-1] in text):
            return True
    return False
