"""Response headers that keep hostile text harmless: a Content-Security-Policy without inline script or eval."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

# 'self' only: every script, style and picture is a file of ours. `img-src data:` is for icons in the style sheet;
# https pictures are not allowed, a README's badge would otherwise tell a third party who reads what.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
        "object-src 'none'",
        "manifest-src 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    # What one person sees is kept by no proxy, and by the browser only until it has asked again.
    "Cache-Control": "private, no-cache",
}


class ContentSecurityPolicyMiddleware:
    """Sets the policy on every response that has none of its own (a file of the object store has a stricter one)."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._async:
            return self._later(request)
        return self._marked(self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        return self._marked(await self.get_response(request))  # type: ignore[misc]

    @staticmethod
    def _marked(response: HttpResponseBase) -> HttpResponseBase:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response
