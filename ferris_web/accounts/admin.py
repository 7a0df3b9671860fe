"""Administration of people and their tokens."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from ferris_web.accounts.admin_records import OnceAdmin, RecordAdmin, linked
from ferris_web.accounts.members import left_without_owner
from ferris_web.accounts.models import (
    Allowance,
    ApiToken,
    AuditEntry,
    BrowserSession,
    Membership,
    RepeatableRequest,
    Role,
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
admin.site.unregister(Group)


admin.site.login = _sign_in  # type: ignore[method-assign]


_LAST = "This is the last administrator who may sign in: make another one first."
_LAST_OWNER = "a project keeps its last owner who can sign in; make somebody else owner first"


class PersonForm(UserChangeForm):
    """A person, who stays an administrator while there is no other. Who is to be disabled may be the last owner of
    projects, and an account that is in wrong hands must be disabled at once: it is done when somebody says yes to
    that."""

    leaves_projects = forms.BooleanField(
        required=False, label="Disable nevertheless: an administrator makes somebody else owner"
    )

    def clean(self) -> dict[str, Any] | None:
        """ValidationError for the last administrator, were they none afterwards."""
        said = super().clean() or {}
        stays = all(said.get(name, getattr(self.instance, name)) for name in ADMINISTERS)
        was = all(getattr(self.instance, name) for name in ADMINISTERS)
        if was and not stays and not administrators_without([self.instance]):
            raise ValidationError(_LAST)
        if not said.get("is_active", True) and not said.get("leaves_projects"):
            alone = left_without_owner(people=[self.instance])  # of one who is disabled already: none
            if alone:
                raise ValidationError(f"{_left(alone)}: make somebody else owner first, or say yes below.")
        return said


def _left(projects: list[str]) -> str:
    return f"No owner who can sign in would be left to {', '.join(projects)}"


@admin.register(User)
class UserAdmin(OnceAdmin, DjangoUserAdmin):
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

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Whose last owner it is, before somebody disables them."""
        fieldsets = super().get_fieldsets(request, obj)
        alone = left_without_owner(people=[obj]) if obj is not None else []
        if not alone:
            return fieldsets
        said = format_html("Nobody else who can sign in owns {}.", ", ".join(alone))
        return (*fieldsets, ("Last owner", {"fields": ("leaves_projects",), "description": said}))

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
        asked for. Who would leave no administrator is not deleted; projects that lose their last owner are named where
        one is asked whether to go on."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        people = list(objs)
        if any(all(getattr(one, name) for name in ADMINISTERS) for one in people):
            protected = [*protected, *([] if administrators_without(people) else [_LAST])]
        if alone := left_without_owner(people=people):
            found = [f"{_left(alone)}: an administrator has to make somebody else owner", *found]
        return found, counts, {name for name in lacking if name == User._meta.verbose_name}, protected


def _reaches(request: HttpRequest, person: User | None) -> bool:
    return person is None or not person.is_superuser or bool(request.user.is_superuser)


@admin.register(Group)
class GroupAdmin(OnceAdmin, DjangoGroupAdmin):
    """Groups of people."""


class MembershipForm(forms.ModelForm):
    """A membership. As everywhere, the last owner stays."""

    def clean(self) -> dict[str, Any] | None:
        """ValidationError when a project would lose its last owner."""
        said = super().clean() or {}
        was = self.instance
        same = all(said.get(name) == getattr(was, name) for name in ("role", "project", "user", "group"))
        if was.pk and was.role == Role.OWNER and not same and left_without_owner([was.pk]):
            raise ValidationError(_LAST_OWNER)
        return said


@admin.register(Membership)
class MembershipAdmin(OnceAdmin):
    """Who is what in which project."""

    form = MembershipForm
    list_display = ("member", "role", "project", "created_at")
    list_filter = ("role", "project")
    list_select_related = ("user", "group", "project")
    search_fields = ("user__username", "group__name", "project__name")
    autocomplete_fields = ("user", "group")

    @admin.display(ordering="user__username")
    def member(self, row: Membership) -> str:
        """The person or the group."""
        return str(row.user or row.group)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], list[Any]]:
        """Likewise."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        if alone := left_without_owner([row.pk for row in objs]):
            protected = [*protected, f"{', '.join(alone)}: {_LAST_OWNER}"]
        return found, counts, lacking, protected


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
