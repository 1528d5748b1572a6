from __future__ import annotations

from tracker_service.domain.chunks import chunks


def test_a_list_is_cut_into_parts_in_its_order():
    assert list(chunks("abcdefg", 3)) == ["abc", "def", "g"]


def test_a_list_that_fits_stays_whole():
    assert list(chunks([1, 2], 2)) == [[1, 2]]


def test_an_empty_list_has_no_parts():
    assert list(chunks([])) == []


def test_one_statement_takes_500():
    assert [len(part) for part in chunks(range(1001))] == [500, 500, 1]
