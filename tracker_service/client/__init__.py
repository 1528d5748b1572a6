"""A typed client of the service's HTTP API, for the command `tracker` and for any program.

tracker = TrackerClient("http://localhost:8080", "guest", password)
tracker.track(["0000042-261122041514971-oozie-prod-W"])
tracker.job("0000042-261122041514971-oozie-prod-W").status
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from tracker_service.client import access, answers, events
from tracker_service.client import ledger as ledger_answers
from tracker_service.client.access import LoggedIn, NewNotifyToken, NotifyToken
from tracker_service.client.answers import (
    Answered,
    CopyProgress,
    Evidence,
    Family,
    Job,
    JobAction,
    JobCause,
    JsonObject,
    LogCopy,
    OozieJob,
    OozieJobs,
)
from tracker_service.client.connection import Connection, Timeouts, TrackerClientError
from tracker_service.client.events import Delivery, NewSubscription, Subscription
from tracker_service.client.ledger import LedgerJob, WholeLedgerJob
from tracker_service.client.reading import LiveLog, Reading

__all__ = [
    "Answered",
    "CopyProgress",
    "Delivery",
    "Evidence",
    "Family",
    "Job",
    "JobAction",
    "JobCause",
    "LedgerJob",
    "LiveLog",
    "LogCopy",
    "LoggedIn",
    "NewNotifyToken",
    "NewSubscription",
    "NotifyToken",
    "OozieJob",
    "OozieJobs",
    "Reading",
    "Subscription",
    "Timeouts",
    "TrackerClient",
    "TrackerClientError",
    "WholeLedgerJob",
]


_Item = TypeVar("_Item")

_LONGEST_READ_S = 3600.0  #: to read a log back: some have many gigabytes


class TrackerClient:
    """A client of one tracker service for one user. Every call may raise `TrackerClientError`."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        ca_file: Path | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare calls; nothing is sent yet.

        Args:
            url: where the service is, without `/api`.
            ca_file: PEM with the authority of the service's certificate.
            sleep: waits when the service asks to come back later.
        """
        self.url, self.user = url.rstrip("/"), user
        self._connection = Connection(url, user, password, ca_file, timeouts or Timeouts(), sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def track(self, ids: Sequence[str], *, copies_always: bool = False) -> list[Answered]:
        """Track jobs, and save their logs if they fail. Repeating is harmless.

        Args:
            copies_always: save the logs however the jobs end.

        Returns:
            one answer for each id; NOT_FOUND for a job that Oozie does not know.

        Raises:
            TrackerClientError: 404 if Oozie knows none of them.
        """
        params = {"copy": "always"} if copies_always else None
        answer = self._json("POST", "task/track/", list, json=list(ids), params=params)
        with _understood("task/track/"):
            return [answers.answered(item) for item in answer]

    def untrack(self, job_id: str) -> None:
        """Stop tracking a job.

        Raises:
            TrackerClientError: 404 if the caller does not track it.
        """
        self._connection.ask("DELETE", f"task/track/{_segment(job_id)}").close()

    def job(self, job_id: str, *, refresh: bool = False) -> Job:
        """Return everything about one job, tracked or not; with `refresh`, ask Oozie now."""
        path = f"job/{_segment(job_id)}"
        body = self._json("GET", path, dict, params={"refresh": "true"} if refresh else None)
        with _understood(path):
            return answers.job(body)

    def tracking(
        self, status: Sequence[str] = (), user: str | None = None, limit: int | None = None
    ) -> Iterator[Job]:
        """Yield the tracked jobs, page after page.

        Args:
            status: only jobs in one of these states.
            user: whose jobs, `*` for everybody's; for admins and auditors.
            limit: jobs on one page.
        """
        query = {"status": list(status), "user": user, "limit": limit}
        return self._pages("jobs/tracking", query, answers.job)

    def _pages(
        self,
        path: str,
        query: Any,  # noqa: ANN401
        understand: Callable[[JsonObject], _Item],
    ) -> Iterator[_Item]:
        """Yield the items of a list, page after page."""
        while query:
            answer = self._connection.ask("GET", path, params=query)
            page = self._connection.body(answer, list)
            with _understood(path):
                found = [understand(body) for body in page]
            yield from found
            # Only the query of the link is used, so that credentials never go to another host.
            query = urlsplit(answer.links.get("next", {}).get("url", "")).query

    def cause(self, job_id: str) -> JobCause:
        """Return why a job failed, as far as its logs and the cluster tell.

        Raises:
            TrackerClientError: 404 if it has not failed, or nothing tells why.
        """
        path = f"job/{_segment(job_id)}/cause"
        body = self._json("GET", path, dict)
        with _understood(path):
            return answers.cause(body)

    def failures(
        self, since: datetime | None = None, category: str | None = None, limit: int | None = None
    ) -> Iterator[Family]:
        """Yield families of failures with the same cause, the newest first, page after page.

        Args:
            since: failures before it do not count; default: a week ago.
            limit: families on one page.
        """
        since_text = since.astimezone(UTC).isoformat() if since else None
        query = {"since": since_text, "category": category, "limit": limit}
        return self._pages("failures", query, answers.family)

    def jobs(
        self, *, offset: int = 1, length: int = 50, filter: str = "", jobtype: str = "wf"
    ) -> OozieJobs:
        """Return a page of Oozie's own list of jobs, newest first.

        Args:
            offset: number of the first one, from 1.
            filter: as Oozie takes it, for example `user=guest;status=RUNNING`.
            jobtype: wf, coord or bundle.
        """
        params = {"offset": offset, "len": length, "filter": filter or None, "jobtype": jobtype}
        body = self._json("GET", "jobs/", dict, params=params)
        with _understood("jobs/"):
            return answers.oozie_jobs(body)

    def copy_logs(self, ids: Sequence[str], *, refresh: bool = False) -> CopyProgress:
        """Save the logs of jobs however they end; with `refresh`, copy saved logs again too."""
        body = self._json(
            "POST",
            "task/copy-logs/",
            dict,
            json=list(ids),
            params={"refresh": "true"} if refresh else None,
            is_repeatable=not refresh,
        )
        with _understood("task/copy-logs/"):
            return answers.progress(body)

    def logs_status(self, job_id: str) -> CopyProgress:
        """Return how far the copying of a job's logs is."""
        path = f"job/{_segment(job_id)}/logs/status"
        body = self._json("GET", path, dict)
        with _understood(path):
            return answers.progress(body)

    def verify(self, job_id: str, application: str | None = None) -> CopyProgress:
        """Read saved logs back and compare their checksums: all, or those of one application.

        Returns:
            the copies; those that were read have a verdict. While `verifying` is true for one, its
            log is being read: ask again.

        Raises:
            TrackerClientError: 503 if the cluster does not answer.
        """
        path = f"job/{_segment(job_id)}/logs/status"
        params = {"verify": "true"} | ({"id": application} if application else {})
        body = self._json("GET", path, dict, params=params, read_s=_LONGEST_READ_S)
        with _understood(path):
            return answers.progress(body)

    def remove_logs(self, job_id: str) -> list[str]:
        """Remove the saved logs of a job from HDFS, and return their paths.

        Raises:
            TrackerClientError: 404 if there are none, 409 while a log is being copied.
        """
        path = f"job/{_segment(job_id)}/logs"
        body = self._json("DELETE", path, dict)
        with _understood(path):
            return list(body["removed"])

    def logs(
        self, job_id: str, application: str | None = None, reading: Reading | None = None
    ) -> Generator[bytes, None, None]:
        """Open the saved logs of a job, or of one of its applications, and return their bytes.

        Args:
            reading: which part of one application's log; default: all of it.

        Raises:
            TrackerClientError: before the first piece if there is no log (404, with the reason);
                at the end if the stream broke off.
        """
        return self._opened(job_id, application, reading).pieces

    def live_log(self, job_id: str, application: str, reading: Reading) -> LiveLog:
        """Open what a running application has written, from where the reader has seen it.

        Args:
            reading: with `is_live`, and with what was `seen`.

        Raises:
            TrackerClientError: 403 if it is somebody else's, 409 if it does not run, 501 if the
                service cannot read it.
        """
        return self._opened(job_id, application, reading)

    def _opened(self, job_id: str, application: str | None, reading: Reading | None) -> LiveLog:
        path = f"job/{_segment(job_id)}/logs"
        if application is not None:
            path += f"/{_segment(application)}"
        params = reading.params() if reading else None
        # To compress takes longer than to send to a service nearby.
        as_it_is = {"Accept-Encoding": "identity"}
        answer = self._connection.ask("GET", path, stream=True, params=params, headers=as_it_is)
        pieces = self._connection.pieces(answer)
        next(pieces)
        return LiveLog(pieces, is_without_seen="X-Seen-Left-Out" in answer.headers)

    def login(self) -> LoggedIn:
        """Give the service a fresh credential; the caller's jobs that wait for one go on."""
        body = self._json("POST", "login", dict)
        with _understood("login"):
            return access.logged_in(body)

    def new_notify_token(self) -> NewNotifyToken:
        """Create a token with which Oozie notifies the service of changes of the caller's jobs.

        Raises:
            TrackerClientError: 403 if the caller has as many as one user may have.
        """
        body = self._json("POST", "notify-tokens", dict, is_repeatable=False)
        with _understood("notify-tokens"):
            return access.new_notify_token(body)

    def notify_tokens(self) -> list[NotifyToken]:
        """Return the caller's tokens, without their secret part."""
        body = self._json("GET", "notify-tokens", list)
        with _understood("notify-tokens"):
            return [access.notify_token(token) for token in body]

    def revoke_notify_token(self, token_id: str) -> None:
        """Revoke a token: the service refuses notifications with it from now on.

        Raises:
            TrackerClientError: 404 if the caller has no token with this id.
        """
        self._connection.ask("DELETE", f"notify-tokens/{_segment(token_id)}").close()

    def subscribe(self, sink: JsonObject, wants: JsonObject) -> NewSubscription:
        """Subscribe to events.

        Args:
            sink: where to, such as `{"type": "webhook", "url": "https://…"}` or
                `{"type": "mail", "to": "you@example.com"}`.
            wants: which events, such as `{"types": ["tracker.job.failed"]}`.

        Raises:
            TrackerClientError: 403 if users may not send there, or the caller has too many.
        """
        body = {"sink": sink, **wants}
        answer = self._json("POST", "subscriptions", dict, json=body, is_repeatable=False)
        with _understood("subscriptions"):
            return events.new_subscription(answer)

    def subscriptions(self) -> list[Subscription]:
        """Return the caller's subscriptions, without their secrets."""
        body = self._json("GET", "subscriptions", list)
        with _understood("subscriptions"):
            return [events.subscription(each) for each in body]

    def unsubscribe(self, subscription_id: str) -> None:
        """Remove a subscription.

        Raises:
            TrackerClientError: 404 if the caller has none with this id.
        """
        self._connection.ask("DELETE", f"subscriptions/{_segment(subscription_id)}").close()

    def rotate(self, subscription_id: str) -> NewSubscription:
        """Give a subscription a new secret; requests are signed with it and with the last one.

        Raises:
            TrackerClientError: 404 if the caller has none with this id, 400 if it sends mail.
        """
        path = f"subscriptions/{_segment(subscription_id)}/secret"
        answer = self._json("POST", path, dict, is_repeatable=False)
        with _understood("subscriptions"):
            return events.new_subscription(answer)

    def test_subscription(self, subscription_id: str) -> str:
        """Send an event to a subscription, whatever it selects; return the id of the event."""
        path = f"subscriptions/{_segment(subscription_id)}/test"
        return str(self._json("POST", path, dict, is_repeatable=False)["event"])

    def deliveries(
        self, states: Sequence[str] = (), limit: int | None = None, *, of_site: bool = False
    ) -> list[Delivery]:
        """Return what was sent to the caller, the newest first.

        Args:
            states: only deliveries in one of these.
            of_site: what the routes of the site send; for admins and auditors.
        """
        params = {"state": list(states), "limit": limit, "site": "true" if of_site else None}
        body = self._json("GET", "deliveries", list, params=params)
        with _understood("deliveries"):
            return [events.delivery(each) for each in body]

    def replay(self, ids: Sequence[int] | None = None, *, of_site: bool = False) -> int:
        """Send deliveries again that were given up; return how many.

        Args:
            ids: of the deliveries; None for all.
            of_site: those of the site's routes; for admins.
        """
        body: JsonObject = {"site": of_site} if ids is None else {"site": of_site, "ids": list(ids)}
        return int(self._json("POST", "deliveries/replay", dict, json=body)["replayed"])

    def mute(self, fingerprint: str, hours: float, *, of_site: bool = False) -> str:
        """Send no message of a family of failures for a while; return until when (RFC 3339).

        Args:
            of_site: mute the messages of the site; for admins.
        """
        path = f"failures/{_segment(fingerprint)}/mute"
        body = {"hours": hours, "site": of_site}
        return str(self._json("POST", path, dict, json=body)["until"])

    def unmute(self, fingerprint: str, *, of_site: bool = False) -> None:
        """Send messages of a family of failures again.

        Args:
            of_site: those of the site; for admins.
        """
        path = f"failures/{_segment(fingerprint)}/mute"
        params = {"site": "true"} if of_site else {}
        self._connection.ask("DELETE", path, params=params).close()

    def checks(self) -> JsonObject:
        """Return all checks and the files that they stand in, as the service says it."""
        answer: JsonObject = self._json("GET", "checks", dict)
        found = page = list(answer["checks"])
        while page:
            params = {"after": page[-1]["name"]}
            page = self._json("GET", "checks", dict, params=params)["checks"]
            found = found + page
        return {**answer, "checks": found}

    def ledger_jobs(
        self, *, ledger: str = "default", state: str | None = None
    ) -> Iterator[LedgerJob]:
        """Yield the jobs of a ledger, those first that were started first, page after page.

        Args:
            state: only jobs in this state.
        """
        query = {"ledger": ledger, "state": state}
        return self._pages("ledger/jobs", query, ledger_answers.ledger_job)

    def ledger_job(self, job: str, *, ledger: str = "default") -> WholeLedgerJob:
        """Return a job of a ledger with its whole history.

        Raises:
            TrackerClientError: 404 if the ledger does not have it.
        """
        return self._ledger_job("GET", quote(job, safe="/"), ledger)

    def retry_ledger_job(self, job: str, *, ledger: str = "default") -> WholeLedgerJob:
        """Put a job that has failed back into the state in which it failed.

        Raises:
            TrackerClientError: 404 if the ledger does not have it, 409 if it has not failed, 403
                if the user is no admin.
        """
        return self._ledger_job("POST", f"{quote(job, safe='/')}/retry", ledger)

    def _ledger_job(self, method: str, path: str, ledger: str) -> WholeLedgerJob:
        body = self._json(method, f"ledger/jobs/{path}", dict, params={"ledger": ledger})
        with _understood(path):
            return ledger_answers.whole_ledger_job(body)

    def _json(self, method: str, path: str, kind: type, **more: Any) -> Any:  # noqa: ANN401
        return self._connection.body(self._connection.ask(method, path, **more), kind)


@contextmanager
def _understood(path: str) -> Iterator[None]:
    """Raise one clear error for an answer with a missing or wrong field."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrackerClientError(
            f"the answer to {path} is not understood ({error!r}); is the service of this version?"
        ) from error


def _segment(text: str) -> str:
    """Return text as one segment of a path."""
    if not text.strip("."):  # dots alone would name another path
        raise TrackerClientError(f"{text!r} is no id")
    return quote(text, safe="")
