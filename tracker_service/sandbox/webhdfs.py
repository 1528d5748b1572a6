"""Speaks WebHDFS, as it is seen through the gateway."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from urllib.parse import quote

from werkzeug.wrappers import Request, Response

from tracker_service.sandbox.answers import empty_answer, json_answer
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.inodes import HdfsError, IllegalArgumentError, Node

_CHUNK_BYTES = 64 * 1024
_BLOCK_BYTES = 128 * 1024 * 1024
#: The gateway rewrites bodies of other types; the sandbox refuses them rather than spoil bytes.
_SAFE_TYPES = ("", "application/octet-stream", "text/plain", "text/html", "multipart/form-data")
_TRACE = (
    "\n\tat org.apache.hadoop.hdfs.server.namenode.NameNodeRpcServer.call(NameNodeRpcServer.java)\n"
)


class UnsupportedOperationError(HdfsError):
    """The request names no operation."""

    status = 400
    java_class = "java.lang.UnsupportedOperationException"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transfer:
    """What the second step of CREATE or OPEN has to do."""

    operation: str
    path: str
    overwrite: bool = False
    permission: int = 0o644
    offset: int = 0
    length: int | None = None


class SandboxWebHdfs:
    """The service ``webhdfs`` of the gateway.

    Follows the WebHDFS REST API of Hadoop 3.3.6 and Knox's rewriting of its redirects.
    """

    def __init__(self, cluster: Cluster, topology_path: str) -> None:
        self._cluster = cluster
        self._topology_path = topology_path
        #: Answer as HttpFS, which knows no ``renameoptions``.
        self.plays_httpfs = False
        self._key = secrets.token_bytes(32)
        self._operations: dict[tuple[str, str], Callable[[_Call], Response]] = {
            ("GET", "GETHOMEDIRECTORY"): self._home_directory,
            ("GET", "GETFILESTATUS"): self._file_status,
            ("GET", "LISTSTATUS"): self._list_status,
            ("GET", "OPEN"): self._open,
            ("PUT", "CREATE"): self._create,
            ("PUT", "MKDIRS"): self._mkdirs,
            ("PUT", "RENAME"): self._rename,
            ("PUT", "SETPERMISSION"): self._set_permission,
            ("DELETE", "DELETE"): self._delete,
        }

    def answer(self, request: Request, path: str, user: str) -> Response:
        """Answer a request for ``webhdfs/v1`` + *path*."""
        call = _Call(request=request, path=_expanded(path, user, self._cluster.homes), user=user)
        try:
            operation = self._operation_of(call)
            with self._cluster.settled():
                return operation(call)
        except HdfsError as refused:
            return remote_exception(refused)

    def answer_data(self, request: Request, path: str, user: str) -> Response:
        """Answer the second step of a transfer, at a Location given before."""
        transfer = self._verified(request.args.get("_", ""))
        if transfer is None or transfer.path != path:
            return empty_answer(500)
        try:
            if transfer.operation == "OPEN":
                return self._send(transfer, user)
            return self._receive(transfer, request, user)
        except HdfsError as refused:
            return remote_exception(refused, trace=_TRACE)

    def _operation_of(self, call: _Call) -> Callable[[_Call], Response]:
        name = call.parameter("op").upper()
        method = "GET" if call.request.method == "HEAD" else call.request.method
        if not name:
            raise UnsupportedOperationError("op=NULL is not supported")
        if (method, name) not in self._operations:
            raise _invalid("op", f"{name} is not a valid {method} operation.")
        return self._operations[method, name]

    def _home_directory(self, call: _Call) -> Response:
        return json_answer({"Path": f"{self._cluster.homes}/{call.user}"})

    def _file_status(self, call: _Call) -> Response:
        node = self._cluster.hdfs.status(call.path, call.user)
        return json_answer({"FileStatus": _described("", node)})

    def _list_status(self, call: _Call) -> Response:
        entries = self._cluster.hdfs.list(call.path, call.user)
        return json_answer(
            {"FileStatuses": {"FileStatus": [_described(name, node) for name, node in entries]}}
        )

    def _open(self, call: _Call) -> Response:
        offset = call.number("offset", 0) or 0
        node = self._cluster.hdfs.check_readable(call.path, call.user)
        if not node.is_directory and offset and not 0 <= offset < node.length:
            raise HdfsError(
                f"Offset={offset} out of the range [0, {node.length}); OPEN, path={call.path}"
            )
        return self._redirect(
            call,
            _Transfer(
                operation="OPEN",
                path=call.path,
                offset=offset,
                length=call.number("length", None),
            ),
        )

    def _create(self, call: _Call) -> Response:
        return self._redirect(
            call,
            _Transfer(
                operation="CREATE",
                path=call.path,
                overwrite=call.flag("overwrite"),
                permission=call.permission(0o644),
            ),
        )

    def _mkdirs(self, call: _Call) -> Response:
        self._cluster.hdfs.mkdirs(call.path, call.user, permission=call.permission(0o755))
        return json_answer({"boolean": True})

    def _rename(self, call: _Call) -> Response:
        destination = _expanded(call.required("destination"), call.user, self._cluster.homes)
        if not destination.startswith("/"):
            raise _invalid(
                "destination",
                f'Invalid parameter value: destination = "{destination}" is not an absolute path.',
            )
        options = "" if self.plays_httpfs else call.parameter("renameoptions").upper()
        if not options:
            renamed = self._cluster.hdfs.rename(call.path, destination, call.user)
            return json_answer({"boolean": renamed})
        self._cluster.hdfs.replace(
            call.path, destination, call.user, overwrite=options == "OVERWRITE"
        )
        return Response(b"", content_type="application/octet-stream")

    def _set_permission(self, call: _Call) -> Response:
        self._cluster.hdfs.set_permission(call.path, call.user, call.permission(0o755))
        return Response(b"", content_type="application/octet-stream")

    def _delete(self, call: _Call) -> Response:
        recursive = call.flag("recursive")
        deleted = self._cluster.hdfs.delete(call.path, call.user, recursive=recursive)
        return json_answer({"boolean": deleted})

    def _redirect(self, call: _Call, transfer: _Transfer) -> Response:
        base = (
            f"{call.request.host_url.rstrip('/')}{self._topology_path}/webhdfs/data/v1/webhdfs/v1"
        )
        location = f"{base}{quote(transfer.path)}?_={self._signed(transfer)}"
        if call.flag("noredirect"):
            return json_answer({"Location": location})
        answer = Response(b"", 307, content_type="application/octet-stream")
        answer.headers["Location"] = location
        return answer

    def _signed(self, transfer: _Transfer) -> str:
        packed = json.dumps(asdict(transfer)).encode()
        signature = hmac.digest(self._key, packed, hashlib.sha256)
        return base64.urlsafe_b64encode(signature + packed).decode().rstrip("=")

    def _verified(self, token: str) -> _Transfer | None:
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        signature, packed = data[:32], data[32:]
        if not hmac.compare_digest(signature, hmac.digest(self._key, packed, hashlib.sha256)):
            return None
        return _Transfer(**json.loads(packed))

    def _send(self, transfer: _Transfer, user: str) -> Response:
        with self._cluster.settled():
            data = memoryview(self._cluster.hdfs.read(transfer.path, user))
        end = None if transfer.length is None else transfer.offset + transfer.length
        chunks = _chunks(data[transfer.offset : end])
        return Response(chunks, content_type="application/octet-stream", direct_passthrough=True)

    def _receive(self, transfer: _Transfer, request: Request, user: str) -> Response:
        if request.mimetype not in _SAFE_TYPES:
            return empty_answer(500)
        data = request.stream.read()
        with self._cluster.settled():
            self._cluster.hdfs.create(
                transfer.path,
                user,
                data,
                overwrite=transfer.overwrite,
                permission=transfer.permission,
            )
        location = f"{request.host_url.rstrip('/')}{self._topology_path}/webhdfs/v1{transfer.path}"
        return empty_answer(201, {"Location": location})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request with its path and the caller's name."""

    request: Request
    path: str
    user: str

    def parameter(self, name: str) -> str:
        """Return a parameter, whose name counts without case; empty if it is missing."""
        for key, value in self.request.args.items():
            if key.lower() == name:
                return value
        return ""

    def required(self, name: str) -> str:
        """Return a parameter that the operation cannot do without."""
        if not (value := self.parameter(name)):
            operation = self.parameter("op").upper()
            raise IllegalArgumentError(
                f"Required param {name} for op: {operation} is null or empty"
            )
        return value

    def flag(self, name: str) -> bool:
        """Return a parameter that is true or false."""
        value = self.parameter(name)
        if value.lower() not in ("", "true", "false"):
            raise _invalid(name, f'Failed to parse "{value}" to Boolean.')
        return value.lower() == "true"

    def number(self, name: str, default: int | None) -> int | None:
        """Return a parameter that is a whole number."""
        value = self.parameter(name)
        try:
            return int(value) if value else default
        except ValueError as exc:
            raise _invalid(name, f'Failed to parse "{value}" as a radix-10 long integer.') from exc

    def permission(self, default: int) -> int:
        """Return the permission bits, which are written in octal."""
        value = self.parameter("permission")
        try:
            return int(value, 8) if value else default
        except ValueError as exc:
            raise _invalid(
                "permission", f'Failed to parse "{value}" as a radix-8 short integer.'
            ) from exc


def remote_exception(error: HdfsError, trace: str = "") -> Response:
    """Answer with an error in HDFS's form; those of the second step carry a stack trace."""
    described = {
        "exception": error.java_class.rpartition(".")[2],
        "javaClassName": error.java_class,
        "message": f"{error}{trace}",
    }
    return json_answer({"RemoteException": described}, error.status)


def _invalid(parameter: str, problem: str) -> IllegalArgumentError:
    return IllegalArgumentError(f'Invalid value for webhdfs parameter "{parameter}": {problem}')


def _expanded(path: str, user: str, homes: str) -> str:
    if path == "/~" or path.startswith("/~/"):
        path = f"{homes}/{user}{path[2:]}"
    return path.rstrip("/") or "/"


def _chunks(data: memoryview) -> Iterator[bytes]:
    for start in range(0, len(data), _CHUNK_BYTES):
        yield bytes(data[start : start + _CHUNK_BYTES])


def _described(name: str, node: Node) -> dict[str, int | str]:
    directory = node.is_directory
    return {
        "accessTime": 0 if directory else node.modified_ms,
        "blockSize": 0 if directory else _BLOCK_BYTES,
        "childrenNum": len(node.children),
        "fileId": node.file_id,
        "group": node.group,
        "length": node.length,
        "modificationTime": node.modified_ms,
        "owner": node.owner,
        "pathSuffix": name,
        "permission": f"{node.permission:o}",
        "replication": 0 if directory else 1,
        "storagePolicy": 0,
        "type": "DIRECTORY" if directory else "FILE",
    }
