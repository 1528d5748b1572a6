"""Asks the parts of a running cluster whether they answer."""

import base64
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from .layout import USERS, Layout


def direct(at: Layout) -> dict[str, str]:
    """{part: an address that it answers once it is ready}."""
    found = {
        "webhdfs": at.url("namenode_http") + "/webhdfs/v1/?op=GETFILESTATUS&user.name=hdfs",
        "resource manager": at.url("rm_http") + "/ws/v1/cluster/info",
    }
    for node in range(at.nodes):
        found[f"node manager {node + 1}"] = at.url("nm_http", node) + "/ws/v1/node/info"
    return found | {
        "job history": at.url("jhs_http") + "/ws/v1/history/info",
        "oozie": at.url("oozie") + "/oozie/versions",
    }


def through_gateway(at: Layout) -> dict[str, str]:
    """The same through the gateway, which starts each of its services at the first request."""
    sandbox = at.topology("sandbox")
    return {
        "gateway, oozie": f"{sandbox}/oozie/versions",
        "gateway, webhdfs": f"{sandbox}/webhdfs/v1/?op=GETFILESTATUS",
        "gateway, resource manager": f"{sandbox}/resourcemanager/v1/cluster/info",
        "gateway, job history": f"{sandbox}/jobhistory/ws/v1/history/info",
        "gateway, token": f"{sandbox}/knoxtoken/api/v1/token",
    }


def httpfs(at: Layout) -> list[str]:
    """HttpFS itself, and through the gateway."""
    path = "webhdfs/v1/?op=GETFILESTATUS"
    return [f"{at.url('httpfs')}/{path}&user.name=hdfs", f"{at.topology('httpfs')}/{path}"]


def ask(at: Layout, url: str) -> int | None:
    """The status of an answer through the gateway, as guest; None if there is no answer."""
    request = urllib.request.Request(url)
    try:
        context = None
        if url.startswith("https"):
            credentials = base64.b64encode(f"guest:{USERS['guest']}".encode()).decode()
            request.add_header("Authorization", f"Basic {credentials}")
            context = ssl.create_default_context(cafile=at.ca_file)
        with opener(context).open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def opener(context: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Asks without a proxy: one of the caller's environment would not reach this machine."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


def is_good(url: str, status: int | None) -> bool:
    """Whether a part is ready; with Kerberos, a daemon may refuse us (401), but not the gateway."""
    return status in ((200,) if url.startswith("https") else (200, 401))


def wait(at: Layout, url: str, seconds: float, check: Callable[[], None]) -> bool:
    """Asks until the answer is good; returns False if none was. `check` may raise to stop."""
    limit = time.monotonic() + seconds
    while not is_good(url, ask(at, url)):
        check()
        if time.monotonic() > limit:
            return False
        time.sleep(0.1)
    return True
