from __future__ import annotations

import pytest

from tracker_service.domain.chunks import IN_ONE_STATEMENT, chunks


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3])]
)
def test_items_come_in_their_order_and_as_many_at_once_as_asked_for(count, sizes):
    parts = list(chunks(range(count), 3))

    assert [len(part) for part in parts] == sizes
    assert [item for part in parts for item in part] == list(range(count))


def test_one_statement_names_no_more_than_a_database_takes():
    assert max(map(len, chunks(range(1201)))) == IN_ONE_STATEMENT
