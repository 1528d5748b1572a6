from __future__ import annotations

import os
import socket

import structlog

from tests.unit.logged import logged


def test_a_line_of_bunyan_has_its_core_fields_first_and_whatever_was_logged():
    with logged(form="bunyan") as log:
        structlog.get_logger().warning("update_failed", master="prod", name="its own", v=7)

    [line] = log.lines
    assert line.pop("time").endswith("Z")
    assert list(line.items()) == [
        ("name", "teraslice_exporter"),
        ("hostname", socket.gethostname()),
        ("pid", os.getpid()),
        ("level", 40),
        ("msg", "update_failed"),
        ("v", 0),
        ("master", "prod"),
    ]


def test_a_traceback_is_the_stack_of_an_error_and_has_no_secret():
    with logged(form="bunyan") as log:
        try:
            raise ValueError("https://guest:hunter2@teraslice")
        except ValueError:
            structlog.get_logger().exception("update_broke")

    [line] = log.lines
    assert line["level"] == 50
    assert line["err"]["stack"].endswith("ValueError: https://***@teraslice")
