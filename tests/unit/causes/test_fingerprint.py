from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracker_service.causes.fingerprint import fingerprint, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Task application_1795577930939_0007 failed",
            "Task application_1795000000000_12345 failed",
        ),
        (
            "killed container_e17_1795577930939_0007_01_000001",
            "killed container_1795577930939_0007_02_000009",
        ),
        (
            "0000042-261122041514971-oozie-prod-W@load failed",
            "0000043-261123041514971-oozie-test-W@load failed",
        ),
        ("Connection refused: node1:8020", "Connection refused: node2.example.org:9000"),
        ("from a.example.org/10.0.0.1 to b", "from c.example.org/10.0.0.2 to b"),
        ("no route to 10.1.2.3", "no route to 192.168.0.1"),
        ("no path hdfs://one:8020/user/anna/2026-11-22", "no path hdfs://two/user/bob/2026-01-01"),
        (
            "26/11/22 04:12:46 ERROR Executor: no rows",
            "2026-11-22 04:12:47,123 ERROR [main] org.acme.Load: no rows",
        ),
        ("Caused by: a.B: no rows", "a.B: no rows"),
        (
            "lock 123e4567-e89b-12d3-a456-426614174000 is held",
            "lock 00000000-e89b-12d3-a456-426614174fff is held",
        ),
        ("object a.B@1f2e3d lost", "object a.B@77ab lost"),
        ("at offset 0x7f00dead", "at offset 0x1"),
        ("read 3 of 17.5 MB", "read 41 of 8 MB"),
        ("Access denied for user 'anna'@'10.0.0.1'", "Access denied for user 'bob'@'10.0.0.2'"),
        ("User anna cannot submit to queue etl", "User bob cannot submit to queue etl"),
        ("ended on Mon Nov 30 04:12:46 UTC 2026", "ended on Tue Dec 1 14:00:00 CET 2026"),
        ("not before 30-Nov-2026 04:12", "not before 01-Jan-2027 04:12"),
        ("/tmp/x7f9a2b1c3/part-00017.snappy gone", "/tmp/k2j8h3g4f5/part-00000.snappy gone"),
    ],
)
def test_failures_of_one_family_have_one_fingerprint(one, other):
    assert normalised(one) == normalised(other)
    assert fingerprint("rule", one) == fingerprint("rule", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Table not found: sales", "Table not found: stock"),
        ("java.lang.IllegalStateException: x", "java.lang.IllegalArgumentException: x"),
        ("user=anna, access=WRITE", "user=anna, access=READ"),
        ("Augustus failed", "Octavia failed"),
        ("User class threw exception: a.B", "User class threw exception: a.C"),
        ("No module named 'pandas'", "No module named 'numpy'"),
        ("/user/anna/in gone", "/user/anna/out gone"),
    ],
)
def test_other_failures_have_other_fingerprints(one, other):
    assert fingerprint("rule", one) != fingerprint("rule", other)
    assert fingerprint("one", one) != fingerprint("other", one)


@given(st.text())
@example(":\x1f0")
@example(": : it failed")
@example(": ERROR: ERROR: it failed")
def test_what_is_normal_stays_as_it_is(text):
    assert normalised(normalised(text)) == normalised(text)


@given(st.text(max_size=40), st.text(max_size=40), st.integers(0, 10**12), st.integers(0, 10**12))
def test_numbers_make_no_difference(before, after, one, other):
    texts = [f"{before} {number} {after}" for number in (one, other)]

    assert normalised(texts[0]) == normalised(texts[1])


@given(st.text(alphabet="a1-./:@ ", min_size=500, max_size=3000))
def test_a_name_is_short_whatever_the_text(text):
    name = fingerprint("rule", text)

    assert len(name) == 12
    assert set(name) <= set("0123456789abcdef")
