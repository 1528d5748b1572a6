"""Read the objects that Java has serialised, as far as the index of an IFile has any.

Follows the Java Object Serialization Specification, chapter 6:
https://docs.oracle.com/en/java/javase/17/docs/specs/serialization/protocol.html
Nothing is created but texts, numbers and the plain objects of this module.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tracker_service.archive.formats.pieces import modified_utf8
from tracker_service.errors import LogFileBroken

MAGIC = b"\xac\xed\x00\x05"

_MOST_ITEMS = 500_000  #: objects, texts, references and so on, each read once
_MOST_DEPTH = 24  #: of objects within objects; the index has 7
_MOST_CLASSES = 100  #: the index has 5 or 6
_MOST_PARENTS = 8  #: of a class
_MOST_FIELDS = 64  #: of a class and its parents

_NULL, _REFERENCE, _CLASS_DESC, _OBJECT, _STRING, _ARRAY, _CLASS = range(0x70, 0x77)
_BLOCK, _END_BLOCK, _LONG_BLOCK, _ENUM = 0x77, 0x78, 0x7A, 0x7E
_FIRST_HANDLE = 0x7E0000
_WRITE_METHOD, _SERIALIZABLE, _EXTERNALIZABLE, _IS_ENUM = 1, 2, 4, 16
#: The types of fields, as module struct knows them.
_NUMBERS = {"B": "b", "C": "H", "D": "d", "F": "f", "I": "i", "J": "q", "S": "h", "Z": "?"}


class _EndOfBlock:
    """Stands after what a class wrote by itself."""


_END: Final = _EndOfBlock()


@dataclass(frozen=True, slots=True)
class JavaEnum:
    """A constant of an enumeration."""

    constant: str


@dataclass(slots=True)
class JavaClass:
    """What the stream says of a class."""

    name: str
    flags: int
    numbers: struct.Struct
    number_names: tuple[str, ...]
    object_names: tuple[str, ...]
    parent: JavaClass | None
    lineage: tuple[JavaClass, ...] = ()  #: its ancestors, the oldest first, and itself
    places: dict[str, int] = field(default_factory=dict)  #: of the fields in an object's values

    def complete(self) -> None:
        """Work out what each object of the class needs."""
        self.lineage = (*(self.parent.lineage if self.parent else ()), self)
        names = [
            n for ancestor in self.lineage for n in (*ancestor.number_names, *ancestor.object_names)
        ]
        if len(self.lineage) > _MOST_PARENTS or len(names) > _MOST_FIELDS:
            raise LogFileBroken(f"the class {self.name} of its index is too large")
        self.places = {name: place for place, name in enumerate(names)}


@dataclass(slots=True)
class JavaObject:
    """An object: the values of its fields, and what its class wrote after them."""

    java_class: JavaClass
    values: list[object] = field(default_factory=list)
    written: Sequence[object] = ()  #: bytes for numbers, and objects

    def get(self, name: str) -> object:
        """Return the value of a field; LogFileBroken if there is no such field."""
        place = self.java_class.places.get(name)
        if place is None:
            raise LogFileBroken(f"a {self.java_class.name} of its index has no {name}")
        return self.values[place]


def read_object(data: bytes) -> object:
    """Return the first object of a stream: a JavaObject, a text, a list, or None.

    Time and memory grow with the length of the data and not faster, whatever it holds.

    Raises:
        LogFileBroken: the data is damaged, or holds what no index does.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise LogFileBroken("its index is no serialised Java object")
    try:
        return _Reader(data).content(0)
    except (struct.error, IndexError) as error:
        raise LogFileBroken("its index ends too early") from error


class _Reader:
    """Reads one stream once, from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, len(MAGIC)
        self._items = self._classes = 0
        self._handles: list[object] = []  #: None for a class that is not complete yet
        self._kinds = {
            _NULL: self._null,
            _REFERENCE: self._reference,
            _CLASS_DESC: self._class_desc,
            _OBJECT: self._object,
            _STRING: self._string,
            _ARRAY: self._array,
            _CLASS: self._class,
            _BLOCK: self._block,
            _END_BLOCK: self._end_of_block,
            _LONG_BLOCK: self._long_block,
            _ENUM: self._enum,
        }

    def content(self, depth: int) -> object:
        """Return whatever comes next."""
        self._items += 1
        if self._items > _MOST_ITEMS or depth > _MOST_DEPTH:
            raise LogFileBroken("its index has too many objects, or too deep ones")
        kind = self._kinds.get(self._data[self._at])
        if kind is None:
            raise LogFileBroken(f"its index has an item of kind {self._data[self._at]:#x}")
        self._at += 1
        return kind(depth)

    def _take(self, length: int) -> bytes:
        found = self._data[self._at : self._at + length]
        if length < 0 or len(found) < length:
            raise LogFileBroken("its index ends too early")
        self._at += length
        return found

    def _number(self, length: int) -> int:
        return int.from_bytes(self._take(length), "big")

    def _utf(self) -> str:
        return modified_utf8(self._take(self._number(2)))

    def _null(self, _: int) -> None:
        return None

    def _reference(self, _: int) -> object:
        place = self._number(4) - _FIRST_HANDLE
        if not 0 <= place < len(self._handles) or self._handles[place] is None:
            raise LogFileBroken("its index refers to an object that it does not have")
        return self._handles[place]

    def _string(self, _: int) -> str:
        text = self._utf()
        self._handles.append(text)
        return text

    def _block(self, _: int) -> bytes:
        return self._take(self._number(1))

    def _long_block(self, _: int) -> bytes:
        return self._take(self._number(4))

    def _end_of_block(self, _: int) -> _EndOfBlock:
        return _END

    def _class_desc(self, depth: int) -> JavaClass:
        self._classes += 1
        if self._classes > _MOST_CLASSES:
            raise LogFileBroken("its index has too many classes")
        name = self._utf()
        self._take(8)  # its version; each of the index's classes has had only one
        place = len(self._handles)
        self._handles.append(None)
        flags = self._number(1)
        fields = [self._field(depth) for _ in range(self._number(2))]
        self._until_end(depth)
        numbers = [(code, name) for code, name in fields if code in _NUMBERS]
        described = JavaClass(
            name=name,
            flags=flags,
            numbers=struct.Struct(">" + "".join(_NUMBERS[code] for code, _ in numbers)),
            number_names=tuple(name for _, name in numbers),
            object_names=tuple(name for code, name in fields if code not in _NUMBERS),
            parent=self._class_or_none(depth),
        )
        described.complete()
        self._handles[place] = described
        return described

    def _field(self, depth: int) -> tuple[str, str]:
        """Return type and name of a field; in the stream, fields with numbers stand first."""
        code, name = chr(self._number(1)), self._utf()
        if code in "[L":
            self.content(depth + 1)
        elif code not in _NUMBERS:
            raise LogFileBroken(f"a field of its index has the type {code!r}")
        return code, name

    def _class_or_none(self, depth: int) -> JavaClass | None:
        found = self.content(depth + 1)
        if found is None or isinstance(found, JavaClass):
            return found
        raise LogFileBroken("its index has something else in place of a class")

    def _known_class(self, depth: int) -> JavaClass:
        found = self._class_or_none(depth)
        if found is None:
            raise LogFileBroken("its index has an object without a class")
        return found

    def _class(self, depth: int) -> JavaClass:
        found = self._known_class(depth)
        self._handles.append(found)
        return found

    def _enum(self, depth: int) -> JavaEnum:
        self._known_class(depth)
        place = len(self._handles)
        self._handles.append(None)
        constant = self.content(depth + 1)
        if not isinstance(constant, str):
            raise LogFileBroken("its index has a constant without a name")
        self._handles[place] = found = JavaEnum(constant)
        return found

    def _array(self, depth: int) -> Sequence[object]:
        code = self._known_class(depth).name[1:2]
        place = len(self._handles)
        self._handles.append(None)
        length = self._number(4)
        if code in _NUMBERS:
            found: Sequence[object] = self._take(length * struct.calcsize(">" + _NUMBERS[code]))
        else:
            found = [self.content(depth + 1) for _ in range(length)]
        self._handles[place] = found
        return found

    def _object(self, depth: int) -> JavaObject:
        described = self._known_class(depth)
        made = JavaObject(described)
        self._handles.append(made)
        for ancestor in described.lineage:
            self._values(made, ancestor, depth)
        return made

    def _values(self, made: JavaObject, described: JavaClass, depth: int) -> None:
        if described.flags & (_SERIALIZABLE | _EXTERNALIZABLE | _IS_ENUM) != _SERIALIZABLE:
            raise LogFileBroken(f"its index has an object of class {described.name}")
        made.values += described.numbers.unpack_from(self._data, self._at)
        self._at += described.numbers.size
        for _ in described.object_names:
            made.values.append(self.content(depth + 1))
        if described.flags & _WRITE_METHOD:
            made.written = [*made.written, *self._until_end(depth)]

    def _until_end(self, depth: int) -> list[object]:
        found = []
        while (item := self.content(depth + 1)) is not _END:
            found.append(item)
        return found
