"""Post ids one after the other, with many clients at the same time, in a process of its own.

Reads a `Load` as JSON from its standard input and writes a `Done` to its standard output.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

from bench.scale.load import Done, Load


class _Client:
    def __init__(self, load: Load, user: str) -> None:
        self._load = load
        credentials = base64.b64encode(f"{user}:{user}-password".encode()).decode()
        self._head = (
            f"Host: {load.host}:{load.port}\r\nAuthorization: Basic {credentials}\r\n"
            "Content-Type: text/plain\r\n"
        )

    async def open(self) -> None:
        """Connect, and have the caller verified."""
        self._reader, self._writer = await asyncio.open_connection(self._load.host, self._load.port)
        await self.ask("GET /api/job/none/status")  # refused, but only after the verification

    async def ask(self, what: str, body: str = "") -> int:
        """Ask once and return the status."""
        head = f"{what} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(f"{head}{body}".encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        for line in answer.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await self._reader.readexactly(int(line.partition(b":")[2]))
        return int(answer[9:12])

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class _Posting:
    """All clients of a load."""

    def __init__(self, load: Load) -> None:
        self._load, self._clients = load, [_Client(load, user) for user in load.users]
        self._seconds: list[float] = []
        self._errors: list[str] = []

    async def run(self) -> Done:
        """Open all connections, then post until the time is over."""
        for client in self._clients:
            await client.open()
        began, ids = time.perf_counter(), iter(self._load.ids)
        works = (self._work(number, ids, began) for number in range(len(self._clients)))
        await asyncio.gather(*works)
        took_s = time.perf_counter() - began
        for client in self._clients:
            client.close()
        return Done(self._seconds, self._errors, took_s)

    async def _work(self, number: int, ids: Iterator[str], began: float) -> None:
        for turn, job_id in enumerate(ids):
            due = time.perf_counter()
            if self._load.per_second:
                due = began + (number + turn * len(self._clients)) / self._load.per_second
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if time.perf_counter() - began > self._load.seconds:
                return
            await self._post(self._clients[number], job_id, due)

    async def _post(self, client: _Client, job_id: str, due: float) -> None:
        try:
            status = await client.ask("POST /api/task/track/", job_id)
        except (OSError, EOFError) as error:
            self._errors.append(repr(error))
            await client.open()
            return
        if status == 200:
            self._seconds.append(time.perf_counter() - due)
        else:
            self._errors.append(str(status))


if __name__ == "__main__":
    wanted = Load(**json.loads(sys.stdin.read()))
    print(json.dumps(asdict(asyncio.run(_Posting(wanted).run()))))
