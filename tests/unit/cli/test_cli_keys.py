"""`tracker keys rotate` on the service's machine."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tracker_service.cli import main
from tracker_service.identities.keys import KeyRing
from tracker_service.store.database import Store


@pytest.fixture
def key_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKER_STATE_DIR", str(tmp_path))
    store = Store(f"sqlite:///{tmp_path}/tracker.db")
    store.upgrade()
    store.close()
    KeyRing(tmp_path / "credentials.key").fingerprint("x")  # the service makes the first key
    return tmp_path / "credentials.key"


@pytest.mark.parametrize(("options", "keys"), [([], 2), (["--forget-old"], 1)])
def test_a_new_key_comes_first_and_old_ones_stay_unless_they_are_to_go(key_file, options, keys):
    [first] = key_file.read_text().splitlines()

    done = CliRunner().invoke(main, ["keys", "rotate", *options])

    assert done.exit_code == 0, done.output
    assert "has a new key; it encrypts 0 stored credentials" in done.output
    found = key_file.read_text().splitlines()
    assert len(found) == keys
    assert found[0] != first
