"""Administration of people and their tokens."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.accounts.models import (
    Allowance,
    ApiToken,
    AuditEntry,
    BrowserSession,
    Membership,
    RepeatableRequest,
    User,
)
from ferris_web.accounts.second_factors import factors_reset
from ferris_web.accounts.services import ADMINISTERS, administrators_without
from ferris_web.accounts.sign_ins import sign_in_noted

admin.site.site_header = "Ferris administration"
admin.site.site_title = "Ferris administration"
admin.site.index_title = "Every record of the platform"


def _sign_in(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseRedirect:
    """The console's sign-in, which limits failed attempts; whoever is signed in and no administrator is refused."""
    if request.user.is_authenticated:
        if request.user.is_staff:
            return HttpResponseRedirect(reverse("admin:index"))
        raise PermissionDenied
    query = urlencode({"next": request.GET.get("next") or reverse("admin:index")})
    return HttpResponseRedirect(f"{reverse('console:sign-in')}?{query}")


# What allauth shows there holds keys and tokens, and rows that nothing here uses.
for _model in (EmailAddress, SocialAccount, SocialApp, SocialToken, Authenticator):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


admin.site.login = _sign_in  # type: ignore[method-assign]


_LAST = "This is the last administrator who may sign in: make another one first."


class PersonForm(UserChangeForm):
    """A person, who stays an administrator while there is no other."""

    def clean(self) -> dict[str, Any] | None:
        """ValidationError for the last administrator, were they none afterwards."""
        said = super().clean() or {}
        stays = all(said.get(name, getattr(self.instance, name)) for name in ADMINISTERS)
        was = all(getattr(self.instance, name) for name in ADMINISTERS)
        if was and not stays and not administrators_without([self.instance]):
            raise ValidationError(_LAST)
        return said


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """People. Only a superuser makes superusers, or changes them; the last one who may sign in stays."""

    form = PersonForm
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    readonly_fields = ("last_login", "date_joined")
    actions = ("reset_second_factors",)

    @admin.action(description="Take all second factors away and end their sessions", permissions=["change"])
    def reset_second_factors(self, request: HttpRequest, found: QuerySet[User]) -> None:
        """For people who lost theirs. Nobody takes one of somebody who may more than they."""
        for user in found:
            if user.is_superuser and not request.user.is_superuser:
                self.message_user(request, f"{user}: only a superuser may.", messages.ERROR)
                continue
            gone = factors_reset(user)
            sign_in_noted(
                request,
                request.user.get_username(),
                "second-factor.reset",
                status=200,
                now=timezone.now(),
                person=user.get_username(),
            )
            self.message_user(request, f"{user}: {gone} taken away, and signed out everywhere.")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Nobody gives himself, or others, more than he has."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if request.user.is_superuser:
            return fields
        return (*fields, "is_superuser", "is_staff", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """As the rights say, but nobody changes who may more than they: a password set is a person taken over."""
        return super().has_change_permission(request, obj) and _reaches(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Likewise."""
        return super().has_delete_permission(request, obj) and _reaches(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], list[Any]]:
        """What is a person's goes with them, though nobody deletes it by hand: only the right to delete people is
        asked for. Who would leave no administrator is not deleted."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        people = list(objs)
        if any(all(getattr(one, name) for name in ADMINISTERS) for one in people):
            protected = [*protected, *([] if administrators_without(people) else [_LAST])]
        return found, counts, {name for name in lacking if name == User._meta.verbose_name}, protected


def _reaches(request: HttpRequest, person: User | None) -> bool:
    return person is None or not person.is_superuser or bool(request.user.is_superuser)


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    """Who is what in which project."""

    list_display = ("member", "role", "project", "created_at")
    list_filter = ("role", "project")
    list_select_related = ("user", "group", "project")
    search_fields = ("user__username", "group__name", "project__name")
    autocomplete_fields = ("user", "group")

    @admin.display(ordering="user__username")
    def member(self, row: Membership) -> str:
        """The person or the group."""
        return str(row.user or row.group)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens: their digests are never shown. `manage.py token` makes one; here it is renamed, ended or removed."""

    list_display = ("prefix", "name", "person", "created_at", "last_used_at", "expires_at")
    list_filter = ("expires_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("prefix", "name", "user__username")
    fields = (
        *("prefix", "name", "person", "scopes", "every_project", "projects"),
        *("created_at", "last_used_at", "expires_at"),
    )
    readonly_fields = (
        "prefix",
        "person",
        "scopes",
        "every_project",
        "projects",
        "created_at",
        "last_used_at",
    )
    person = linked("user")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No: the token itself could not be shown here."""
        return False


@admin.register(BrowserSession)
class BrowserSessionAdmin(RecordAdmin):
    """Where people signed in. Ended by themselves, or by disabling the person."""

    list_display = ("person", "address", "agent", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    exclude = ("session_key",)
    person = linked("user")


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin):
    """Who did what. The console has a page of it, with an export."""

    list_display = ("at", "actor", "action", "project", "object", "status")
    list_display_links = ("at",)
    list_filter = ("at",)
    search_fields = ("actor", "action", "object")


@admin.register(Allowance)
class AllowanceAdmin(RecordAdmin):
    """What is limited for all web processes together, and how much of it is used."""

    list_display = ("key", "used", "until")
    search_fields = ("key",)


@admin.register(RepeatableRequest)
class RepeatableRequestAdmin(RecordAdmin):
    """Requests that came with an Idempotency-Key within the last day."""

    list_display = ("key", "person", "status", "created_at")
    list_display_links = ("key",)
    list_select_related = ("user",)
    search_fields = ("key", "user__username")
    exclude = ("headers",)
    person = linked("user")
