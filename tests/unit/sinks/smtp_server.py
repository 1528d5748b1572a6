"""A mail server on loopback, which answers as a test wants."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port


class MailBox:
    """What came in; refusals are said one after the other, and then all is accepted."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.raw: list[bytes] = []
        self.was_tls: list[bool] = []
        self.sessions: set[Any] = set()
        self.refusals: dict[str, list[str]] = {}  #: of an address, or of `DATA`

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusals := self.refusals.get(address):
            return refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if refusals := self.refusals.get("DATA"):
            return refusals.pop(0)
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        mail = message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.SMTP)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        self.was_tls.append(session.ssl is not None)
        self.sessions.add(session.peer)
        return "250 kept"


def _authenticated(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: Any
) -> AuthResult:
    is_right = isinstance(login, LoginPassword) and login.password == b"the-password"
    return AuthResult(success=is_right, handled=False)


@contextmanager
def smtp_server(
    box: MailBox, certificate: tuple[Path, Path] | None = None, **options: Any
) -> Iterator[int]:
    """Run a server; it offers STARTTLS if it has a certificate. Yield its port."""
    if certificate:
        options["tls_context"] = server_context(certificate)
    controller = Controller(box, "127.0.0.1", free_port(), authenticator=_authenticated, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context
