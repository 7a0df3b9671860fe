"""A new encryption key for all that is kept encrypted, while everything runs.

What is kept encrypted lies in columns called `ciphertext`, whatever the model (a new one is found by that name), and
in the data of second factors. Answers kept for repeated requests are not moved: in a day they are forgotten. A row
moves to the first key by a compare-and-set, so that a value that is set meanwhile stays; whoever dies in the middle
leaves rows under both keys, all of which can be read, and the next run goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.db import models, transaction

from ferris.encryption_keys import key_new, keys_alone, keys_read, keys_replace, keys_stamp
from ferris.errors import ConfigError, Conflict
from ferris_web import wiring
from ferris_web.accounts.second_factors import factor_reencrypted, factor_texts

AT_ONCE: Final = 200
_COLUMN: Final = "ciphertext"
_MOST_ROUNDS: Final = 10
_SETTLED: Final = 60
"""Seconds after which whatever was encrypted before has been written."""


@dataclass
class Standing:
    """How much is encrypted with the first key, how much with each other one (in their order), what none opens."""

    keys: int
    by_key: list[int]
    lost: list[str] = field(default_factory=list)

    @property
    def old(self) -> int:
        """How much hangs on another key than the first."""
        return sum(self.by_key[1:])

    @property
    def total(self) -> int:
        """All that some key opens."""
        return sum(self.by_key)


@dataclass(frozen=True)
class Sealed:
    """A model that keeps something encrypted: in which column, which texts of it, and the column with others."""

    model: type[models.Model]
    column: str
    texts: Callable[[Any], list[str]]
    renewed: Callable[[Any], Any]


def sealed() -> list[Sealed]:
    """All there are."""
    found = (m for m in apps.get_models() if any(f.name == _COLUMN for f in m._meta.concrete_fields))
    columns = [
        Sealed(model, _COLUMN, lambda text: [text] if text else [], _renewed)
        for model in sorted(found, key=lambda model: model._meta.label)
    ]
    return [*columns, Sealed(Authenticator, "data", factor_texts, factor_reencrypted)]


def standing() -> Standing:
    """On which keys everything hangs."""
    rings = [Fernet(key) for key in wiring.encryption_keys()]
    found = Standing(len(rings), [0] * len(rings))
    for kept in sealed():
        for rows in _batches(kept, AT_ONCE):
            for pk, value in rows:
                key = _key_of(rings, kept.texts(value))
                if key is None:
                    found.lost.append(_named(kept.model, pk))
                else:
                    found.by_key[key] += 1
    return found


def key_begin() -> bool:
    """Put a new key in front, if everything hangs on the first one there is; False when a rotation is under way.

    Conflict when the keys are not in the file of this platform.
    """
    known = wiring.config()
    if standing().old:
        return False
    if known.keys_stamp is None:
        raise Conflict(
            "the keys come from FERRIS_ENCRYPTION_KEYS: put a new one behind the first for every process and restart "
            "them, then in front and restart them again, then run this"
        )
    with _keys() as keys:
        keys_replace(known.home, (key_new(), *keys))
    return True


def reencrypt(*, batch: int = AT_ONCE, tell: Callable[[int, int], None] = lambda done, old: None) -> Standing:
    """Bring everything under the first key, `batch` rows in a transaction; how it stands then.

    `tell` hears after each batch how many rows were moved and how many there were to move. What is written with an
    older key meanwhile is moved by another round.
    """
    done = 0
    left = standing()
    for _ in range(_MOST_ROUNDS):
        if not left.old:
            break
        to_do = done + left.old
        for kept in sealed():
            for rows in _batches(kept, batch):
                moved = _move(kept, rows)
                done += moved
                if moved:
                    tell(done, max(done, to_do))
        left = standing()
    return left


def keys_drop(now: datetime) -> int:
    """Remove the keys on which nothing hangs any more; how many. Conflict while something does, or may: what was
    encrypted before the newest key came is perhaps not written yet."""
    known = wiring.config()
    if known.keys_stamp is None:
        raise Conflict(
            "the keys come from FERRIS_ENCRYPTION_KEYS: leave only the first one there, and restart"
        )
    with _keys() as keys:
        if len(keys) < 2:
            return 0
        stamp = keys_stamp(known.home)
        age = now.timestamp() - (stamp[0] / 1e9 if stamp else 0)
        if age < _SETTLED:
            raise Conflict(f"the newest key came {max(0, age):.0f} s ago: wait until it is {_SETTLED} s old")
        found = standing()
        if found.old or found.lost:
            raise Conflict(
                f"{found.old} secrets hang on an older key and {len(found.lost)} on none of these: run rotate-keys "
                "first"
            )
        keys_replace(known.home, keys[:1])
    return len(keys) - 1


@contextmanager
def _keys() -> Iterator[tuple[str, ...]]:
    """The keys of the file, which nobody else changes until the end."""
    home = wiring.config().home
    try:
        with keys_alone(home):
            yield keys_read(home)
    except OSError as error:
        raise ConfigError(
            "FERRIS_HOME", f"the file of keys cannot be changed ({error.strerror})", "run this as its owner"
        ) from error


def _batches(kept: Sealed, size: int) -> Iterator[list[tuple[Any, Any]]]:
    """All rows with something encrypted as (key, column), some at a time, in the order of their keys."""
    rows = kept.model._base_manager.order_by("pk").values_list("pk", kept.column)
    found = list(rows[:size])
    while found:
        yield [(pk, value) for pk, value in found if kept.texts(value)]
        found = list(rows.filter(pk__gt=found[-1][0])[:size])


def _move(kept: Sealed, rows: Sequence[tuple[Any, Any]]) -> int:
    """How many of these rows were moved to the first key."""
    first = Fernet(wiring.encryption_keys()[0])
    renewed = []
    for pk, value in rows:
        if _key_of([first], kept.texts(value)) is None:
            try:
                renewed.append((pk, value, kept.renewed(value)))
            except InvalidToken:
                continue  # counted among the lost
    moved = 0
    if renewed:
        with transaction.atomic():
            for pk, old, new in renewed:
                row = kept.model._base_manager.filter(pk=pk)
                if row.select_for_update().values_list(kept.column, flat=True).first() == old:
                    moved += row.update(**{kept.column: new})
    return moved


def _renewed(text: str) -> str:
    return wiring.cipher().rotate(text.encode()).decode()


def _key_of(rings: Sequence[Fernet], texts: Sequence[str]) -> int | None:
    """The last of the keys that it takes to open these; None when none opens one of them."""
    needed = 0
    for text in texts:
        opens = (number for number, ring in enumerate(rings) if _opens(ring, text))
        number = next(opens, None)
        if number is None:
            return None
        needed = max(needed, number)
    return needed


def _opens(ring: Fernet, text: str) -> bool:
    try:
        ring.decrypt(text.encode())
    except InvalidToken:
        return False
    return True


def _named(model: type[models.Model], pk: Any) -> str:
    row = model._base_manager.filter(pk=pk).first()
    return f"{model._meta.verbose_name} {row}" if row is not None else f"{model._meta.verbose_name} {pk}"
