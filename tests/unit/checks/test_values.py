from __future__ import annotations

import pytest

from tracker_service.checks.values import Filling, Path, SuccessTest, path_of

BODY = {"status": "ok", "a.b": 1, "a": {"b": 2}, "items": [{"n": 1.5}, {"n": "x"}], "up": True}


@pytest.mark.parametrize(
    ("path", "value"),
    [("status", "ok"), ("a.b", 1), ("items[0].n", 1.5), ("items[-1].n", "x"), ("up", True)],
)
def test_a_path_finds_a_value(path, value):
    assert Path.of(path).find(BODY) == (True, value)


@pytest.mark.parametrize("path", ["nothing", "status.x", "items[2].n", "items.n", "a[0]"])
def test_a_path_that_leads_nowhere_finds_nothing(path):
    assert Path.of(path).find(BODY) == (False, None)


@pytest.mark.parametrize("path", ["", ".", "a..b", "a[", "a[x]", "a]"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="is no path such as"):
        Path.of(path)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("jmes:items[?n=='x'].n | [0]", (True, "x")),
        ("jmes:length(items)", (True, 2)),
        ("jmes:a.nothing", (False, None)),
        ("jmes:length(up)", (False, None)),
        ("status", (True, "ok")),
    ],
)
def test_an_expression_of_jmespath_asks_for_a_value(expression, found):
    assert path_of(expression).find(BODY) == found


def test_what_is_no_expression_of_jmespath_is_refused():
    with pytest.raises(ValueError, match=r"'a\[\?' is no JMESPath: "):
        path_of("jmes:a[?")


def fault(key: str, op: str, value: object, **more: bool) -> str | None:
    return SuccessTest(path=Path.of(key), op=op, value=value, **more).fault(
        {"http_status": 200}, BODY
    )


@pytest.mark.parametrize(
    ("key", "op", "value"),
    [
        ("status", "eq", "ok"),
        ("status", "ne", "down"),
        ("items[0].n", "lt", 2),
        ("items[0].n", "ge", 1.5),
        ("status", "in", ["ok", "fine"]),
        ("status", "regex", "^o"),
        ("up", "exists", True),
        ("none", "exists", False),
        ("http_status", "eq", 200),
        ("up", "eq", True),
    ],
)
def test_a_test_that_holds_has_no_fault(key, op, value):
    assert fault(key, op, value) is None


@pytest.mark.parametrize(
    ("key", "op", "value", "message"),
    [
        ("status", "eq", "no", "status is 'ok', not eq 'no'"),
        ("up", "eq", "true", "up is 'true', not eq 'true'"),
        ("up", "eq", 1, "up is 'true', not eq 1"),
        ("a.b", "eq", "1", "a.b is '1', not eq '1'"),
        ("status", "lt", 5, "status is 'ok', not lt 5"),
        ("none", "eq", None, "none is not in the answer"),
        ("none", "exists", True, "none is not in the answer"),
    ],
)
def test_a_test_that_fails_says_what_was_found(key, op, value, message):
    assert fault(key, op, value) == message


def test_texts_equal_numbers_only_where_that_is_wanted():
    assert fault("a.b", "eq", "1", coerce=True) is None


def test_templates_keep_the_type_of_an_unquoted_place():
    filling = Filling({"status": "ok", "count": 3})

    found = filling.fill(
        {
            "title": "{status} and {{braces}}",
            "count": {"count": None},
            "tags": [{"status": {"status": None}}, "env:prod"],
            "none": "{none}",
        }
    )

    assert found == {
        "title": "ok and {braces}",
        "count": 3,
        "tags": ["status:ok", "env:prod"],
        "none": "null",
    }
    assert filling.unknown == 1
