"""A cheap stand-in for Knox and Oozie, for measurements; its jobs run until they are ended.

`python -m bench.scale.gateway SECONDS` runs it as a process and prints its port; SECONDS is the
time of a request. Requests are counted by topology, so that several trackers can follow the same
jobs side by side.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, unquote

_BEAN = (
    '{"appName":"%(app)s","externalId":null,"conf":null,"run":0,"acl":null,"appPath":null,'
    '"parentId":null,"lastModTime":"%(created)s",'
    '"consoleUrl":"http://oozie.example:11000/oozie?job=%(id)s","createdTime":"%(created)s",'
    '"startTime":"%(created)s","toString":"Workflow id[%(id)s] status[%(status)s]","id":"%(id)s",'
    '"endTime":%(ended)s,"user":"%(user)s","actions":[%(actions)s],"status":"%(status)s",'
    '"group":null}'
)
_ACTION = (
    '{"cred":null,"userRetryMax":0,"trackerUri":"rm.example:8032","data":null,"errorMessage":null,'
    '"userRetryCount":0,"externalChildIDs":null,"externalId":"job_1790000000000_%(id).7s",'
    '"errorCode":null,"conf":"","type":"shell","transition":null,"retries":0,"consoleUrl":"-",'
    '"stats":null,"userRetryInterval":10,"name":"work","startTime":"%(created)s",'
    '"toString":"Action name[work] status[RUNNING]","id":"%(id)s@work","endTime":null,'
    '"externalStatus":"RUNNING","status":"RUNNING"}'
)


@dataclass
class World:
    """All jobs, when they end, and the requests about them."""

    created: str = field(default_factory=lambda: formatdate(usegmt=True))
    suffix: str = field(default_factory=lambda: f"-{time.strftime('%y%m%d%H%M%S000')}-oozie-gate-W")
    users: list[str] = field(default_factory=list)  #: the owner of each job
    ends: dict[int, float] = field(default_factory=dict)  #: when it succeeds, by its number
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    #: by topology, for each job: when its state was last sent
    asked_at: dict[str, array[float]] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )

    def number(self, job_id: str) -> int | None:
        """Return the number of a job; None if no job has this id."""
        head = job_id[:7]
        number = int(head) if head.isdecimal() else -1
        return number if 0 <= number < len(self.users) and job_id[7:] == self.suffix else None

    def describe(self, topology: str, number: int, *, with_actions: bool = False) -> str:
        """Return a job as Oozie's JSON, and note the time."""
        instants, now = self.asked_at[topology], time.time()
        if len(instants) < len(self.users):
            instants.extend([0.0] * (len(self.users) - len(instants)))
        instants[number] = now
        self.counts[topology]["states"] += 1
        end = self.ends.get(number, float("inf"))
        facts = {
            "app": f"nightly-{number % 50}",
            "id": f"{number:07d}{self.suffix}",
            "created": self.created,
            "status": "SUCCEEDED" if end <= now else "RUNNING",
            "ended": f'"{formatdate(end, usegmt=True)}"' if end <= now else "null",
            "user": self.users[number],
            "actions": "",
        }
        if with_actions:
            facts["actions"] = _ACTION % facts
        return _BEAN % facts


@dataclass(frozen=True)
class Answer:
    """An answer."""

    body: bytes
    status: str = "200 OK"
    headers: str = ""
    media_type: str = "application/json;charset=UTF-8"

    def encoded(self) -> bytes:
        """Return the answer in the form of HTTP/1.1."""
        head = (
            f"HTTP/1.1 {self.status}\r\nContent-Type: {self.media_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n{self.headers}\r\n"
        )
        return head.encode() + self.body


@dataclass(frozen=True)
class Request:
    """A request."""

    path: str
    query: str
    user: str
    body: bytes


class Service:
    """Answers trackers below `/gateway/<topology>/`, and the measurement below `/control/`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._controls: Mapping[str, Callable[[Request], Answer]] = {
            "jobs": self._add,
            "end": self._end,
            "counts": self._counts,
            "asked_at": self._asked_at,
        }

    def answer(self, request: Request) -> tuple[Answer, bool]:
        """Return the answer, and whether to delay it by the time of a request."""
        _, room, name, *rest = request.path.split("/", 3)
        if room == "control":
            return self._controls[name](request), False
        return self._of_topology(name, "".join(rest), request), True

    def _of_topology(self, topology: str, path: str, request: Request) -> Answer:
        counts = self._world.counts[topology]
        if path.startswith(("oozie/v1/jobs", "oozie/v2/jobs")):
            counts["bulk"] += 1
            return self._bulk(topology, request.query)
        if path.startswith(("oozie/v1/job/", "oozie/v2/job/")):
            counts["details"] += 1
            return self._details(topology, path.rpartition("/")[2])
        if path.startswith("webhdfs/v1") and "op=GETHOMEDIRECTORY" in request.query:
            counts["who"] += 1
            return Answer(json.dumps({"Path": f"/user/{request.user}"}).encode())
        counts["other"] += 1
        return Answer(b"{}", "404 Not Found")

    def _bulk(self, topology: str, query: str) -> Answer:
        wanted = unquote(parse_qs(query).get("filter", [""])[0]).split(";")
        numbers = [self._world.number(part[3:]) for part in wanted if part.startswith("id=")]
        found = [self._world.describe(topology, number) for number in numbers if number is not None]
        head = f'{{"total":{len(found)},"offset":1,"len":{len(wanted)},"workflows":['
        return Answer(f"{head}{','.join(found)}]}}".encode())

    def _details(self, topology: str, job_id: str) -> Answer:
        number = self._world.number(job_id)
        if number is None:
            words = f"E0604: Job does not exist [{job_id}]"
            headers = f"oozie-error-code: E0604\r\noozie-error-message: {words}\r\n"
            return Answer(b"", "400 Bad Request", headers)
        return Answer(self._world.describe(topology, number, with_actions=True).encode())

    def _add(self, request: Request) -> Answer:
        """Add running jobs, for users in turn; return their ids."""
        wanted = json.loads(request.body)
        first, users = len(self._world.users), wanted["users"]
        self._world.users += [users[n % len(users)] for n in range(wanted["count"])]
        numbers = range(first, len(self._world.users))
        return _json([f"{number:07d}{self._world.suffix}" for number in numbers])

    def _end(self, request: Request) -> Answer:
        """Set when jobs succeed: by id, in seconds since 1970."""
        for job_id, instant in json.loads(request.body).items():
            self._world.ends[int(job_id[:7])] = instant
        return _json(None)

    def _counts(self, _: Request) -> Answer:
        return _json(self._world.counts)

    def _asked_at(self, request: Request) -> Answer:
        """Return when the state of each job was last sent, as doubles."""
        return Answer(
            self._world.asked_at[request.query].tobytes(), media_type="application/binary"
        )


def _json(value: object) -> Answer:
    return Answer(json.dumps(value).encode())


class Connection(asyncio.Protocol):
    """One connection of a client that waits for each answer."""

    def __init__(self, service: Service, latency_s: float) -> None:
        self._service, self._latency_s = service, latency_s
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for answers."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is complete."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = dict(_header(line) for line in lines)
        complete = end + 4 + int(headers.get("content-length", 0))
        if len(self._received) < complete:
            return
        body = bytes(self._received[end + 4 : complete])
        del self._received[:complete]
        path, _, query = first.split(" ")[1].partition("?")
        answer, takes_time = self._service.answer(Request(path, query, _user(headers), body))
        pause_s = self._latency_s if takes_time else 0.0
        asyncio.get_running_loop().call_later(pause_s, self._transport.write, answer.encoded())


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def _user(headers: Mapping[str, str]) -> str:
    """Return the user of a request; this gateway accepts every password."""
    _, _, encoded = headers.get("authorization", "").partition(" ")
    return base64.b64decode(encoded).decode().partition(":")[0]


async def _serve(latency_s: float) -> None:
    service = Service(World())
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(service, latency_s), "127.0.0.1", 0, backlog=1000
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(arguments: Iterable[str]) -> None:
    """Serve until the process is ended."""
    [latency_s] = arguments
    asyncio.run(_serve(float(latency_s)))


if __name__ == "__main__":
    main(sys.argv[1:])
