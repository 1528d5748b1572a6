from __future__ import annotations

import pytest

from tests.unit.log_files import Disk
from tracker_service.errors import LogFileBroken


def read(*pieces: bytes, length: int) -> tuple[bytes, bool]:
    """What is read of a file of these pieces, and whether its stream was read to its end."""
    at_end = False

    def stream(offset, length):
        nonlocal at_end
        yield from pieces
        at_end = True

    return Disk(b"").file(read=stream).part(0, length), at_end


def test_a_part_of_a_file_is_as_long_as_asked_for():
    assert read(b"", b"one", b"", b"two", length=6) == (b"onetwo", True)


def test_what_comes_beyond_it_is_dropped():
    assert read(b"one", b"two", length=4) == (b"onet", True)
    assert read(b"one", b"two", b"three", b"four", length=4) == (b"onet", False)


def test_a_stream_is_read_to_its_end_so_that_its_connection_can_be_used_again():
    assert read(b"one", b"", b"", length=3) == (b"one", True)


def test_nothing_is_asked_for_where_nothing_is_wanted():
    disk = Disk(b"one")

    assert disk.file().part(1, 0) == b""
    assert disk.reads == []


def test_bytes_that_are_missing_are_told():
    with pytest.raises(LogFileBroken, match="3 bytes are missing of 6 from byte 0 on"):
        read(b"one", length=6)
