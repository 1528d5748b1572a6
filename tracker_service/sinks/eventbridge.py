"""Deliver to a bus of Amazon EventBridge, up to ten events a request.

See https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tracker_service.errors import ConfigError
from tracker_service.sinks.cloud_events import message_json
from tracker_service.sinks.sink import Message, Outcome, Result, delivered, refused, try_again

_MOST_ENTRIES = 10  #: of a request
_MOST_BYTES = 256 * 1024 - 1  #: of a request and so of an entry
_TIME_BYTES = 14  #: what a time counts
_LONGEST_TYPE = 128
#: Errors of entries that stay as they are:
#: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
_FINAL = frozenset(
    {
        "InvalidArgument",
        "MalformedDetail",
        "NotAuthorizedForDetailTypeException",
        "NotAuthorizedForSourceException",
        "RedactionFailure",
    }
)
#: Errors of a request that one of its entries is to blame for.
_INVALID = frozenset({"ValidationException", "ValidationError", "RequestEntityTooLarge"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """A bus, and how it is reached."""

    name: str
    region: str
    source: str  #: of the events
    credentials_file: Path | None  #: None: as boto3 finds them
    endpoint_url: str | None  #: None: that of the region
    key: tuple[str, str] | None = field(default=None, repr=False)  #: and its secret, if named here

    def client(self) -> Any:  # noqa: ANN401 (boto3 makes its classes when it runs)
        """Return a client of EventBridge."""
        session = botocore.session.Session()
        if self.credentials_file:
            session.set_config_variable("credentials_file", str(self.credentials_file))
            # so that a file which lacks something does not lead to other credentials
            session.get_component("credential_provider").remove("env")
        return boto3.Session(botocore_session=session, region_name=self.region).client(
            "events",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.key[0] if self.key else None,
            aws_secret_access_key=self.key[1] if self.key else None,
            config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}),
        )


class EventBridge:
    """Sends events; those about the same subject in their order."""

    def __init__(self, bus: Bus, base_url: str) -> None:
        """Prepare to send.

        Args:
            base_url: of this service.

        Raises:
            ConfigError: boto3 cannot use the settings of the bus.
        """
        self._bus, self._base_url = bus, base_url
        try:
            self._client = bus.client()
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"boto3 cannot use the settings of {bus.name}: {error}") from error

    def deliver(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send messages, up to the first request with an entry that has to be sent again."""
        outcomes: list[Outcome] = []
        for batch in self._batches(messages):
            outcomes += self._put(batch)
            if any(outcome.result == Result.TRY_AGAIN for outcome in outcomes):
                break
        return outcomes

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _batches(self, messages: Sequence[Message]) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the entries of each request; a subject comes at most once in it."""
        batch: list[Mapping[str, Any]] = []
        for entry in map(self._entry, messages):
            is_full = len(batch) == _MOST_ENTRIES or sum(map(_size, [*batch, entry])) > _MOST_BYTES
            if batch and (is_full or any(e["Resources"] == entry["Resources"] for e in batch)):
                yield batch
                batch = []
            batch.append(entry)
        if batch:
            yield batch

    def _entry(self, message: Message) -> Mapping[str, Any]:
        event = message.kept.event
        return {
            "Time": event.time,
            "Source": self._bus.source,
            "Resources": [event.subject],
            "DetailType": event.type[:_LONGEST_TYPE],
            "Detail": json.dumps(message_json(message, self._base_url)),
            "EventBusName": self._bus.name,
        }

    def _put(self, batch: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Send one request; return the outcome of each entry, or only of the first one."""
        if _size(batch[0]) > _MOST_BYTES:  # it is alone
            return [refused(f"the event has more than the {_MOST_BYTES} bytes of EventBridge")]
        try:
            answer = self._client.put_events(Entries=list(batch))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code not in _INVALID:
                return [try_again(str(error), is_outage=True)]
            if len(batch) == 1:
                return [refused(str(error))]
            return self._one_by_one(batch)
        except BotoCoreError as error:
            return [try_again(str(error), is_outage=True)]
        entries = answer.get("Entries", [])
        return [_outcome(entries[i] if i < len(entries) else {}) for i in range(len(batch))]

    def _one_by_one(self, batch: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for entry in batch:
            outcomes += self._put([entry])
            if outcomes[-1].result == Result.TRY_AGAIN:
                break
        return outcomes


class ResultPut(EventBridge):
    """Puts results of checks on a bus, as the file of the check describes them."""

    def __init__(self, bus: Bus, detail_type: str, resources: Sequence[str]) -> None:
        """Prepare to send.

        Raises:
            ConfigError: boto3 cannot use the settings of the bus.
        """
        super().__init__(bus, base_url="")
        self._detail_type, self._resources = detail_type, resources

    def _entry(self, message: Message) -> Mapping[str, Any]:
        event = message.kept.event
        return {
            "Time": event.time,
            "Source": self._bus.source,
            "Resources": list(self._resources),
            "DetailType": self._detail_type[:_LONGEST_TYPE],
            "Detail": json.dumps(event.data["body"]),
            "EventBusName": self._bus.name,
        }


def _outcome(entry: Mapping[str, Any]) -> Outcome:
    """Return what became of an entry: a request that was accepted can have entries that failed."""
    if entry.get("EventId"):
        return delivered(f"accepted as {entry['EventId']}")
    code = entry.get("ErrorCode", "no answer")
    said = f"{code}: {entry.get('ErrorMessage', 'EventBridge does not say what became of it')}"
    return refused(said) if code in _FINAL else try_again(said)


def _size(entry: Mapping[str, Any]) -> int:
    """Return the bytes of an entry as EventBridge counts them."""
    texts = [entry["Source"], entry["DetailType"], entry["Detail"], *entry["Resources"]]
    return _TIME_BYTES + sum(len(text.encode()) for text in texts)
