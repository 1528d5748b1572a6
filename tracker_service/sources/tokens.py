"""Get tokens from Knox in place of passwords, and read and verify tokens.

Follows https://knox.apache.org/books/knox-2-0-0/user-guide.html (KnoxToken), RFC 7519 and RFC 7517.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from tracker_service.errors import (
    ConfigError,
    CredentialsRefused,
    GatewayUnavailable,
    NotAuthenticated,
    RouteClosed,
)
from tracker_service.sources.credentials import TokenCredential
from tracker_service.sources.gateway import GatewaySession

_PATH = "knoxtoken/api/v1/token"
#: What the libraries raise for a key of another kind, a number beyond all, or JSON of any depth.
_ODD = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")


class Tokens:
    """The service KNOXTOKEN of a topology, as one identity."""

    def __init__(self, session: GatewaySession) -> None:
        self._session = session

    def new(self) -> TokenCredential:
        """Ask for a token of this identity.

        Raises:
            CredentialsRefused: the gateway does not know who this is.
            RouteClosed: the topology has no service KNOXTOKEN.
            GatewayUnavailable: the gateway cannot say.
        """
        answer = self._session.ask("GET", _PATH)
        if answer.status in (403, 404):
            raise RouteClosed(
                f"the topology at {self._session.url} gives no tokens; have KNOXTOKEN added to it"
            )
        body = answer.json()
        token = str(body.get("access_token"))
        return TokenCredential(user_of(token), token, _instant(body.get("expires_in")))


def user_of(token: str) -> str:
    """Return the user that a token names, without verifying the token.

    Raises:
        CredentialsRefused: it is no token, or names nobody.
    """
    subject = _claims(token).get("sub")
    if not isinstance(subject, str) or not subject:
        raise CredentialsRefused("the token names no user")
    return subject


def expiry_of(token: str) -> datetime | None:
    """Return when a token expires, without verifying the token."""
    seconds = _claims(token).get("exp")
    return _instant(seconds * 1000) if isinstance(seconds, int | float) else None


def _claims(token: str) -> dict[str, Any]:
    try:
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, *_ODD) as error:
        raise CredentialsRefused(f"this is no token: {error}") from error


def _instant(milliseconds: object) -> datetime | None:
    """Return an instant: Knox's `expires_in` is no duration, but a time since 1970."""
    if not isinstance(milliseconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):  # a token that never expires
        return None


class TokenKeys:
    """The public keys of the gateway, which verify tokens without asking it.

    Args:
        place: URL of a key set (RFC 7517), or path of a file with one, or of a PEM with the
            gateway's certificate or public key.
        ca_file: PEM with the authority of the certificate at the URL.
        issuer: who must have made a token (`iss`), audience: for whom it must be (`aud`); None for
            whoever it is. See RFC 7519, sections 4.1.1 and 4.1.3.

    Raises:
        ConfigError: the file holds no key.
    """

    def __init__(
        self,
        place: str,
        ca_file: Path | None,
        *,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._issuer, self._audience = issuer, audience
        if urlsplit(place).scheme in ("http", "https"):
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
            self._key_of = _fetched(jwt.PyJWKClient(place, ssl_context=context, timeout=10))
        else:
            self._key_of = _read(Path(place))

    def checked(self, token: str) -> TokenCredential:
        """Return the credential of a token that is signed, meant for this service and not expired.

        Raises:
            NotAuthenticated: it is not; says what is wrong.
            GatewayUnavailable: the keys cannot be fetched.
        """
        try:
            claims = jwt.decode(
                token,
                self._key_of(token),
                algorithms=_ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp", "sub"], "verify_aud": self._audience is not None},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise GatewayUnavailable(f"the keys of tokens cannot be fetched: {error}") from error
        except (jwt.PyJWTError, *_ODD) as error:
            raise NotAuthenticated(f"the token is refused: {error}") from error
        return TokenCredential(str(claims["sub"]), token, _instant(int(claims["exp"]) * 1000))


_KeyOf = Callable[[str], Any]


def _fetched(client: jwt.PyJWKClient) -> _KeyOf:
    return lambda token: client.get_signing_key_from_jwt(token).key


def _read(file: Path) -> _KeyOf:
    """Return what finds the key of a token in a file.

    Raises:
        ConfigError: there is none in it.
    """
    try:
        text = file.read_bytes()
        if b"-----BEGIN CERTIFICATE" in text:
            certified = load_pem_x509_certificate(text).public_key()
            return lambda _: certified
        if b"-----BEGIN PUBLIC KEY" in text:
            public = load_pem_public_key(text)
            return lambda _: public
        keys = jwt.PyJWKSet.from_json(text.decode())
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise ConfigError(f"gateway.token_keys {file} holds no public key: {error}") from error
    return lambda token: _of_set(keys, jwt.get_unverified_header(token).get("kid"))


def _of_set(keys: jwt.PyJWKSet, name: str | None) -> Any:  # noqa: ANN401
    for key in keys.keys:
        if name in (None, key.key_id):
            return key.key
    raise jwt.InvalidKeyError(f"the key {name} is not known here")
