"""Send requests to the service: time-outs, retries, and errors in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from requests.auth import HTTPBasicAuth

from tracker_service.domain.certificates import certificate_error, form_trouble
from tracker_service.domain.urls import leads_to_this_machine
from tracker_service.errors import TrackerError

_TRIES = 3  #: of a call that the service asks to repeat later
_LONGEST_PAUSE_S = 30.0  #: who is told to wait longer is told so, instead of waiting
_BUSY = (429, 503)
_CHUNK_BYTES = 64 * 1024


class TrackerClientError(TrackerError):
    """The service refused a request, or did not answer."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        is_temporary: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status  #: of the answer; None where there was none
        self.message = message
        self.retry_after = retry_after  #: seconds, where the service said so
        self.is_temporary = is_temporary  #: the same call may succeed later


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for the service, in seconds."""

    connect_s: float = 3.05
    read_s: float = 60.0  #: between two pieces of an answer


class Connection:
    """One user's connections to one service."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        ca_file: Path | None,
        timeouts: Timeouts,
        sleep: Callable[[float], None],
    ) -> None:
        self.url, self._timeouts = url.rstrip("/"), timeouts
        self._session = requests.Session()
        self._session.auth = HTTPBasicAuth(user.encode(), password.encode())
        # `verify` with each call: requests lets REQUESTS_CA_BUNDLE win over the session's.
        self._how: dict[str, Any] = {
            "timeout": (timeouts.connect_s, timeouts.read_s),
            "verify": str(ca_file) if ca_file else None,
            "allow_redirects": False,
        }
        if leads_to_this_machine(self.url):  # a proxy would read the password
            self._how["proxies"] = {"no_proxy": "*"}
        self._sleep = sleep

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        is_repeatable: bool = True,
        stream: bool = False,
        read_s: float | None = None,
        **more: Any,  # noqa: ANN401
    ) -> requests.Response:
        """Send a call, again if the service is busy, and return the answer to a good one.

        Args:
            path: below `/api/`.
            is_repeatable: whether twice is as good as once.
            read_s: how long to wait for the answer, where that is longer than usual.
            more: what `requests` takes: `params`, `json`, `headers`.
        """
        tries_left = _TRIES if is_repeatable else 1
        how = self._how | ({"timeout": (self._timeouts.connect_s, read_s)} if read_s else {})
        while True:
            with self._reached():
                response = self._session.request(
                    method, f"{self.url}/api/{path}", stream=stream, **how, **more
                )
            if 200 <= response.status_code < 300:
                return response
            with response, self._reached():
                error = self._refusal(response)
            pause, tries_left = error.retry_after, tries_left - 1
            if not tries_left or pause is None or pause > _LONGEST_PAUSE_S:
                raise error
            self._sleep(pause)

    def body(self, response: requests.Response, kind: type) -> Any:  # noqa: ANN401
        """Return the JSON of this kind in an answer."""
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, kind):
            raise TrackerClientError(
                f"{self.url} answered something that no tracker says; is the URL right?",
                status=response.status_code,
            )
        return value

    def pieces(self, response: requests.Response) -> Generator[bytes, None, None]:
        """Yield an empty piece, so that closing the generator closes the response, then the body.

        Raises:
            TrackerClientError: at the end, if the body broke off.
        """
        with response:
            yield b""
            try:
                yield from response.iter_content(_CHUNK_BYTES)
            except requests.RequestException as error:
                raise TrackerClientError(
                    f"the answer of {self.url} broke off; ask again", is_temporary=True
                ) from error

    def _refusal(self, response: requests.Response) -> TrackerClientError:
        """Return what an answer that is no success means."""
        status = response.status_code
        is_busy = status in _BUSY
        return TrackerClientError(
            _problem(response) or self._explained(response),
            status=status,
            retry_after=_seconds(response.headers.get("Retry-After")) if is_busy else None,
            is_temporary=is_busy or status >= 500,
        )

    def _explained(self, response: requests.Response) -> str:
        """Say what an answer without problem details means: it may come from another server."""
        status, place = response.status_code, response.headers.get("Location")
        if place:
            return f"{self.url} sends elsewhere ({place}): name the service's own URL"
        return f"{self.url} answered {status}, not as a tracker does; is the URL right?"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Tell in one sentence why there was no answer."""
        try:
            yield
        except requests.exceptions.ProxyError as error:
            raise TrackerClientError(
                f"{self.url} cannot be reached through the proxy that HTTPS_PROXY or HTTP_PROXY "
                "names; name the host in NO_PROXY if it needs none",
                is_temporary=True,
            ) from error
        except requests.exceptions.SSLError as error:
            raise TrackerClientError(f"TLS with {self.url} failed: {_tls_reason(error)}") from error
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise TrackerClientError(f"{self.url} is no URL of a service: {error}") from error
        except requests.exceptions.MissingSchema as error:
            raise TrackerClientError(
                f"{self.url} is no URL of a service: begin it with http:// or https://"
            ) from error
        except requests.Timeout as error:
            raise TrackerClientError(
                f"{self.url} did not answer in time; try again later", is_temporary=True
            ) from error
        except requests.RequestException as error:
            raise TrackerClientError(
                f"{self.url} cannot be reached; is the service running there?", is_temporary=True
            ) from error
        except OSError as error:  # requests tests a CA file itself
            raise TrackerClientError(str(error)) from error


def _problem(response: requests.Response) -> str | None:
    """Return the message in problem details (RFC 9457), if these are some."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return None
    message = (body.get("message") or body.get("detail")) if isinstance(body, dict) else None
    return str(message) if message else None


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds in a Retry-After header, whichever of its two forms it has."""
    try:
        return max(0.0, float(retry_after or ""))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(retry_after or "")
        return max(0.0, (then.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None


def _tls_reason(error: Exception) -> str:
    """Return the innermost words of an error of requests, urllib3 and ssl, and what to do."""
    if (refused := certificate_error(error)) and (trouble := form_trouble(refused)):
        return trouble
    inner = getattr(error.args[0] if error.args else None, "reason", None) or error
    cause = inner.args[0] if getattr(inner, "args", None) else inner
    words = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or cause
    return f"{words}; is the CA file right?"
