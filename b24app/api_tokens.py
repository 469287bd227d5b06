"""How a program says who it is: `Authorization: Bearer hub_…`.

Named in the settings, so it is imported with DRF itself, perhaps before there are models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

    from b24app.models import ApiToken


class TokenAuthentication(BaseAuthentication):
    """None where the request brings no bearer token; 401 where it brings one that is not in force.

    A wrong, an expired and a deleted token are told the same.
    """

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiToken] | None:
        from b24app.models import token_in_force

        kind, _space, token = get_authorization_header(request).partition(b" ")
        if kind.lower() != b"bearer":
            return None
        found = token_in_force(token.strip().decode("ascii", "replace"))
        if found is None:
            raise AuthenticationFailed(_("This token is not in force."))
        found.note_use()
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
