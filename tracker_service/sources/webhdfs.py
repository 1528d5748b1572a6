"""Read and write files in HDFS through WebHDFS, with the `hdfs` package.

Follows https://hadoop.apache.org/docs/r3.3.6/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from hdfs import Client, HdfsError
from urllib3.exceptions import HTTPError

from tracker_service.domain.copies import aside_path
from tracker_service.domain.users import NoUserNameError, safe_user
from tracker_service.errors import (
    AccessDenied,
    CannotAnswerNow,
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    PathNotFound,
    RequestRefused,
)
from tracker_service.sources.bodies import (
    error_body,
    items,
    json_object,
    refusal,
    remote_error,
    words_of,
)
from tracker_service.sources.gateway import CANNOT_ANSWER_NOW, GatewaySession
from tracker_service.sources.plain_values import number_of

#: `<prefix>/<name>`: hdfs-default.xml, dfs.user.home.dir.prefix, which may be `/`
_HOME = re.compile(r"(?:/[^/]+)+/[^/]+")
#: What is held of a file in memory. Smaller pieces cost more calls, larger ones are no faster.
_PIECE_BYTES = 256 * 1024
_MOST_BYTES = 2**53  #: of a file: what all programs that read JSON can hold
_LAST_MS = 253_402_300_799_000  #: the end of the year 9999, the last that a date can have
_MEANINGS: dict[str, type[GatewayError]] = {
    "FileNotFoundException": PathNotFound,
    "AccessControlException": AccessDenied,
    "SecurityException": AccessDenied,
    "AuthorizationException": AccessDenied,
    **dict.fromkeys(CANNOT_ANSWER_NOW, CannotAnswerNow),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """One file or directory."""

    name: str
    is_directory: bool
    length: int  #: bytes; of a file being written, those of its complete blocks
    owner: str
    permission: str  #: octal, for example `600`
    modified_ms: int


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is being read."""

    length: int  #: in bytes
    pieces: Generator[bytes, None, None]  #: close it to let go of the file

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces that are left."""
        return self.pieces


class _Client(Client):  # type: ignore[misc]  # it has no types
    """The package's client; an error has the words of the server, whatever its body is."""

    def _request(self, method: str, url: str, **named: Any) -> requests.Response:  # noqa: ANN401
        response = cast(requests.Response, super()._request(method, url, **named))
        if response.status_code < requests.codes.bad_request:
            return response
        body = error_body(response)
        error = remote_error(body)
        words = words_of(response.headers, body, response.reason)
        text = refusal(method, response.status_code, words)
        raise HdfsError(text, exception=error.exception if error else None)


class WebHdfs:
    """HDFS behind the gateway, as one identity."""

    def __init__(self, session: GatewaySession) -> None:
        self._session = session
        gateway = session.gateway
        timeout = (gateway.connect_timeout_s, gateway.read_timeout_s)
        self._client = _Client(session.url, session=session, timeout=timeout)
        self._home: str | None = None

    def user(self) -> str:
        """Return the user of this session as the gateway sees it, with one cheap call.

        Raises:
            CredentialsRefused: not a user of the gateway, or a name that is no user name.
            GatewayUnavailable: the gateway cannot say.
        """
        self._home = self._ask_home()
        try:
            return safe_user(self._home.rpartition("/")[2])
        except NoUserNameError as error:
            raise CredentialsRefused(f"HDFS names a user: {error}") from error

    def home(self) -> str:
        """Return the home directory of the user of this session; HDFS is asked once.

        Raises:
            GatewayUnavailable, CredentialsRefused, AccessDenied: HDFS does not tell.
        """
        self._home = self._home or self._ask_home()
        return self._home

    def _ask_home(self) -> str:
        answer = self._session.ask("GET", "webhdfs/v1/", params={"op": "GETHOMEDIRECTORY"})
        path = answer.json().get("Path")
        if answer.status != HTTPStatus.OK or not isinstance(path, str):
            raise GatewayUnavailable(f"GETHOMEDIRECTORY: answered {answer.status} without a Path")
        home = urlsplit(path).path.rstrip("/") if "://" in path else path.rstrip("/")
        # Any path looks like a home without a prefix: then it must have the name that was sent.
        is_home = _HOME.fullmatch(home) or home.strip("/") == self._session.user
        if not is_home or {".", ".."}.intersection(home.split("/")):
            raise CredentialsRefused(f"GETHOMEDIRECTORY: {path[:200]!r} is the home of nobody")
        return home

    def status(self, path: str) -> FileStatus:
        """Return the status of a file or directory.

        Raises:
            PathNotFound: nothing. AccessDenied: the identity may not look.
        """
        with _meanings(path):
            return _file_status(path.rpartition("/")[2], self._client.status(path))

    def list(self, path: str) -> list[FileStatus]:
        """Return the entries of a directory."""
        with _meanings(path):
            answer = json_object(self._client._list_status(path).content) or {}
            statuses = answer["FileStatuses"]
            found = items(statuses.get("FileStatus") if isinstance(statuses, dict) else statuses)
            files = [_file_status(str(status["pathSuffix"]), status) for status in found]
        if len(files) == 1 and not files[0].name:
            raise RequestRefused(f"{path} is a file, and no directory")
        return files

    def make_directory(self, path: str, permission: str = "700") -> None:
        """Make a directory and its missing parents, all with this permission."""
        with _meanings(path):
            if not self._client._mkdirs(path, permission=permission).json()["boolean"]:
                raise RequestRefused(f"HDFS did not make the directory {path}")

    def write(self, path: str, content: bytes, permission: str = "600") -> None:
        """Write a small file, and replace one that is there."""
        with _meanings(path):
            self._client.write(path, data=content, overwrite=True, permission=permission)

    def read(self, path: str) -> OpenFile:
        """Open a file now and return its bytes in pieces; nothing is held in memory.

        Raises:
            PathNotFound, AccessDenied: before the first piece.
            GatewayUnavailable: at the end, if fewer bytes came than the file has: the gateway
                cuts streams silently.
        """
        length = self.status(path).length
        with _meanings(path):
            response = self._client._open(path)
        pieces = _whole(path, response, length)
        next(pieces)
        return OpenFile(length, pieces)

    def read_range(self, path: str, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield the bytes from an offset on, in pieces.

        Raises:
            PathNotFound, AccessDenied: with the first piece.
            GatewayUnavailable: also at the end, if fewer bytes came than were asked for.
        """
        if length == 0:
            return
        with _meanings(path):
            response = self._client._open(path, offset=offset, length=length)
        yield from _whole(path, response, length)

    def head(self, path: str, length: int) -> bytes:
        """Return the first bytes of a file."""
        with _meanings(path), self._client.read(path, length=length) as stream:
            return bytes(stream.read())

    def write_pieces(self, path: str, pieces: Iterable[bytes], permission: str = "600") -> None:
        """Write a file of any length as its pieces come; nothing is held in memory.

        What came is there if the pieces break off: look at its length before it counts.
        """
        broken: list[Exception] = []
        try:
            with _meanings(path):
                self._client.write(
                    path, data=_watched(pieces, broken), overwrite=True, permission=permission
                )
        except Exception:
            if broken:  # it is no trouble of HDFS
                raise broken[0] from None
            raise

    def rename(self, source: str, target: str) -> None:
        """Rename a file, and replace a file that has the new name: in one step, or in three.

        The NameNode answers 200 with an empty body, so only the status can be judged: look at the
        target afterwards. HttpFS and old NameNodes do not know the option `OVERWRITE`, and say
        whether they have renamed. Then the old file is moved to `aside_path`, the new one takes
        its name, and the old one is removed. After a crash in between, call this again.

        Raises:
            PathNotFound: there is no such file.
            RequestRefused: it cannot be renamed; what was there is there again.
        """
        with _meanings(source):
            answer = self._client._rename(
                source, destination=target, renameoptions="OVERWRITE"
            ).content
        is_renamed = (json_object(answer) or {}).get("boolean")
        if is_renamed is False:
            self._replace_in_steps(source, target)
        elif is_renamed:  # a crash may have come after the old file was moved
            self.delete(aside_path(target))

    def _replace_in_steps(self, source: str, target: str) -> None:
        aside = aside_path(target)
        self.status(source)
        try:
            self.status(target)
        except PathNotFound:  # moved aside before a crash, or never there
            has_old = False
        else:
            self.delete(aside)
            has_old = self._rename_plainly(target, aside)
        if not self._rename_plainly(source, target):
            if has_old:
                self._rename_plainly(aside, target)
            raise RequestRefused(f"HttpFS, or an old NameNode, did not rename {source} to {target}")
        self.delete(aside)

    def _rename_plainly(self, source: str, target: str) -> bool:
        with _meanings(source):
            answer = self._client._rename(source, destination=target).content
        return (json_object(answer) or {}).get("boolean") is True

    def delete(self, path: str) -> bool:
        """Remove a file, or a directory with its contents; return False if there was none."""
        with _meanings(path):
            return bool(self._client.delete(path, recursive=True))

    def delete_if_empty(self, path: str) -> bool:
        """Remove an empty directory; the NameNode checks and removes in one step."""
        try:
            with _meanings(path):
                return bool(self._client.delete(path, recursive=False))
        except RequestRefused:
            return False


def _whole(path: str, response: requests.Response, length: int) -> Generator[bytes, None, None]:
    """Yield an empty piece, so that closing the generator closes the response, then the rest."""
    received = 0
    try:
        yield b""
        for chunk in response.iter_content(_PIECE_BYTES):
            received += len(chunk)
            yield chunk
    except requests.RequestException as error:
        raise GatewayUnavailable(f"{path}: the stream broke off after {received} bytes") from error
    finally:
        response.close()
    if received != length:
        raise GatewayUnavailable(f"{path}: {received} bytes came of {length}")


def _watched(pieces: Iterable[bytes], broken: list[Exception]) -> Iterator[bytes]:
    """Yield pieces, and keep the error with which they break off."""
    try:
        yield from pieces
    except Exception as error:
        broken.append(error)
        raise


def _file_status(name: str, status: dict[str, Any]) -> FileStatus:
    if "/" in name or name in (".", ".."):
        raise ValueError(f"{name[:40]!r} is no name of a file")
    return FileStatus(
        name=name,
        is_directory=status["type"] == "DIRECTORY",
        length=number_of(status["length"], _MOST_BYTES),
        owner=str(status["owner"]),
        permission=str(status["permission"]),
        modified_ms=number_of(status["modificationTime"], _LAST_MS),
    )


@contextmanager
def _meanings(path: str) -> Iterator[None]:
    """Raise our errors in place of the package's, by the Java exception that it names."""
    try:
        yield
    except HdfsError as error:
        meaning = _MEANINGS.get(error.exception or "", RequestRefused)
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise meaning(f"{path}: {first_line}") from error
    except (requests.RequestException, HTTPError) as error:  # the latter while a body is read
        raise GatewayUnavailable(f"{path}: no answer of WebHDFS") from error
    except (KeyError, TypeError, ValueError) as error:
        # The package trusts the gateway's bodies and headers; a broken one ends here.
        raise GatewayUnavailable(f"{path}: an incomplete answer of WebHDFS") from error
