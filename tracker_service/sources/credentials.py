"""Credentials of the cluster: passwords, tokens, and users for whom the service acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import requests
from requests.auth import AuthBase, HTTPBasicAuth


@dataclass(frozen=True, slots=True)
class BasicCredential:
    """A user name and password of the gateway. Never printed with the password."""

    user: str
    password: str = field(repr=False)

    def auth(self) -> AuthBase:
        """Return the authentication for requests (RFC 7617)."""
        return HTTPBasicAuth(self.user.encode(), self.password.encode())


@dataclass(frozen=True, slots=True)
class TokenCredential:
    """A token of the gateway that stands for a user (JWT). Never printed with the token."""

    user: str
    token: str = field(repr=False)
    expires_at: datetime | None = None  #: None where the token does not say

    def auth(self) -> AuthBase:
        """Return the authentication for requests (RFC 6750)."""
        return _BearerAuth(self.token)


@dataclass(frozen=True, slots=True)
class OnBehalf:
    """The service, logged in with its keytab, acting for a user; without a user, as itself."""

    user: str = ""

    def auth(self) -> AuthBase:
        """Return the authentication for requests: the parameter `doAs` of Hadoop's proxy users."""
        return _DoAs(self.user)


Credential = BasicCredential | TokenCredential | OnBehalf


class _BearerAuth(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _DoAs(AuthBase):
    def __init__(self, user: str) -> None:
        self._user = user

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._user:
            request.prepare_url(request.url, {"doAs": self._user})
        return request
