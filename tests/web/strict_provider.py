"""The OpenID Connect provider of the tests, stricter than it comes: no code without PKCE, and no way back after a
sign-out that the client did not register.

`python -m tests.web.strict_provider PORT`
"""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import urlsplit

import flask
import uvicorn
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7636 import CodeChallenge
from oidc_provider_mock import _app

BACK = "/sign-in/"  # what clients have registered as post_logout_redirect_uri, at whatever host
ALWAYS = "S256"


class Strict(CodeChallenge):
    """RFC 7636, of every client and by S256 alone (RFC 9700 section 2.1.1)."""

    asked: dict[str, str]

    def __init__(self) -> None:
        super().__init__(required=True)
        self.asked = {}

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != ALWAYS:
            raise InvalidRequestError("Missing 'code_challenge' by S256")
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        if not grant.request.form.get("code_verifier"):
            raise InvalidRequestError("Missing 'code_verifier'")
        super().validate_code_verifier(grant, result)

    def get_authorization_code_challenge(self, authorization_code: Any) -> Any:
        return self.asked.get(authorization_code.code)

    def get_authorization_code_challenge_method(self, authorization_code: Any) -> str:
        return ALWAYS


STRICT = Strict()


class Grant(_app.AuthorizationCodeGrant):
    """Remembers the challenge beside the code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        STRICT(self)

    def save_authorization_code(self, code: str, request: Any) -> None:
        STRICT.asked[code] = request.payload.data["code_challenge"]
        super().save_authorization_code(code, request)


def end_session() -> Any:
    """Ends the session at once, if the hint is a token of this provider for that client."""
    said = flask.request.values
    back = said.get("post_logout_redirect_uri", "")
    try:
        claims = _app.jose.jwt.decode(said["id_token_hint"], flask.g.oidc_provider_mock_storage.jwk)
    except Exception:
        return "the hint is no token of this provider", 400
    if claims["aud"] not in (said.get("client_id"), [said.get("client_id")]):
        return "the token is another client's", 400
    if urlsplit(back).path != BACK:
        return "post_logout_redirect_uri is not registered", 400
    return flask.redirect(back)


def main(port: int) -> None:
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    _app.AuthorizationCodeGrant = Grant
    provider = _app.app(require_nonce=True)
    provider.view_functions[f"{_app.blueprint.name}.end_session"] = end_session
    uvicorn.run(provider, interface="wsgi", port=port, host="127.0.0.1", log_config=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
