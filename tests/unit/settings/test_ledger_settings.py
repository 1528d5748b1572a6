"""The settings of ledgers, from the environment and from a file."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tracker_service.errors import ConfigError
from tracker_service.settings import load
from tracker_service.settings.ledger import WriterKeySettings


@pytest.mark.parametrize(
    ("text", "hours"),
    [("24h", 24), ("90m", 1.5), ("1h30m", 1.5), ("1.5h", 1.5), ("3600", 1), ("0", 0), ("0s", 0)],
)
def test_a_duration_is_written_as_in_go(monkeypatch, text, hours):
    monkeypatch.setenv("TRACKER_LEDGER__EXPIRATION", text)

    assert load().ledger.expiration == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("EXPIRATION", "soon", "write a duration"),
        ("EXPIRATION", "-1h", "write a duration"),
        ("EXPIRATION", "-5", "greater than"),
        ("WRITERS", '["everybody"]', "writers"),
        ("WRITERS", '[{"name": "a:b", "sha256": "00"}]', "writers"),
        ("ACTIONS", '{"a": {}}', "next"),
        ("ACTIONS", '{"a": {"next": "b", "workflow": {}, "webhook": "http://x"}}', "not both"),
        ("MORE", '{"default": {}}', "is taken"),
        ("MORE", '{"A B": {}}', "pattern"),
        ("USER", "etl", "or neither"),
        ("NONSENSE", "1", "not permitted"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(monkeypatch, name, value, message):
    monkeypatch.setenv(f"TRACKER_LEDGER__{name}", value)

    with pytest.raises(ConfigError, match=rf"(?is)ledger.*{message}"):
        load()


def test_all_that_the_file_shows_is_understood(tmp_path: Path):
    text = Path("config/tracker.yml").read_text()
    begin = text.index("\nledger:\n")
    lines = text[begin:].splitlines()
    shown = [line.replace("  # ", "  ", 1) if line.startswith("  # ") else line for line in lines]
    file = tmp_path / "tracker.yml"
    file.write_text("\n".join(line for line in shown if "What is done" not in line))

    ledger = load(file).ledger

    assert set(ledger.actions) == {"postProcessing", "loading", "joining"}
    assert ledger.actions["joining"].waits_for == "annotation2"
    assert set(ledger.all) == {"default", "second"}


def test_keys_and_networks_stand_side_by_side(monkeypatch):
    key = {"name": "parser", "sha256": "a" * 64, "datatype": "ndt7"}
    monkeypatch.setenv("TRACKER_LEDGER__WRITERS", json.dumps(["10.0.0.0/8", key]))

    network, found = load().ledger.writers

    assert str(network) == "10.0.0.0/8"
    assert isinstance(found, WriterKeySettings)
