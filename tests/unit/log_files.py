"""Files of aggregated logs: recorded files, and files that a test writes."""

from __future__ import annotations

import hashlib
import json
import struct
import tarfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from tracker_service.archive.formats.node_file import Log, NodeFile

SAMPLES = Path(__file__).parent / "samples"
APP = "application_1795323187948_0002"
NODE = "localhost_8041"
MODIFIED = datetime(2026, 11, 22, 4, 12, 46, tzinfo=UTC)
MAGIC = bytes.fromhex("d111d36891b5d7b639df414092bae150")
MARKER = hashlib.sha256(APP.encode()).digest()

Container = tuple[str, Sequence[tuple[str, bytes]]]


def container(number: int, **logs: bytes) -> Container:
    return f"container_1795323187948_0002_01_{number:06d}", list(logs.items())


# Reading


@dataclass
class Disk:
    """A file whose reads are counted."""

    data: bytes
    piece: int = 64 * 1024
    reads: list[tuple[int, int]] = field(default_factory=list)
    closed: int = 0

    def read(self, offset: int, length: int) -> Generator[bytes, None, None]:
        self.reads.append((offset, length))
        end = min(offset + length, len(self.data))
        try:
            for at in range(offset, end, self.piece):
                yield self.data[at : min(at + self.piece, end)]
        finally:
            self.closed += 1

    def file(self, **more) -> NodeFile:
        facts = {"name": NODE, "application": APP, "modified_at": MODIFIED}
        return NodeFile(**{**facts, "length": len(self.data), "read": self.read, **more})


def held(logs: Iterable[Log]) -> list[tuple[str, str, bytes]]:
    """What a reader found, container by container."""
    return [(log.container, log.name, b"".join(log.content)) for log in logs]


def flat(containers: Iterable[Container]) -> list[tuple[str, str, bytes]]:
    return [(name, log, content) for name, logs in containers for log, content in logs]


# Recorded files


@dataclass(frozen=True)
class Sample:
    set: str
    name: str
    application: str
    files: tuple[tuple[str, datetime], ...]

    def __str__(self) -> str:
        return f"{self.set}-{self.name}"

    @property
    def text(self) -> bytes:
        return recorded(self.set)[f"{self.name}/expected.txt"]

    def disks(self) -> Iterator[tuple[Disk, NodeFile]]:
        for name, modified_at in self.files:
            disk = Disk(recorded(self.set)[f"{self.name}/{name}"])
            yield (
                disk,
                disk.file(name=name, application=self.application, modified_at=modified_at),
            )


@cache
def recorded(name: str) -> dict[str, bytes]:
    with tarfile.open(SAMPLES / f"{name}.tar.xz") as tar:
        files = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: file.read() for name, file in files if file is not None}


def _samples() -> Iterator[Sample]:
    for each in json.loads((SAMPLES / "index.json").read_text()):
        files = [(f["name"], datetime.fromisoformat(f["modified_at"])) for f in each["files"]]
        yield Sample(each["set"], each["name"], each["application"], tuple(files))


ALL_SAMPLES = tuple(_samples())


def sample(set_name: str, name: str) -> Sample:
    return next(s for s in ALL_SAMPLES if (s.set, s.name) == (set_name, name))


# Writing a TFile


def vint(n: int) -> bytes:
    """Follows org.apache.hadoop.io.file.tfile.Utils.writeVLong."""
    if -32 <= n <= 127:
        return struct.pack(">b", n)
    for more, limit, shift in ((1, 20, 52), (2, 16, 88), (3, 8, 112)):
        first = n >> 8 * more
        if -limit <= first < limit:
            return struct.pack(">b", first - shift) + (n & (1 << 8 * more) - 1).to_bytes(
                more, "big"
            )
    size = max(4, ((n if n >= 0 else ~n).bit_length() + 8) // 8)
    return struct.pack(">b", size - 129) + n.to_bytes(size, "big", signed=True)


def utf(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(data)) + data


def _string(text: str) -> bytes:
    return vint(len(text.encode())) + text.encode()


def chunks(data: bytes, size: int = 1 << 20) -> bytes:
    """A value as a chain of chunks: all but the last have negative lengths."""
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    chained = b"".join(vint(-len(part)) + part for part in parts[:-1])
    return chained + vint(len(parts[-1])) + parts[-1]


def record(key: str, value: bytes, chunk: int = 1 << 20) -> bytes:
    return vint(len(utf(key))) + utf(key) + chunks(value, chunk)


def value(logs: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(utf(name) + utf(str(len(data))) + data for name, data in logs)


def tfile(
    containers: Iterable[Container], *, algorithm="none", block=256 * 1024, chunk=1 << 20, more=()
) -> bytes:
    """A TFile as a node manager writes it; `more` are records as they are."""
    records = [
        record("VERSION", struct.pack(">i", 1)),
        record("APPLICATION_ACL", utf("VIEW_APP") + utf("guest")),
        record("APPLICATION_OWNER", utf("guest")),
        *(record(name, value(logs), chunk) for name, logs in containers),
        *more,
    ]
    blocks = [b""]
    for each in records:
        if len(blocks[-1]) >= block:
            blocks.append(b"")
        blocks[-1] += each
    return bcfile([packed(algorithm, b) for b in blocks], algorithm=algorithm)


def packed(algorithm: str, data: bytes) -> bytes:
    return zlib.compress(data) if algorithm == "gz" else data


def bcfile(
    blocks: Sequence[bytes], *, algorithm="none", index=None, meta=None, count=None, major=1
) -> bytes:
    """A BCFile of stored blocks; parts of it can be replaced by broken ones."""
    data = MAGIC
    listed = []
    for block in blocks:
        listed.append((len(data), len(block)))
        data += block
    if index is None:
        index = _string(algorithm) + vint(len(blocks) if count is None else count)
        index += b"".join(vint(n) for offset, length in listed for n in (offset, length, length))
    index = packed(algorithm, index)
    offset = len(data)
    data += index
    if meta is None:
        numbers = vint(offset) + vint(len(index)) + vint(len(index))
        other = _string("data:TFile.meta") + _string("none") + vint(16) * 3
        meta = vint(2) + other + _string("data:BCFile.index") + _string(algorithm) + numbers
    return data + meta + struct.pack(">qhh", len(data), major, 0) + MAGIC


# Writing an IFile

_PACKAGE = "org.apache.hadoop.yarn.logaggregation.filecontroller.ifile."
_CLASS = f"{_PACKAGE}LogAggregationIndexedFileController$"


class JavaWriter:
    """Serialises the objects of an index as java.io.ObjectOutputStream does."""

    def __init__(self, modified_name: str = "lastModifiedTime") -> None:
        self.data = bytearray(b"\xac\xed\x00\x05")
        self._handles: dict[str, int] = {}
        self._count = 0
        self._modified_name = modified_name

    def _new(self, key: str = "") -> None:
        if key:
            self._handles[key] = 0x7E0000 + self._count
        self._count += 1

    def _is_known(self, key: str) -> bool:
        if key in self._handles:
            self.data += struct.pack(">BI", 0x71, self._handles[key])
        return key in self._handles

    def text(self, text: str) -> None:
        if not self._is_known(f"text {text}"):
            self.data += b"\x74" + utf(text)
            self._new(f"text {text}")

    def begin(self, name: str, flags: int, **fields: str) -> None:
        """The beginning of an object, to the values of its fields."""
        self.data += b"\x73"
        if not self._is_known(name):
            self.data += b"\x72" + utf(name) + bytes(8) + struct.pack(">BH", flags, len(fields))
            self._new(name)
            for field_name, kind in fields.items():
                self.data += kind[:1].encode() + utf(field_name)
                if kind.startswith("L"):
                    self.text(kind)
            self.data += b"\x78\x70"
        self._new()

    def list(self, count: int) -> None:
        self.begin("java.util.ArrayList", 3, size="I")
        self.data += struct.pack(">iBBi", count, 0x77, 4, count)

    def map(self, count: int) -> None:
        self.begin("java.util.HashMap", 3, loadFactor="F", threshold="I")
        self.data += struct.pack(">fiBBii", 0.75, 12, 0x77, 8, 16, count)

    def end(self) -> None:
        self.data += b"\x78"

    def log(self, container_id: str, name: str, numbers: Sequence[int]) -> None:
        string = "Ljava/lang/String;"
        longs = ("fileCompressedSize", "fileSize", self._modified_name, "startIndex")
        fields = {**dict.fromkeys(longs, "J"), "containerId": string, "fileName": string}
        self.begin(f"{_CLASS}IndexedFileLogMeta", 2, **fields)
        self.data += struct.pack(">qqqq", *numbers)
        self.text(container_id)
        self.text(name)


LogMeta = tuple[str, str, tuple[int, int, int, int]]


def index(
    uploads: Sequence[Sequence[tuple[str, Sequence[LogMeta]]]],
    *,
    algorithm: str = "none",
    modified_name: str = "lastModifiedTime",
) -> bytes:
    """The serialised index: of each upload the containers, of each their logs."""
    java, string = JavaWriter(modified_name), "Ljava/lang/String;"
    fields = {"acls": "Ljava/util/Map;", "compressName": string, "logMetas": "Ljava/util/List;"}
    java.begin(f"{_CLASS}IndexedLogsMeta", 2, version="I", **fields, nodeId=string, user=string)
    java.data += struct.pack(">i", 1)
    java.map(0)
    java.end()
    java.text(algorithm)
    java.list(len(uploads))
    for containers in uploads:
        fields = {"logMetas": "Ljava/util/Map;", "remoteNodeLogFileName": string}
        java.begin(f"{_CLASS}IndexedPerAggregationLogMeta", 2, uploadTimeStamp="J", **fields)
        java.data += struct.pack(">q", 1795323187948)
        java.map(len(containers))
        for name, logs in containers:
            java.text(name)
            java.list(len(logs))
            for log in logs:
                java.log(*log)
            java.end()
        java.end()
        java.text(NODE)
    java.end()
    java.text("localhost:8041")
    java.text("guest")
    return bytes(java.data)


def ifile(
    *uploads: Sequence[Container],
    algorithm="none",
    marker=MARKER,
    announced=None,
    **more,
) -> bytes:
    """An IFile with one trailer after each upload; `announced` replaces all lengths."""
    data = marker
    listed: list[list[tuple[str, list[LogMeta]]]] = []
    for containers in uploads:
        listed.append([])
        for name, logs in containers:
            metas = []
            for log, content in logs:
                stored = packed(algorithm, content)
                length = len(content) if announced is None else announced
                metas.append((name, log, (len(stored), length, 1795323187948, len(data))))
                data += stored
            listed[-1].append((name, metas))
        data += trailer(index(listed, algorithm=algorithm, **more), marker)
    return data


def trailer(meta: bytes, marker: bytes = MARKER) -> bytes:
    return meta + struct.pack(">i", len(meta)) + marker
