"""Verification of webhooks: what the providers publish as examples, and what must be refused."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ferris.signatures import KINDS, Check, NotGenuine, WrongSetting, hidden

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

# The example of the Standard Webhooks specification and its libraries.
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_SENT = datetime.fromtimestamp(1614265330, UTC)
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
# The example of GitHub's documentation ("Validating webhook deliveries").
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
# The example of Slack's documentation ("Verifying requests from Slack"): an HMAC with a time.
SLACK = Check.parse(
    "hmac",
    {
        "header": "X-Slack-Signature",
        "prefix": "v0=",
        "signed": "v0:{timestamp}:{body}",
        "timestamp_header": "X-Slack-Request-Timestamp",
    },
)
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
    b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SENT = datetime.fromtimestamp(1531420618, UTC)
SLACK_HEADERS = {
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    "x-slack-request-timestamp": "1531420618",
}


def refused(check: Check, secrets: list[str], headers: dict[str, str], body: bytes, **more: Any) -> str:
    with pytest.raises(NotGenuine) as caught:
        check.verify(secrets, headers, body, **{"now": NOW, **more})
    return str(caught.value)


def test_the_example_of_standard_webhooks() -> None:
    check = Check.parse("standard", {})
    check.verify([STANDARD_SECRET], STANDARD, STANDARD_BODY, now=STANDARD_SENT)
    check.verify([STANDARD_SECRET.removeprefix("whsec_")], STANDARD, STANDARD_BODY, now=STANDARD_SENT)
    several = {**STANDARD, "webhook-signature": "v1a,AAAA v1,AAAA " + STANDARD["webhook-signature"]}
    check.verify([STANDARD_SECRET], several, STANDARD_BODY, now=STANDARD_SENT)
    old_names = {name.replace("webhook", "svix"): value for name, value in STANDARD.items()}
    check.verify([STANDARD_SECRET], old_names, STANDARD_BODY, now=STANDARD_SENT)
    signed = check.sign(STANDARD_SECRET, STANDARD_BODY, id=STANDARD["webhook-id"], now=STANDARD_SENT)
    assert signed == STANDARD


def test_the_example_of_github() -> None:
    check = Check.parse("github", {})
    check.verify([GITHUB_SECRET], GITHUB, GITHUB_BODY, now=NOW)
    assert "fits no secret" in refused(check, [GITHUB_SECRET], GITHUB, GITHUB_BODY + b" ")
    sha1 = {"x-hub-signature": "sha1=" + "0" * 40}
    assert "no signature" in refused(check, [GITHUB_SECRET], sha1, GITHUB_BODY)
    upper = {"x-hub-signature-256": "SHA256=" + GITHUB["x-hub-signature-256"][7:].upper()}
    check.verify([GITHUB_SECRET], upper, GITHUB_BODY, now=NOW)


def test_the_example_of_slack_by_a_generic_hmac() -> None:
    SLACK.verify([SLACK_SECRET], SLACK_HEADERS, SLACK_BODY, now=SLACK_SENT)
    assert "the window is 300 s" in refused(
        SLACK, [SLACK_SECRET], SLACK_HEADERS, SLACK_BODY, now=SLACK_SENT + timedelta(seconds=301)
    )


def test_stripe_as_its_documentation_describes_it() -> None:
    check, secret, body = Check.parse("stripe", {}), "whsec_test_secret", b'{"id": "evt_1"}'
    sent = int(NOW.timestamp())
    made = hmac.new(secret.encode(), f"{sent}.".encode() + body, hashlib.sha256).hexdigest()
    header = {"stripe-signature": f"t={sent},v1={'0' * 64},v1={made},v0=6ffbb59b2300aae63f272406069a9788598b"}
    check.verify([secret], header, body, now=NOW)
    check.verify([secret], header, body, now=NOW + timedelta(minutes=5))
    assert "ago" in refused(check, [secret], header, body, now=NOW + timedelta(seconds=301))
    assert "ahead" in refused(check, [secret], header, body, now=NOW - timedelta(seconds=301))
    other = {"stripe-signature": f"t={sent + 1},v1={made}"}
    assert "fits no secret" in refused(check, [secret], other, body)
    assert "no timestamp" in refused(check, [secret], {"stripe-signature": f"v1={made}"}, body)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
def test_each_kind_verifies_what_it_signs_and_nothing_else(kind: str) -> None:
    check = Check.parse(kind, {})
    secret, other = check.new_secret(), check.new_secret()
    check.check_secret(secret)
    signed = {name.lower(): value for name, value in check.sign(secret, b"body", id="m1", now=NOW).items()}
    check.verify([other, secret], signed, b"body", now=NOW)
    refused(check, [other], signed, b"body")
    refused(check, [], signed, b"body")
    refused(check, [secret], {}, b"body")
    refused(check, [secret], dict.fromkeys(signed, ""), b"body")
    refused(check, [secret], dict.fromkeys(signed, "ü\udcff,=" * 50), b"body")
    if kind != "token":
        refused(check, [secret], signed, b"other")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha384", "sha1"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_generic_hmac_of_any_make(algorithm: str, encoding: str) -> None:
    check = Check.parse("hmac", {"algorithm": algorithm, "encoding": encoding, "prefix": f"{algorithm}="})
    signed = check.sign("a long secret", b"\xff\0body", id="", now=NOW)
    check.verify(["a long secret"], {"x-signature": signed["X-Signature"]}, b"\xff\0body", now=NOW)
    refused(check, ["a long secret"], {"x-signature": signed["X-Signature"]}, b"\xff\0bodY")


def test_no_verification_only_when_it_is_asked_for() -> None:
    Check.parse("none", {}).verify([], {}, b"", now=NOW)
    with pytest.raises(WrongSetting, match="kind is ''"):
        Check.parse("", {})


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("hmac", {"algorithm": "md5"}, "algorithm is 'md5'; expected one of sha256"),
        ("hmac", {"encoding": "b64"}, "expected hex or base64"),
        ("hmac", {"header": "a b"}, "expected the name of a header"),
        ("hmac", {"signed": "{timestamp}"}, "signed is no pattern"),
        ("hmac", {"signed": "{timestamp}.{body}"}, "belong together"),
        ("hmac", {"timestamp_header": "X-T"}, "belong together"),
        ("hmac", {"key": "x"}, "has 'key'; expected header"),
        ("token", {"algorithm": "sha256"}, "has 'algorithm'"),
        ("github", {"header": "x"}, "github takes none"),
        ("token", {"header": 1}, "is no text"),
    ],
)
def test_settings_that_are_none(kind: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(WrongSetting, match=problem.replace("(", r"\(")):
        Check.parse(kind, options)


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("standard", "no base64!"),
        ("standard", "whsec_YWJj"),
        ("github", "short"),
        ("token", "with a space"),
        ("none", "any secret"),
    ],
)
def test_secrets_that_are_none(kind: str, secret: str) -> None:
    with pytest.raises(WrongSetting):
        Check.parse(kind, {}).check_secret(secret)


def test_secrets_are_hidden_in_texts() -> None:
    assert "MfKQ" not in hidden(f"x {STANDARD_SECRET} {STANDARD_SECRET[6:]} y", [STANDARD_SECRET])
