"""Why somebody is not signed in: the reasons that a sign-in page tells."""

from __future__ import annotations

from ferris.errors import FerrisError


class SignInRefused(FerrisError):
    """A sign-in that ends here. `reason` is for the person at the screen, `status` the answer's."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status
