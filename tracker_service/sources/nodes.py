"""Read the logs of running containers from the web pages of their NodeManagers.

Follows org.apache.hadoop.yarn.server.nodemanager.webapp.ContainerLogsPage of Hadoop 3.3.6, as the
service YARNUI of Knox gives it. The pages are for people; NodeManagers have an API, but no service
of Knox leads there. Neither asks whether the user may see the log: that is up to the caller.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

import requests

from tracker_service.errors import GatewayUnavailable, RouteClosed
from tracker_service.sources.gateway import GatewaySession

_ROUTE = "yarn/nodemanager/node/containerlogs"
_PIECE_BYTES = 64 * 1024
_PAGE_BYTES = 1024 * 1024  #: the most before a log, or of a list of files; 5 KB are usual
_LONGEST_ENTITY = 10  #: characters, as `&thetasym;`
_FILE = re.compile(r"<a [^>]*>([^<>]+) : Total file length is ([0-9]{1,15}) bytes")
_MESSAGE = re.compile(r"<h1>\s*(.*?)\s*</h1>", re.DOTALL)
_BEGIN, _END = "<pre>", "</pre>"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningContainer:
    """A container, and the address of the NodeManager that runs it."""

    id: str
    node: str  #: as YARN names it: `host:port`
    scheme: str
    host: str
    port: str


@dataclass(frozen=True, slots=True)
class RunningLog:
    """A file into which a container writes."""

    name: str
    length: int  #: in bytes, when it was asked for


def running_container(container_id: str, node: str, log_url: str) -> RunningContainer:
    """Return the container whose logs are at an address, rewritten by the gateway or not.

    Raises:
        RouteClosed: the address names no NodeManager.
    """
    url = urlsplit(log_url)
    given = {name: values[0] for name, values in parse_qs(url.query).items()}
    usual = 443 if url.scheme == "https" else 80
    host, port = given.get("host", url.hostname), given.get("port", url.port or usual)
    if not host or not port:
        raise RouteClosed(f"The gateway does not tell which NodeManager runs {container_id}.")
    scheme = given.get("scheme", url.scheme)
    return RunningContainer(id=container_id, node=node, scheme=scheme, host=host, port=str(port))


class Nodes:
    """The NodeManagers behind the gateway, as one identity."""

    def __init__(self, session: GatewaySession) -> None:
        self._session = session

    def logs(self, container: RunningContainer, user: str) -> list[RunningLog]:
        """List the logs of a container.

        Args:
            user: who runs the application.

        Raises:
            RouteClosed: the gateway lets nobody read such pages.
            GatewayUnavailable: the NodeManager does not answer.
        """
        with closing(self._page(container, user, "", start="0")) as parts:
            page = ""
            for part in parts:
                page += part
                if len(page) > _PAGE_BYTES:
                    raise GatewayUnavailable(f"{container.id}: a list of logs without an end")
        found = [RunningLog(html.unescape(m[1]), int(m[2])) for m in _FILE.finditer(page)]
        if not found and (message := _MESSAGE.search(page)):
            raise GatewayUnavailable(f"{container.id}: {html.unescape(message[1])}")
        return found

    def read(
        self, container: RunningContainer, user: str, log: RunningLog, start: int = 0
    ) -> Generator[bytes, None, None]:
        """Yield what a log had when it was listed, from a byte on, in pieces.

        It comes as a page does: what is no UTF-8 is replaced, some paths of Hadoop's own pages
        become addresses of the gateway, and a text in another script may have a little more.

        Raises:
            RouteClosed, GatewayUnavailable: as `logs`; also for a page that does not come whole.
        """
        part = {"start": str(start), "end": str(log.length)}
        with closing(self._page(container, user, log.name, **part)) as parts:
            yield from (text.encode() for text in _unescaped(_inside(parts, container.id)) if text)

    def _page(
        self, container: RunningContainer, user: str, name: str, **part: str
    ) -> Generator[str, None, None]:
        path = "/".join(quote(part, safe="") for part in (container.id, user, name))
        address = {"scheme": container.scheme, "host": container.host, "port": container.port}
        response = self._session.request(
            "GET",
            f"{self._session.url}/{_ROUTE}/{path}",
            params={**address, **part},
            allow_redirects=False,
            stream=True,
        )
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            _refuse(response, container)
            for piece in response.iter_content(_PIECE_BYTES):
                yield decoder.decode(piece)
        except requests.RequestException as error:
            raise GatewayUnavailable(f"{container.id}: the page broke off") from error
        finally:
            response.close()


def _refuse(response: requests.Response, container: RunningContainer) -> None:
    """Raise the error of an answer that is no page of a log."""
    if response.is_redirect:
        raise GatewayUnavailable(f"{container.id} has ended: its log is being collected")
    if response.status_code != requests.codes.ok:
        raise RouteClosed(
            "This site lets nobody read the logs of running containers through the gateway: it "
            f"answers {response.status_code}. Its topology needs the service YARNUI, and "
            f"gateway.dispatch.whitelist the NodeManager {container.host}:{container.port}."
        )


def _inside(parts: Iterable[str], container: str) -> Iterator[str]:
    """Yield the text of the one `<pre>` in a page."""
    text, begun = "", False
    for part in parts:
        text += part
        if not begun and (at := text.find(_BEGIN)) >= 0:
            text, begun = text[at + len(_BEGIN) :], True
        if begun:
            inside, end, _ = text.partition(_END)
            if end:
                yield inside
                return
            yield text[: -len(_END)]
            text = text[-len(_END) :]
        elif len(text) > _PAGE_BYTES:
            break
    message = _MESSAGE.search(text)
    reason = html.unescape(message[1]) if message else "the page broke off"
    raise GatewayUnavailable(f"{container}: {reason}")


def _unescaped(parts: Iterable[str]) -> Iterator[str]:
    """Yield a text with its HTML entities replaced; none is cut in two."""
    held = ""
    for part in parts:
        text = held + part
        at = text.rfind("&", -_LONGEST_ENTITY)
        cut = at if at >= 0 and ";" not in text[at:] else len(text)
        yield html.unescape(text[:cut])
        held = text[cut:]
    yield html.unescape(held)
