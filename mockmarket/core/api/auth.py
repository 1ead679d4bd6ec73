"""How a request proves who sends it: a bearer token, else the browser's session with CSRF."""

from typing import Any

from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from mockmarket.core import clock, tokens
from mockmarket.core.api.errors import CsrfFailed
from mockmarket.core.errors import Forbidden
from mockmarket.core.models import ApiToken, User


class ReadOnlyToken(Forbidden):
    """The token may read and not trade."""

    code = "token_read_only"


class BearerAuthentication(BaseAuthentication):
    """JWT or API token in the Authorization header."""

    def authenticate(self, request: Request) -> tuple[User, tokens.Credential] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        credential = tokens.authenticate_token(header=header, at=clock.now())
        return credential.user, credential

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class BrowserAuthentication(SessionAuthentication):
    """The page's session; unsafe methods need its CSRF token."""

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise CsrfFailed("The CSRF token is missing or wrong.") from error


class HasScope(BasePermission):
    """A read-only token may only read. Views name the exception with `scope = "READ"`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        credential = request.auth
        if not isinstance(credential, tokens.Credential) or request.method in SAFE_METHODS:
            return True
        if credential.scope == ApiToken.Scope.TRADE or getattr(view, "scope", "") == "READ":
            return True
        raise ReadOnlyToken("This token may only read. Create one with the scope TRADE.")
