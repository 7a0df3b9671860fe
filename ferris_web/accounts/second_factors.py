"""Second factors: codes of an authenticator app and recovery codes. allauth makes them; here is when one counts.

A code counts once, whichever web process hears it, and wrong ones are counted for all processes: both stand in the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from allauth.account.stages import LoginStage
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect

from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.providers import asked_there
from ferris_web.names import once

TOTP, RECOVERY, PASSKEY = (
    Authenticator.Type.TOTP,
    Authenticator.Type.RECOVERY_CODES,
    Authenticator.Type.WEBAUTHN,
)
WINDOW_SECONDS = 300
WRONG_CODES = 5
"""So many wrong codes of one person within the window, and no code of theirs is looked at until it is over."""
_STEP_SECONDS, _STEPS_AROUND = 30, 1  # clocks differ: the code before and the next one count too
_SEALED: Final = ("secret", "seed")  # what of a row's data is encrypted


class TooManyCodes(Exception):
    """Too many wrong ones: not even a right one counts now."""


class FactorAdapter(DefaultMFAAdapter):
    """What allauth asks about second factors."""

    def get_totp_issuer(self) -> str:
        """What the app calls this place."""
        return "Ferris"

    def get_totp_label(self, user: User) -> str:
        """What it calls the account."""
        return user.get_username()

    def encrypt(self, text: str) -> str:
        """Keys of second factors lie encrypted, as secrets do."""
        return wiring.cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The key again."""
        return wiring.cipher().decrypt(encrypted_text.encode()).decode()

    def build_totp_svg(self, url: str) -> str:
        """The picture to scan, black on white whatever the theme."""
        import qrcode
        from qrcode.image.svg import SvgPathFillImage

        return qrcode.make(url, image_factory=SvgPathFillImage).to_string().decode()  # type: ignore[no-any-return]


class SecondFactorStage(LoginStage):
    """Between the first factor and the session: whoever has a second one is asked for it."""

    key = "second-factor"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        """The page that asks, or nothing to ask."""
        user = self.login.user
        if user is None or not has_second_factor(user) or asked_there(self.request, user, last=True):
            return None, True
        return redirect("console:second-factor"), True


def factors_of(user: User) -> QuerySet[Authenticator]:
    """This person's second factors, the oldest first; recovery codes are a row among them."""
    return Authenticator.objects.filter(user=user).order_by("pk")


def has_second_factor(user: User) -> bool:
    """True when signing in takes more than the first."""
    return factors_of(user).filter(type__in=(TOTP, PASSKEY)).exists()


def code_counts(user: User, code: str, now: datetime) -> Authenticator | None:
    """The factor that this code is of, used up by it; None for a wrong one, which is counted. TooManyCodes."""
    code = _plain(code)
    with transaction.atomic():
        rows = list(factors_of(user).exclude(type=PASSKEY).select_for_update())
        if not rows:
            return None
        wrong = [at for at in rows[0].data.get("wrong", ()) if now.timestamp() - at < WINDOW_SECONDS]
        if len(wrong) >= WRONG_CODES:
            raise TooManyCodes
        found = next((row for row in rows if _counts(row, code, now)), None)
        first = Authenticator.objects.get(pk=rows[0].pk)  # as it is after that
        first.data["wrong"] = [] if found else [*wrong, now.timestamp()]
        first.save(update_fields=["data"])
        if found:
            Authenticator.objects.filter(pk=found.pk).update(last_used_at=now)
        return found


def _counts(row: Authenticator, code: str, now: datetime) -> bool:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    if row.type == RECOVERY:
        return bool(RecoveryCodes(row).validate_code(code))  # notes that it is used
    step = step_of(row.data["secret"], code, now)
    if step is None or step <= row.data.get("step", -1):
        return False  # wrong, or seen before
    row.data["step"] = step
    row.save(update_fields=["data"])
    return True


def step_of(sealed: str, code: str, now: datetime) -> int | None:
    """The step of time that a code of this (encrypted) key is for, if that is now or next to it (RFC 6238)."""
    from allauth.core.internal.cryptokit import compare_user_code
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

    secret, current = FactorAdapter().decrypt(sealed), int(now.timestamp()) // _STEP_SECONDS
    for step in range(current - _STEPS_AROUND, current + _STEPS_AROUND + 1):
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, step))):
            return step
    return None


def app_key() -> str:
    """A key for an authenticator app, encrypted."""
    from allauth.mfa.totp.internal.auth import generate_totp_secret

    return FactorAdapter().encrypt(generate_totp_secret())


def app_added(user: User, sealed: str, code: str, now: datetime) -> list[str] | None:
    """Codes of the app with this (encrypted) key count from now on, those after this one. The recovery codes that were
    made with it, none where there were some; None for a wrong code. Conflict when there is an app already."""
    step = step_of(sealed, _plain(code), now)
    if step is None:
        return None
    with once("There is an app already. Remove it first."):
        Authenticator.objects.create(user=user, type=TOTP, data={"secret": sealed, "step": step})
        return recovery_codes(user)


def _plain(code: str) -> str:
    return "".join(code.split())[:20]


def recovery_codes(user: User, *, anew: bool = False) -> list[str]:
    """The recovery codes that this makes, told this once; none where there are some already, unless `anew`."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # two requests at once make one set
        kept = factors_of(user).filter(type=RECOVERY)
        if anew:
            kept.delete()
        return [] if kept.exists() else list(RecoveryCodes.activate(user).get_unused_codes())


def recovery_codes_left(user: User) -> int:
    """How many of them were not used."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    row = factors_of(user).filter(type=RECOVERY).first()
    return len(RecoveryCodes(row).get_unused_codes()) if row else 0


def factor_remove(user: User, number: int) -> Authenticator | None:
    """Take one away; recovery codes go with the last. None when there is none of that number."""
    with transaction.atomic():
        row = factors_of(user).exclude(type=RECOVERY).filter(pk=number).first()
        if row is not None:
            Authenticator.objects.filter(pk=row.pk).delete()
            if not has_second_factor(user):
                factors_of(user).delete()
        return row


def factors_reset(user: User) -> int:
    """Take all of them away, and end the person's sessions: for administrators, when somebody lost theirs. How many."""
    with transaction.atomic():
        gone, _ = factors_of(user).delete()
        user.end_sessions()
    return gone


# --- keys --------------------------------------------------------------------------------------------


def factor_texts(data: Mapping[str, Any]) -> list[str]:
    """What of a row's data is encrypted."""
    return [data[name] for name in _SEALED if name in data]


def factor_reencrypted(data: Mapping[str, Any]) -> dict[str, Any]:
    """A row's data under the first encryption key. InvalidToken when no key opens it."""
    renewed = {name: wiring.cipher().rotate(data[name].encode()).decode() for name in _SEALED if name in data}
    return {**data, **renewed}
