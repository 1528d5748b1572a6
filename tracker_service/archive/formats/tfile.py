"""Read aggregated logs that are TFiles, the format that clusters use by default.

Follows org.apache.hadoop.io.file.tfile.{BCFile,TFile,Chunk,Utils} and
org.apache.hadoop.yarn.logaggregation.AggregatedLogFormat of Hadoop 3.3.6.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple

from tracker_service.archive.formats.node_file import Log, NodeFile
from tracker_service.archive.formats.pieces import (
    MOST_NAME_BYTES,
    ByteSource,
    Ended,
    Misread,
    Portion,
    decoded,
)
from tracker_service.domain.work_budget import WorkBudget
from tracker_service.errors import LogFileBroken, TooMuchWork

#: With these bytes the file begins and ends.
MAGIC = bytes.fromhex("d111d36891b5d7b639df414092bae150")
_TAIL_BYTES = 8 + 2 + 2 + len(MAGIC)
_MAJOR_VERSION = 1
_META_BYTES = 1024 * 1024  #: the most of the list of meta blocks; it has three entries
_INDEX_BYTES = 16 * 1024 * 1024  #: the most of the index of the data blocks, as it is stored
_BLOCK_BYTES = 64 * 1024  #: the least on average; the node manager's have 256 KiB but for the last
_NAME_BYTES = 64 * 1024  #: of an algorithm or of a meta block
_LENGTH_BYTES = 2  #: before a text of Java
_ENDLESS = 1 << 63
_NOT_CONTAINERS = {"VERSION", "APPLICATION_ACL", "APPLICATION_OWNER"}
_DECIMAL = re.compile(r"[0-9]{1,19}")


class _Block(NamedTuple):
    offset: int
    length: int  #: as it is stored, in bytes

    @property
    def end(self) -> int:
        return self.offset + self.length


class _Stored(NamedTuple):
    algorithm: str
    block: _Block


def ends_here(file: NodeFile) -> bool:
    """Tell whether a file ends as a TFile does."""
    if file.length < len(MAGIC) + _TAIL_BYTES:
        return False
    return file.part(file.length - len(MAGIC), len(MAGIC)) == MAGIC


def logs_in(file: NodeFile) -> Generator[Log, None, None]:
    """Yield the logs of a TFile in the order in which they were written.

    One read gives the end of the file, one all data; about a piece is held in memory. What a node
    manager wrote differently from what it announced is given as `yarn logs` gives it: each
    container's logs end where its record ends. After a block that is damaged, the next one is read.

    Raises:
        LogFileBroken: after all logs that can be read. Also while a log's content is read.
        GatewayUnavailable: likewise, but at once.
    """
    limit, index = _index_block(file)
    algorithm, blocks = _data_blocks(file, index, limit)
    broken: LogFileBroken | None = None
    with closing(_opened(file, algorithm, blocks)) as opened:
        for block in opened:
            try:
                yield from _logs_of_block(file, block)
            except TooMuchWork:
                raise
            except LogFileBroken as error:
                broken = broken or error
    if broken:
        raise broken


def _logs_of_block(file: NodeFile, block: ByteSource) -> Iterator[Log]:
    for container, value in _records(block, file.budget):
        if container not in _NOT_CONTAINERS:
            yield from _logs(file, container, value)


def vint(source: ByteSource) -> int:
    """Return a number in the coding of TFile, which takes one to nine bytes.

    Follows org.apache.hadoop.io.file.tfile.Utils.readVLong, which is not that of WritableUtils.

    Raises:
        Ended: it is not complete.
    """
    return _vint_from(source.number(1), source)


def _vint_from(first: int, source: ByteSource) -> int:
    """Return the number that begins with a byte that was read already."""
    if first >= -32:
        return first
    if first >= -72:
        return (first + 52) << 8 | source.exactly(1)[0]
    if first >= -104:
        return (first + 88) << 16 | int.from_bytes(source.exactly(2), "big")
    if first >= -120:
        return (first + 112) << 24 | int.from_bytes(source.exactly(3), "big")
    return source.number(first + 129)


def _index_block(file: NodeFile) -> tuple[int, _Stored]:
    """Return where the data has to end, and where the index of its blocks is."""
    tail = ByteSource([file.part(file.length - _TAIL_BYTES, _TAIL_BYTES)])
    offset, major = tail.number(8), tail.number(2)
    if major != _MAJOR_VERSION:
        raise LogFileBroken(f"its version is {major}, not {_MAJOR_VERSION}")
    length = file.length - _TAIL_BYTES - offset
    if not (len(MAGIC) <= offset and 0 < length <= _META_BYTES):
        raise LogFileBroken(f"the list of its meta blocks cannot be at byte {offset}")
    return offset, _named_block(
        ByteSource([file.part(offset, length)]), "data:BCFile.index", offset
    )


def _named_block(listed: ByteSource, wanted: str, limit: int) -> _Stored:
    for _ in range(vint(listed)):
        name, algorithm = _text(listed), _text(listed)
        block = _block(listed)
        if name == wanted:
            return _Stored(algorithm, _checked(block, len(MAGIC), limit))
    raise LogFileBroken("it has no index of its blocks")


def _data_blocks(file: NodeFile, index: _Stored, limit: int) -> tuple[str, list[_Block]]:
    """Return the algorithm of the data blocks, and where each is."""
    if index.block.length > _INDEX_BYTES:
        raise LogFileBroken(f"the index of its blocks has {index.block.length} bytes")
    with closing(file.pieces(*index.block)) as pieces:
        source = ByteSource(decoded(index.algorithm, pieces, file.budget))
        algorithm, count = _text(source), vint(source)
        if not 0 <= count <= limit // _BLOCK_BYTES + 16:
            raise LogFileBroken(f"it cannot have {count} blocks")
        blocks: list[_Block] = []
        for _ in range(count):
            begin = blocks[-1].end if blocks else len(MAGIC)
            blocks.append(_checked(_block(source), begin, limit))
    return algorithm, blocks


def _text(source: ByteSource) -> str:
    length = vint(source)
    if not 0 <= length <= _NAME_BYTES:
        raise LogFileBroken(f"a name cannot have {length} bytes")
    return source.exactly(length).decode("utf-8", "replace")


def _block(source: ByteSource) -> _Block:
    """Read an entry of an index; the third number, the length when unpacked, stops at 2 GiB."""
    block = _Block(vint(source), vint(source))
    vint(source)
    return block


def _checked(block: _Block, begin: int, limit: int) -> _Block:
    if begin <= block.offset and block.length >= 0 and block.end <= limit:
        return block
    raise LogFileBroken(f"{block.length} bytes at byte {block.offset} cannot be a block of it")


def _opened(
    file: NodeFile, algorithm: str, blocks: list[_Block]
) -> Generator[ByteSource, None, None]:
    """Yield each block unpacked; all that lies between them comes with the same read."""
    if not blocks:
        return
    at = blocks[0].offset
    with closing(file.pieces(at, blocks[-1].end - at)) as pieces:
        stream = ByteSource(pieces)
        for block in blocks:
            Portion(stream, block.offset - at).skip()
            stored = Portion(stream, block.length)
            yield ByteSource(decoded(algorithm, stored, file.budget))
            stored.skip()
            at = block.end


def _records(block: ByteSource, budget: WorkBudget) -> Iterator[tuple[str, ByteSource]]:
    """Yield key and value of each record of a block; what is left of a value is passed over."""
    while first := block.some(1):
        length = _vint_from(int.from_bytes(first, signed=True), block)
        if not 0 <= length <= _LENGTH_BYTES + MOST_NAME_BYTES:
            raise LogFileBroken(f"the key of a record cannot have {length} bytes")
        key = ByteSource([block.exactly(length)]).utf()
        value = ByteSource(_value(block, key, budget))
        yield key, value
        Portion(value, _ENDLESS).skip()


def _value(block: ByteSource, key: str, budget: WorkBudget) -> Generator[bytes, None, None]:
    """Yield the value of a record: chunks, of which all but the last have negative lengths."""
    length = -1
    while length < 0:
        budget.charge_parts()
        try:
            length = vint(block)
        except Ended as error:
            raise LogFileBroken(f"the record {key!r} ends too early") from error
        chunk = Portion(block, abs(length))
        yield from chunk
        if chunk.left:
            raise LogFileBroken(f"the record {key!r} ends {chunk.left} bytes too early")


def _logs(file: NodeFile, container: str, value: ByteSource) -> Iterator[Log]:
    while True:
        try:
            name, length = _name(value.utf()), _length(value.utf())
        except Ended:
            return
        except Misread:
            yield _rest(file, container, value)
            return
        content = Portion(value, length)
        yield Log(
            container=container,
            name=name,
            length=length,
            modified_at=file.modified_at,
            content=content,
        )
        content.skip()


def _name(text: str) -> str:
    if len(text.encode(errors="replace")) > MOST_NAME_BYTES:
        raise Misread(f"{text[:40]!r}… is longer than the name of a file")
    return text


def _length(text: str) -> int:
    if not _DECIMAL.fullmatch(text) or int(text) >= _ENDLESS:
        raise Misread(f"{text[:40]!r} is no length")
    return int(text)


def _rest(file: NodeFile, container: str, value: ByteSource) -> Log:
    """Return the rest of a value as one log: the log before it had not the announced length.

    `yarn logs` breaks off here, and shows nothing of what follows.
    """
    return Log(
        container=container,
        name="unreadable",
        length=None,
        modified_at=file.modified_at,
        content=Portion(value, _ENDLESS),
    )
