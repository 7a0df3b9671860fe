"""The language of a request: what people see comes in theirs, what programs read is English always.

Chosen on the page of one's account and at sign-in (Django's cookie of the language), else asked by the browser
(Accept-Language). What is stored, logged, sent or kept in the audit log is never translated: texts are translated when
they are shown.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers

from ferris_web.api.problems import is_program


class LanguageMiddleware(LocaleMiddleware):
    """Django's own, but for the addresses that programs call."""

    def process_request(self, request: HttpRequest) -> None:
        """Choose; a thread that served somebody else before keeps nothing of it."""
        if is_program(request):
            translation.activate("en")
            request.LANGUAGE_CODE = "en"
        else:
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Say which language it is, and what it was chosen by."""
        if is_program(request):
            return response
        patch_vary_headers(response, ("Cookie",))
        return super().process_response(request, response)
