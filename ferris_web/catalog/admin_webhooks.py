"""Administration of webhooks."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone

from ferris_web.accounts.admin_records import OnceAdmin, RecordAdmin, json_text, linked
from ferris_web.catalog import webhooks
from ferris_web.catalog.models import Webhook, WebhookDelivery


class WebhookForm(forms.ModelForm):
    """With the secret, which goes in and never comes out."""

    secret = forms.CharField(
        required=False,
        max_length=500,
        label="new secret",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "size": 80}),
        help_text="Encrypted; empty keeps the one there is. The one before it counts for another 24 hours.",
    )

    def clean(self) -> dict[str, Any]:
        """Its settings fit each other, and a new one brings its secret: here none is made."""
        said = super().clean() or self.cleaned_data
        if self.errors:
            return said
        for name, value in said.items():
            if name != "secret":
                setattr(self.instance, name, value)
        kind = said["kind"]
        if self.instance.pk is None and not said.get("secret") and kind != "none":
            raise ValidationError({"secret": ["is missing; a new webhook needs one"]})
        try:
            webhooks.seal(self.instance, said.get("secret") or None, now=timezone.now())
        except ValidationError as error:
            known = {name: texts for name, texts in error.message_dict.items() if name in self.fields}
            raise ValidationError(known or error.messages) from None
        return said


@admin.register(Webhook)
class WebhookAdmin(OnceAdmin):
    """Where others send to."""

    form = WebhookForm
    list_display = ("name", "kind", "event_type", "active", "previous_until", "updated_at")
    list_filter = ("kind", "active")
    search_fields = ("name", "description", "event_type")
    fields = (
        *("name", "description", "active", "kind", "options", "secret", "previous_until", "window_seconds"),
        *("event_type", "type_from", "id_from", "headers"),
    )
    readonly_fields = ("previous_until",)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(RecordAdmin):
    """What lately came to webhooks."""

    list_display = (
        "received_at",
        "its_webhook",
        "outcome",
        "detail",
        "event_type",
        "event_id",
        "size",
        "test",
    )
    list_filter = ("outcome", "test", "webhook")
    list_select_related = ("webhook",)
    search_fields = ("=event_id", "event_type", "webhook__name")
    exclude = ("headers",)
    readonly_fields = ("its_webhook", "headers_text")
    its_webhook = linked("webhook")
    headers_text = json_text("headers", "headers")

    def has_delete_permission(self, request: HttpRequest, obj: WebhookDelivery | None = None) -> bool:
        """As the rights say: they go with their webhook."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
