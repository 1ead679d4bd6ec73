"""Signing in and out, the profile, and pages that belong to no app."""

import sys
from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from redis.exceptions import RedisError

from mockmarket.core import accounts, bus, clock, demo, passwords, throttle, tokens
from mockmarket.core.errors import RETRY_AFTER_SECONDS, DomainError
from mockmarket.core.models import ApiToken, User
from mockmarket.core.refusals import all_said, said

PALETTES = ("classic", "distinct")
SCALES = ("slate", "indigo", "green", "red", "blue", "orange", "amber", "teal")
ICONS = (
    "bell", "search", "house", "eye", "clock", "briefcase", "trophy", "wallet", "sun", "moon",
    "user", "settings", "log-out", "plus", "x", "check", "pencil", "trash-2", "chart-candlestick",
    "chart-line", "layout-grid", "newspaper", "sparkles", "scale", "heart-pulse", "book-open",
)  # fmt: skip


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


class Login(LoginView):
    """The login page. Attempts are limited by account and address together, so that a class
    behind one address is never locked out by one student's mistakes."""

    template_name = "core/login.html"
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        if getattr(request, "htmx", None):
            # A part of a page asked after the session ended: the whole page must change.
            response = HttpResponse()
            response["HX-Redirect"] = reverse("login")
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = self.get_form()
        try:
            throttle.take_login(
                username=request.POST.get("username", ""),
                address=request.META.get("REMOTE_ADDR", ""),
            )
            form.is_valid()
            user = tokens.sign_in(
                request=request,
                username=request.POST.get("username", ""),
                password=request.POST.get("password", ""),
            )
        except DomainError as refusal:
            form.full_clean()
            form.errors.clear()
            form.add_error(None, said(refusal.message))
            return self.render_to_response(self.get_context_data(form=form), status=refusal.status)
        login(request, user)
        return redirect(self.get_success_url())

    def get_form_class(self) -> type[AuthenticationForm]:
        return PlainLoginForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        shown = demo.password() if demo.is_seeded() else None
        return super().get_context_data(**kwargs, demo_password=shown, **_picture())


class PlainLoginForm(AuthenticationForm):
    """Reads the fields; the credentials are checked once, by tokens.sign_in."""

    def clean(self) -> dict[str, Any]:
        return self.cleaned_data


def _picture() -> dict[str, Any]:
    """Candles beside the login form: decoration, the same each time."""
    closes = (
        172,
        160,
        166,
        148,
        152,
        138,
        144,
        128,
        118,
        124,
        106,
        112,
        96,
        88,
        94,
        78,
        70,
        58,
        64,
        46,
    )
    bars = []
    previous = 180
    for number, close in enumerate(closes):
        x = 24 + number * 35
        top, bottom = sorted((previous, close))
        bars.append(
            {
                "x": x,
                "left": x - 6,
                "top": top,
                "height": max(2, bottom - top),
                "high": top - 6 - number % 3 * 4,
                "low": bottom + 5 + number % 4 * 3,
                "tone": "rise" if close < previous else "fall",
            }
        )
        previous = close
    return {"bars": bars, "lines": range(40, 281, 48)}


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """Ends the session and closes its sockets."""
    if request.user.is_authenticated:
        bus.close_sockets(
            user_id=_user(request).pk,
            session_key=request.session.session_key,
            reason="signed out",
        )
    logout(request)
    return redirect("login")


@login_required
@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Keeps the theme and the palette; answers nothing."""
    theme = request.POST.get("theme", "").upper()
    palette = request.POST.get("palette")
    accounts.change(
        user=_user(request),
        theme=theme if theme in User.Theme.values else None,
        colour_blind=palette == "distinct" if palette in PALETTES else None,
    )
    return HttpResponse(status=204)


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """The name that others see, the language, API tokens."""
    if request.method != "POST":
        return _profile_page(request)
    alias = " ".join(request.POST.get("alias", "").split())
    if len(alias) > accounts.ALIAS_LENGTH_MAX:
        most = {"most": accounts.ALIAS_LENGTH_MAX}
        errors = {"alias": _("At most %(most)d characters.") % most}
        return _profile_page(request, form_alias=alias, errors=errors)
    try:
        accounts.change(user=_user(request), alias=alias)
    except accounts.AliasTaken as refusal:
        return _profile_page(request, form_alias=alias, errors=all_said(refusal.fields))
    return _profile_page(request, saved=True)


def _profile_page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    user = _user(request)
    context = {
        "form_alias": user.alias,
        "errors": {},
        "tokens": tokens.live_tokens(user=user, at=clock.now()),
        **more,
    }
    return render(request, "core/profile.html", context, status=status)


@login_required
@require_POST
def password(request: HttpRequest) -> HttpResponse:
    """Changes one's own password; this session goes on, every other ends."""
    user = _user(request)
    try:
        throttle.take_login(username=user.username, address=request.META.get("REMOTE_ADDR", ""))
        passwords.change(
            user=user, current=request.POST.get("current", ""), new=request.POST.get("new", "")
        )
    except DomainError as refusal:
        errors = all_said(refusal.fields or {"current": refusal.message})
        return _profile_page(request, errors=errors, status=refusal.status)
    update_session_auth_hash(request, user)
    return _profile_page(request, password_changed=True)


@login_required
@require_POST
def token_create(request: HttpRequest) -> HttpResponse:
    """Makes an API token and shows its text this once."""
    name = " ".join(request.POST.get("name", "").split())[:60]
    scope = request.POST.get("scope", ApiToken.Scope.READ)
    if not name or scope not in ApiToken.Scope.values:
        return _profile_page(request, errors={"token": _("Give the token a name.")})
    try:
        _row, text = tokens.create_token(
            user=_user(request), name=name, scope=scope, expires_at=None, at=clock.now()
        )
    except tokens.TooManyTokens as refusal:
        return _profile_page(request, errors={"token": said(refusal.message)})
    return _profile_page(request, new_token=text)


@login_required
@require_POST
def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """Ends a token and every socket that it opened."""
    tokens.revoke_token(user=_user(request), token_id=token_id, at=clock.now())
    return redirect("profile")


@login_required
def design(request: HttpRequest) -> HttpResponse:
    """The design system, for who works on the pages."""
    if not (settings.DEBUG or _user(request).is_staff):
        raise Http404
    context = {"scales": SCALES, "steps": range(1, 13), "icons": ICONS}
    return render(request, "core/design.html", context)


def server_error(request: HttpRequest) -> HttpResponse:
    """The last page: it must not need anything that may be broken.

    Where the database or Redis is away it says so, with 503 and when to come back: nothing was
    committed, and a browser or a proxy may safely ask again.
    """
    away = isinstance(sys.exc_info()[1], OperationalError | RedisError)
    status = 503 if away else 500
    context = {"request_id": getattr(request, "id", "")}
    response = render(None, f"{status}.html", context, status=status)
    if away:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
