from __future__ import annotations

import struct
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from javaobj.v2.main import loads

from tests.unit.log_files import ALL_SAMPLES, MARKER, Disk, LogMeta, index, recorded, trailer, utf
from tracker_service.archive.formats.java_collections import elements, entries, hash_of
from tracker_service.archive.formats.java_stream import MAGIC, JavaEnum, JavaObject, read_object
from tracker_service.archive.formats.node_logs import logs_of
from tracker_service.errors import LogFileBroken

LOGS = [("container_1", [("container_1", "stderr", (1, 2, 3, 4))])]
HANDLE = 0x7E0000
LIST = b"\x73\x72" + utf("java.util.ArrayList") + bytes(8) + b"\x03\0\0\x78\x70"


def index_of(data: bytes) -> bytes:
    length = struct.unpack(">i", data[-36:-32])[0]
    return data[-36 - length : -36]


RECORDED = [
    (each, name)
    for each in ALL_SAMPLES
    if each.set.startswith("ifile") and each.name != "big"
    for name, _ in each.files
]


def plain(found: object) -> object:
    """What javaobj made of an object, as plain values."""
    if isinstance(found, dict):
        return {str(key): plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [plain(each) for each in found]
    if not hasattr(found, "field_data"):
        return found if isinstance(found, int) or found is None else str(found)
    fields = {f.name: plain(v) for d in found.field_data.values() for f, v in d.items()}
    return {name: value for name, value in fields.items() if name != "acls"}


def ours(found: object) -> object:
    if not isinstance(found, JavaObject):
        return found
    if found.java_class.name == "java.util.HashMap":
        return {key: ours(value) for key, value in entries(found)}
    if found.java_class.name == "java.util.ArrayList":
        return [ours(each) for each in elements(found)]
    return {name: ours(found.get(name)) for name in found.java_class.places if name != "acls"}


@pytest.mark.parametrize(("recorded_as", "name"), RECORDED, ids=str)
def test_an_index_has_what_another_reader_finds_in_it(recorded_as, name):
    data = index_of(recorded(recorded_as.set)[f"{recorded_as.name}/{name}"])

    assert ours(read_object(data)) == plain(loads(data))


@pytest.mark.parametrize("which", ["12-e17", "48", "300-e17", "1500"])
def test_containers_come_in_the_order_in_which_hadoop_goes_through_them(which):
    data = recorded("many-containers")[f"{which}.index"]
    expected = recorded("many-containers")[f"{which}.order"].decode().split()
    logs = bytes(4 * len(expected))

    found = logs_of(Disk(MARKER + logs + trailer(data)).file())

    assert [log.container for log in found] == expected


@pytest.mark.parametrize(
    ("text", "hashed"),
    [("", 0), ("a", 97), ("hello", 99162322), ("polygenelubricants", 1 << 31), ("😀", 1772899)],
)
def test_a_text_has_the_hash_that_java_gives_it(text, hashed):
    assert hash_of(text) == hashed


def test_constants_of_an_enumeration_may_be_keys_beside_the_logs():
    found = object_in(recorded("many-containers")["12-e17.index"])
    acls = found.get("acls")
    assert isinstance(acls, JavaObject)
    assert set(acls.written[1::2]) == {JavaEnum("VIEW_APP"), JavaEnum("MODIFY_APP")}


def object_in(data: bytes) -> JavaObject:
    found = read_object(data)
    assert isinstance(found, JavaObject)
    return found


def broken(data: bytes) -> str:
    began = time.monotonic()
    with pytest.raises(LogFileBroken) as caught:
        read_object(MAGIC + data)
    assert time.monotonic() - began < 60
    return str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_without_its_first_bytes_it_is_no_object(length):
    with pytest.raises(LogFileBroken, match="no serialised Java object"):
        read_object(MAGIC[:length])


def test_an_index_that_is_cut_anywhere_is_broken():
    data = index([LOGS])

    for length in range(len(MAGIC), len(data)):
        with pytest.raises(LogFileBroken):
            read_object(data[:length])


def described(name: str, *fields: bytes, flags: int = 2, parent: bytes = b"\x70") -> bytes:
    head = b"\x72" + utf(name) + bytes(8) + struct.pack(">BH", flags, len(fields))
    return head + b"".join(fields) + b"\x78" + parent


def reference(place: int) -> bytes:
    return struct.pack(">BI", 0x71, (HANDLE + place) & 0xFFFFFFFF)


ITSELF = described("A", parent=reference(0))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends too early"),
        (b"\x00", "an item of kind 0x0"),
        (b"\x79", "an item of kind 0x79"),
        (b"\x7b", "an item of kind 0x7b"),
        (b"\x7d" + bytes(4), "an item of kind 0x7d"),
        (reference(0), "does not have"),
        (reference(-1), "does not have"),
        (b"\x71\x00\x00\x00\x00", "does not have"),
        (b"\x73" + ITSELF, "does not have"),
        (b"\x73\x70", "an object without a class"),
        (b"\x73" + b"\x74" + utf("text"), "something else in place of a class"),
        (b"\x73" + described("A", flags=4), "an object of class A"),
        (b"\x73" + described("A", flags=12), "an object of class A"),
        (b"\x73" + described("A", b"?" + utf("f")), "has the type '\\?'"),
        (b"\x7e" + described("A", flags=18) + b"\x70", "a constant without a name"),
        (b"\x74\xff\xffshort", "ends too early"),
        (b"\x74" + utf(b"\xff"), "no text of Java"),
        (b"\x7a\xff\xff\xff\xff", "ends too early"),
        (b"\x75" + described("[J") + b"\xff" * 4, "ends too early"),
        (b"\x75" + described("[L") + b"\xff" * 4, "ends too early"),
        (b"\x73" + described("A", *[b"I" + utf(f"f{n}") for n in range(65)]), "too large"),
    ],
)
def test_a_damaged_stream_says_what_is_wrong(data, reason):
    with pytest.raises(LogFileBroken, match=reason):
        read_object(MAGIC + data)


@pytest.mark.parametrize("nested", [LIST, b"\x72" + utf("A") + bytes(8) + b"\x02\0\0"])
def test_objects_deep_within_objects_are_refused(nested):
    assert "too deep" in broken(nested * 5000)


def test_a_class_has_only_so_many_parents():
    chain = described("A0")  # after the class of the list and the list itself
    for place in range(20):
        chain += described(f"A{place + 1}", parent=reference(place + 2))

    assert "the class A8 of its index is too large" in broken(LIST + chain)


def test_only_so_many_classes_are_read():
    assert "too many classes" in broken(LIST + described("A") * 200)


def test_only_so_many_objects_are_read():
    assert "too many objects" in broken(LIST + b"\x70" * 1_100_000)


def test_objects_that_refer_to_each_other_are_not_gone_through_for_ever(monkeypatch):
    monkeypatch.setattr("tracker_service.archive.formats.ifile._MOST_LOGS", 50_000)
    nothing: list[LogMeta] = []
    containers = [(f"container_{number}", nothing) for number in range(3000)]
    before, upload, after = halves(index([containers]))
    hostile = before + upload + reference(handle_of_upload()) * 3000 + after

    with pytest.raises(LogFileBroken, match="more than 50000 containers"):
        next(logs_of(Disk(MARKER + trailer(hostile)).file()))


def halves(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut an index before and after its only upload."""
    begin = data.index(b"\x77\x04\x00\x00\x00\x01") + 6
    end = data.index(utf("localhost_8041"), begin) + len(utf("localhost_8041"))
    return data[:begin], data[begin:end], data[end:]


def handle_of_upload() -> int:
    """Find which reference leads to the only upload: the one that gives two of them."""
    before, upload, after = halves(index([LOGS]))
    for handle in range(40):
        found = object_in(before + upload + reference(handle) + after)
        uploads = elements(found.get("logMetas"))
        if uploads[0] is uploads[-1] and len(uploads) == 2:
            return handle
    raise AssertionError("no reference leads to the upload")


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=5))
def test_a_changed_index_is_read_or_broken_and_nothing_else(changes):
    data = bytearray(index([LOGS]))
    for place, byte in changes:
        data[int(len(data) * place)] = byte

    with suppress(LogFileBroken):
        list(logs_of(Disk(MARKER + bytes(20) + trailer(bytes(data))).file()))


@pytest.mark.parametrize(
    "data", [MAGIC + b"\x70", MAGIC + b"\x74" + utf("text"), MAGIC + LIST + b"\x78"]
)
def test_an_object_of_another_kind_is_no_index(data):
    with pytest.raises(LogFileBroken, match="its index has"):
        next(logs_of(Disk(MARKER + trailer(data)).file()))


def test_a_list_in_place_of_a_map_is_no_index():
    data = index([[("container_1", [])]]).replace(
        utf("java.util.HashMap"), utf("java.util.HashSet")
    )

    with pytest.raises(LogFileBroken, match=r"in place of a java.util.HashMap"):
        next(logs_of(Disk(MARKER + trailer(data)).file()))
