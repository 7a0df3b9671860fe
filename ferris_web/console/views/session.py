"""Signing in and out, with a limit for failed attempts."""

from __future__ import annotations

from django import forms
from django.contrib.auth.views import LoginView, LogoutView
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from ferris_web.accounts.services import session_began

WINDOW_SECONDS = 300
# Failures within the window after which an address is refused: for one user name, and for all of them. Counted by
# address too, so that nobody can lock another person out from elsewhere.
LIMIT_PER_NAME = 8
LIMIT_PER_ADDRESS = 60


def _counters(request: HttpRequest) -> tuple[tuple[str, int], tuple[str, int]]:
    address = request.META.get("REMOTE_ADDR") or "unknown"
    name = request.POST.get("username", "")[:150].lower().encode().hex()
    return (f"sign-in:{address}:{name}", LIMIT_PER_NAME), (f"sign-in:{address}", LIMIT_PER_ADDRESS)


class SignIn(LoginView):
    """The sign-in form. `next` is followed only within this site (LoginView checks it)."""

    template_name = "console/sign-in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Check the limit first: a refused attempt does not even look at the password."""
        if any(cache.get(key, 0) >= limit for key, limit in _counters(request)):
            form = self.get_form_class()(request)
            form.cleaned_data = {}
            form._errors = forms.utils.ErrorDict()
            form.add_error(None, "Too many failed attempts. Wait five minutes and try again.")
            response = self.render_to_response(self.get_context_data(form=form), status=429)
            response.headers["Retry-After"] = str(WINDOW_SECONDS)
            return response
        return super().post(request, *args, **kwargs)  # type: ignore[no-any-return]

    def form_invalid(self, form: forms.Form) -> HttpResponse:
        """Count the failure."""
        for key, _ in _counters(self.request):
            cache.add(key, 0, WINDOW_SECONDS)
            try:
                cache.incr(key)
            except ValueError:  # it expired in between
                cache.set(key, 1, WINDOW_SECONDS)
        return super().form_invalid(form)  # type: ignore[no-any-return]

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Forget the failures of this name."""
        cache.delete(_counters(self.request)[0][0])
        response: HttpResponse = super().form_valid(form)
        request = self.request
        session_began(
            request.user,
            request.session.session_key or "",
            address=request.META.get("REMOTE_ADDR") or "",
            agent=request.headers.get("User-Agent", ""),
            now=timezone.now(),
        )
        return response


sign_in = SignIn.as_view()
sign_out = LogoutView.as_view()
