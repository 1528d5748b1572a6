"""Shows the logs of running containers on pages, as a NodeManager does behind the gateway."""

from __future__ import annotations

from html import escape

from werkzeug.wrappers import Request, Response

from tracker_service.sandbox.answers import error_page
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.jobs import SandboxApplication

NODE, HTTP_ADDRESS = "localhost:8041", "localhost:8042"

_ROUTE = "nodemanager/node/containerlogs"
_SHOWN_BYTES = 4096  #: of the end of a log, where nobody says from where on
_PAGE = """<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">
<html>
  <title>
    Logs for {container}
  </title>
  <table id="layout" class="ui-widget-content">
    <tbody>
      <tr>
        <td class="content">
{content}
        </td>
      </tr>
    </tbody>
  </table>
</html>
"""
_LINK = """          <p>
            <a href="{href}">{name} : Total file length is {length} bytes.</a>
"""
_MESSAGE_PAGE = """          <h1>
            {message}
          </h1>"""


def container_of(application: SandboxApplication) -> str:
    """Return the id of the only container that an application has here."""
    return f"container_{application.number}_01_000001"


def log_url(application: SandboxApplication) -> str:
    """Return where the NodeManager shows the logs of that container."""
    container, user = container_of(application), application.job.user
    return f"http://{HTTP_ADDRESS}/node/containerlogs/{container}/{user}"


class NodePages:
    """The service ``yarn`` of the gateway: only the pages of logs below it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def answer(self, request: Request, path: str, user: str) -> Response:
        """Answer a request for ``yarn`` + *path*; the NodeManager does not ask by whom."""
        below = path.strip("/").removeprefix(_ROUTE).strip("/")
        if not path.strip("/").startswith(_ROUTE) or not below:
            return error_page(404, request.path, "Not Found")
        if f"{request.args.get('host')}:{request.args.get('port')}" != HTTP_ADDRESS:
            return error_page(400, request.path, "Bad Request")  # the whitelist of the gateway
        container, _, name = (*below.split("/"), "", "")[:3]
        with self._cluster.settled() as now:
            running = self._running(container, now)
            logs = _logs(running, now) if running else None
        if logs is None:
            return Response(status=307, headers={"Location": "http://localhost:19888/jobhistory"})
        content = _log(request, logs.get(name)) if name else _list(request, logs)
        return _page(container, content)

    def _running(self, container: str, now: float) -> SandboxApplication | None:
        for application in self._cluster.applications.values():
            if container_of(application) == container:
                is_running = application.has_launched(now) and not application.has_ended(now)
                return application if is_running else None
        return None


def _list(request: Request, logs: dict[str, bytes]) -> str:
    here = f"{request.host_url.rstrip('/')}{request.path.rstrip('/')}"
    query = f"?start=-{_SHOWN_BYTES}&scheme=http&host=localhost&port=8042"
    links = (
        _LINK.format(href=f"{here}/{name}{query}", name=escape(name), length=len(data))
        for name, data in logs.items()
    )
    return f"          <h2>\n            Local Logs:\n          </h2>\n{''.join(links)}"


def _logs(application: SandboxApplication, now: float) -> dict[str, bytes]:
    """Return what the container has written: a line each second."""
    ticks = range(1, int(now - application.launches_at) + 1)
    return {
        "prelaunch.err": b"",
        "prelaunch.out": b"Setting up env variables\nLaunching container\n",
        "stderr": b'<a warning> & "quotes" \xc3\xa9\n',
        "stdout": "".join(f"tick {tick}\n" for tick in ticks).encode(),
    }


def _log(request: Request, data: bytes | None) -> str:
    """Return a part of a log; all of it, where `start` is 0."""
    if data is None:
        message = "java.lang.Exception: Cannot find this log on the local disk."
        return _MESSAGE_PAGE.format(message=message)
    start = request.args.get("start", -_SHOWN_BYTES, int)
    begin = max(len(data) + start, 0) if start < 0 else start
    end = min(request.args.get("end", len(data), int), len(data))
    return f"          <pre>{escape(data[begin:end].decode(errors='replace'))}</pre>"


def _page(container: str, content: str) -> Response:
    text = _PAGE.format(container=container, content=content)
    return Response(text, content_type="text/html;charset=utf-8")
