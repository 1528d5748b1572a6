"""Deliver by mail: one mail an event, through one server.

The answers of servers are those of RFC 5321: 4xx may change, 5xx stays.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from tracker_service.domain.certificates import certificate_error
from tracker_service.domain.events import Event
from tracker_service.sinks.sink import (
    Message,
    Outcome,
    delivered,
    masked,
    one_by_one,
    refused,
    try_again,
)
from tracker_service.sinks.wording import words_of
from tracker_service.sinks.words import clipped

_TIMEOUT_S = 20.0  #: of each answer of the server
_CLOSES = 421  #: RFC 5321: the server closes the connection
_SAFE_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_MOST_UNFINISHED = 1000  #: events of which some recipients are remembered

_Answers = dict[str, tuple[int, bytes]]  #: by address: the server's refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """A server that takes mail of this service."""

    host: str
    port: int
    tls: str  #: `starttls`, `tls` from the first byte, or `none`
    user: str | None
    password: str
    ca_file: Path | None  #: PEM with the authority of its certificate; None for the system's
    sender: str

    @contextmanager
    def connected(self) -> Iterator[smtplib.SMTP]:
        """Yield a connection over which mail may be sent.

        Raises:
            SMTPException: the server refuses, or it speaks something else.
            OSError: it cannot be reached, or its certificate is wrong.
        """
        with self._opened() as smtp:
            if self.tls == "starttls":
                smtp.starttls(context=self._context())
            if self.user:
                smtp.login(self.user, self.password)
            yield smtp

    def _opened(self) -> smtplib.SMTP:
        if self.tls == "tls":
            return smtplib.SMTP_SSL(
                self.host, self.port, timeout=_TIMEOUT_S, context=self._context()
            )
        return smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)


class Mail:
    """Sends events to some addresses, in their order."""

    def __init__(self, server: MailServer, to: Sequence[str], base_url: str) -> None:
        """Prepare to send.

        Args:
            to: addresses of the recipients.
            base_url: of this service.
        """
        self._server, self._to, self._base_url = server, to, base_url
        #: by the id of an event that has to be sent again: the addresses that have answered
        self._finished: dict[str, dict[str, str]] = {}

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send messages over one connection, up to the first one that has to be sent again."""
        outcomes: list[Outcome] = []
        try:
            with self._server.connected() as smtp:
                outcomes += one_by_one(messages, lambda message: self._send(smtp, message))
        except (smtplib.SMTPException, OSError) as error:
            outcomes = outcomes or [self._outage(error)]  # the answer to QUIT does not matter
        return [masked(outcome, [self._server.password]) for outcome in outcomes]

    def close(self) -> None:
        """Close nothing: each batch has a connection of its own."""

    def _send(self, smtp: smtplib.SMTP, message: Message) -> Outcome:
        key = message.kept.event.id
        if len(self._finished) >= _MOST_UNFINISHED:
            self._finished.clear()  # what was given up is not told here
        finished = self._finished.setdefault(key, {})
        waiting = [address for address in self._to if address not in finished]
        try:
            body = self._mail(message).as_bytes()
            answers: _Answers = smtp.sendmail(self._server.sender, waiting, body)
            finished |= {address: "" for address in waiting if address not in answers}
        except smtplib.SMTPRecipientsRefused as error:
            answers = error.recipients
        except smtplib.SMTPResponseException as error:
            answers = dict.fromkeys(waiting, (error.smtp_code, _bytes(error.smtp_error)))
        except (smtplib.SMTPException, OSError) as error:
            return self._outage(error)
        finished |= {a: _line(*answer) for a, answer in answers.items() if answer[0] >= 500}
        return self._outcome(key, [answer for answer in answers.values() if answer[0] < 500])

    def _outcome(self, key: str, changing: Sequence[tuple[int, bytes]]) -> Outcome:
        """Return what became of an event; the addresses that have answered get it no more."""
        if changing:
            is_outage = any(code == _CLOSES for code, _ in changing)
            return try_again(_line(*changing[0]), is_outage=is_outage)
        finished = self._finished.pop(key)
        refusals = "; ".join(f"{a}: {answer}" for a, answer in finished.items() if answer)
        if all(finished.values()):
            return refused(refusals)
        return delivered(f"250 accepted; {refusals}" if refusals else "250 accepted")

    def _outage(self, error: Exception) -> Outcome:
        if isinstance(error, smtplib.SMTPResponseException):
            why = _line(error.smtp_code, _bytes(error.smtp_error))
        elif certificate := certificate_error(error):
            why = f"its certificate is refused: {certificate.verify_message}"
        else:
            why = str(error) or type(error).__name__
        return try_again(f"{self._server.host}:{self._server.port}: {why}", is_outage=True)

    def _mail(self, message: Message) -> EmailMessage:
        event, words = message.kept.event, words_of(message, self._base_url)
        domain = self._server.sender.rpartition("@")[2]
        mail = EmailMessage(policy=SMTP)
        mail["From"], mail["To"] = self._server.sender, ", ".join(self._to)
        mail["Subject"], mail["Date"] = words.subject, event.time
        mail["Message-ID"] = f"<{_message_id(event)}@{domain}>"
        # mails about the same job make one conversation
        mail["References"] = f"<{uuid5(NAMESPACE_URL, event.subject)}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers "out of office"
        mail.set_content(words.text, cte="quoted-printable")
        mail.add_alternative(words.html, subtype="html", cte="quoted-printable")
        return mail


def _message_id(event: Event) -> str:
    return event.id if _SAFE_ID.fullmatch(event.id) else str(uuid5(NAMESPACE_URL, event.id))


def _line(code: int, text: bytes) -> str:
    return f"{code} {clipped(text.decode('utf-8', 'replace').replace(chr(10), ' '), 200)}"


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
