"""Whose account a sign-in by the provider is, and what their groups there make of them here.

What links an account with a person there: that they signed in with it before (issuer and subject), that they connected
it themselves while signed in here, or, with FERRIS_OIDC_LINK_EMAIL, a verified address. Never a name, and never an
address that the provider did not verify.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from ferris.identity import Identity, Provider, groups_here
from ferris_web.accounts.models import User
from ferris_web.accounts.refusals import SignInRefused


@dataclass(frozen=True)
class Arrival:
    """Somebody whom the provider sent, and what that changed here."""

    user: User
    new: bool = False
    linked: bool = False
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    administrator: bool | None = None  # made one, or no more one; None: as before


def identity_list(user: User) -> QuerySet[SocialAccount]:
    """With which accounts elsewhere this person signs in."""
    return SocialAccount.objects.filter(user=user).order_by("pk")


def identity_remove(user: User, number: int) -> bool:
    """Forget a link; False when there is none of that number, or it is the only way in."""
    links = identity_list(user)
    if not user.has_usable_password() and links.count() < 2:
        return False
    return bool(links.filter(pk=number).delete()[0])


def identity_arrived(provider: Provider, said: Identity, known: SocialAccount) -> Arrival:
    """The account of this person, made or linked where the rules allow it, its groups as they are there now.

    `known` is their link, not yet saved for whoever comes the first time. SignInRefused says why not.
    """
    if not said.in_domain(provider.domains):
        raise SignInRefused(
            gettext("{name} does not say that you have a verified address in {domains}.").format(
                name=provider.name, domains=", ".join(provider.domains)
            )
        )
    if known.pk:
        return _synced(provider, said, Arrival(known.user))
    try:
        with transaction.atomic():
            user = _by_email(provider, said)
            arrival = Arrival(user, linked=True) if user else Arrival(_new(provider, said), new=True)
            known.user = arrival.user
            known.save()
            return _synced(provider, said, arrival)
    except IntegrityError:  # two windows at once: the other one was first
        raise SignInRefused(
            gettext("Somebody signed in with this account just now. Try again."), 409
        ) from None


def _by_email(provider: Provider, said: Identity) -> User | None:
    if not (provider.link_by_email and said.email_verified and said.email):
        return None
    people = list(User.objects.filter(email__iexact=said.email, service_of=None).order_by("pk")[:2])
    # Of two, which? And an administrator's account is worth more than a mailbox: they connect it themselves.
    if len(people) != 1 or people[0].is_superuser or people[0].is_staff or identity_list(people[0]).exists():
        return None
    return people[0]


def _new(provider: Provider, said: Identity) -> User:
    if not provider.newcomers:
        raise SignInRefused(
            gettext(
                "Nobody connected this account of {name}. Sign in with your password, and connect it "
                "under Your account; or ask an administrator for an account."
            ).format(name=provider.name)
        )
    if User.objects.filter(username__iexact=said.user_name).exists():
        raise SignInRefused(
            gettext(
                "There is an account {user_name} already. If it is yours, sign in with its password "
                "and connect {name} under Your account; if not, ask an administrator."
            ).format(user_name=said.user_name, name=provider.name),
            409,
        )
    administrator = bool(provider.admin_group and provider.admin_group in said.groups)
    first, _, last = said.full_name.partition(" ")
    user = User(
        username=said.user_name,
        email=said.email if said.email_verified else "",
        first_name=first[:150],
        last_name=last[:150],
        # Before it is saved: who is no administrator gets the role of FERRIS_DEFAULT_ROLE then.
        is_staff=administrator,
        is_superuser=administrator,
        administrator_by_provider=administrator,
    )
    user.set_unusable_password()
    user.save()
    return user


def _synced(provider: Provider, said: Identity, arrival: Arrival) -> Arrival:
    user = arrival.user
    if not user.is_active:
        raise SignInRefused(gettext("This account is disabled. Ask an administrator."))
    with transaction.atomic():
        managed, wanted = groups_here(provider, said.groups)
        have = set(user.groups.filter(name__in=managed).values_list("name", flat=True))
        joined, left = sorted(wanted - have), sorted(have - wanted)
        user.groups.add(*_groups(joined))
        user.groups.remove(*_groups(left))
        changed = _administrator(provider, said, user)
    return Arrival(user, arrival.new, arrival.linked, tuple(joined), tuple(left), changed)


def _groups(names: Iterable[str]) -> list[Group]:
    return [Group.objects.get_or_create(name=name)[0] for name in names]


def _administrator(provider: Provider, said: Identity, user: User) -> bool | None:
    """Only who became one by the group ceases to be one by it: the first administrator cannot lock themselves out."""
    wanted = bool(provider.admin_group and provider.admin_group in said.groups)
    if wanted and not user.is_superuser:
        changed = True
    elif not wanted and user.administrator_by_provider:
        changed = False
    else:
        return None
    user.is_staff = user.is_superuser = user.administrator_by_provider = changed
    user.save(update_fields=["is_staff", "is_superuser", "administrator_by_provider"])
    return changed
