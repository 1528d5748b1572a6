"""Iterate over serialised lists and maps of Java in Java's own order."""

from __future__ import annotations

from collections.abc import Sequence

from tracker_service.archive.formats.java_stream import JavaObject
from tracker_service.errors import LogFileBroken

_LEAST_BUCKETS, _MOST_BUCKETS = 16, 1 << 30
_KEY_LENGTH = 256  #: the most; the name of a container has about 45


def elements(found: object) -> Sequence[object]:
    """Return what a java.util.ArrayList holds.

    Raises:
        LogFileBroken: it is none.
    """
    written = _written(found, "java.util.ArrayList")
    return written[1:]


def entries(found: object) -> list[tuple[str, object]]:
    """Return keys and values of a java.util.HashMap of texts, as Java 8 and later go through it.

    Java rebuilds the map when it reads it: its order depends on the hashes of the keys, on the
    number of entries and, within a bucket, on the order in the stream. A bucket of eight and more,
    which only chosen keys make, would be a tree in Java with an order of its own.

    Raises:
        LogFileBroken: it is no such map.
    """
    written = _written(found, "java.util.HashMap")
    keys, values = written[1::2], written[2::2]
    if len(keys) != len(values):
        raise LogFileBroken("its index has a map with a key that has no value")
    pairs = list(zip(map(_key, keys), values, strict=True))
    last = _buckets(len(pairs)) - 1
    return sorted(pairs, key=lambda pair: _spread(hash_of(pair[0])) & last)


def _key(found: object) -> str:
    if isinstance(found, str) and len(found) <= _KEY_LENGTH:
        return found
    raise LogFileBroken("its index has a map with other keys than short texts")


def hash_of(text: str) -> int:
    """Return java.lang.String.hashCode, as 32 bits without a sign."""
    hashed = 0
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        hashed = (31 * hashed + (high << 8 | low)) & 0xFFFFFFFF
    return hashed


def _spread(hashed: int) -> int:
    return hashed ^ hashed >> 16


def _buckets(count: int) -> int:
    """Return how many buckets Java makes for so many entries at its usual load of 0.75."""
    needed = int(count / 0.75 + 1.0)
    return min(max(1 << (needed - 1).bit_length(), _LEAST_BUCKETS), _MOST_BUCKETS)


def _written(found: object, name: str) -> Sequence[object]:
    """Return what the one class of an object wrote: its size as bytes, then what it holds."""
    if not isinstance(found, JavaObject) or found.java_class.name != name:
        raise LogFileBroken(f"its index has something else in place of a {name}")
    if not found.written or not isinstance(found.written[0], bytes):
        raise LogFileBroken(f"its index has a {name} without its size")
    return found.written
