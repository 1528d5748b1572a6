"""The contract of a sink: it sends messages to one receiver, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol
from urllib.parse import quote

from tracker_service.domain.events import KeptEvent

_LONGEST_ANSWER = 500  #: characters of a receiver's answer that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """More failures of the same family, which one message counts."""

    count: int
    since: str  #: when the first of them happened (RFC 3339)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event for one receiver; the id of the event tells the receiver what it has already."""

    kept: KeptEvent
    others: Others | None = None  #: None if the message tells of this event alone
    mute_path: str | None = None  #: of the link that mutes the family of the failure


class Result(Enum):
    """What has become of one message."""

    DELIVERED = "delivered"
    TRY_AGAIN = "try again"
    REFUSED = "refused"  #: for good: to send it again would not help


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one try, and what the receiver answered."""

    result: Result
    answer: str
    retry_after_s: float | None = None  #: as the receiver asks; None if it does not say
    #: the receiver itself is away: to send it other messages now would not help either
    is_outage: bool = False


def delivered(answer: str) -> Outcome:
    """Return the outcome of a message that the receiver has accepted."""
    return Outcome(result=Result.DELIVERED, answer=answer[:_LONGEST_ANSWER])


def refused(answer: str) -> Outcome:
    """Return the outcome of a message that the receiver will never accept."""
    return Outcome(result=Result.REFUSED, answer=answer[:_LONGEST_ANSWER])


def try_again(
    answer: str, retry_after_s: float | None = None, *, is_outage: bool = False
) -> Outcome:
    """Return the outcome of a message that may be accepted later."""
    return Outcome(
        result=Result.TRY_AGAIN,
        answer=answer[:_LONGEST_ANSWER],
        retry_after_s=retry_after_s,
        is_outage=is_outage,
    )


def masked(outcome: Outcome, secrets: Iterable[str]) -> Outcome:
    """Return an outcome whose answer has none of the secrets: a receiver may repeat what it got."""
    forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""))}
    answer = outcome.answer
    for form in sorted(forms, key=len, reverse=True):
        answer = answer.replace(form, "***")
    if forms and len(outcome.answer) == _LONGEST_ANSWER:  # its end may be the begin of a secret
        answer = answer[: -max(map(len, forms))]
    return replace(outcome, answer=answer)


def one_by_one(messages: Sequence[Message], send: Callable[[Message], Outcome]) -> list[Outcome]:
    """Send messages in their order, up to the first one that has to be sent again."""
    outcomes: list[Outcome] = []
    for message in messages:
        outcomes.append(send(message))
        if outcomes[-1].result == Result.TRY_AGAIN:
            break
    return outcomes


class Sink(Protocol):
    """Sends messages to one receiver. It is called by one thread at a time."""

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send messages in their order; return the outcomes of the first ones.

        A sink stops at a message that has to be sent again, because later ones may be about the
        same subject. It raises nothing for what a receiver does.
        """

    def close(self) -> None:
        """Close the connections to the receiver."""
