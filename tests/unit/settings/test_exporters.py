from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tracker_service.errors import ConfigError
from tracker_service.settings import load
from tracker_service.settings.exporters import ExportersSettings, TerasliceMaster

ROOT = Path(__file__).parents[3]
MASTER = {"name": "prod", "url": "https://ts.lan/behind/"}


def settings(*masters: dict[str, Any]) -> ExportersSettings:
    return ExportersSettings.model_validate({"teraslice": masters})


def refusal(*masters: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        settings(*masters)
    return str(refused.value)


def test_a_master_needs_a_name_and_a_url():
    [master] = settings(MASTER).teraslice

    assert (master.interval, master.timeout) == (30, 10)
    assert master.shown_url == "https://ts.lan/behind/"
    assert "url" in refusal({"name": "prod"})
    assert "name" in refusal({"url": "https://ts.lan"})


def test_the_label_of_the_url_ends_with_a_slash_as_it_always_did():
    [master] = settings(MASTER | {"display_url": "https://shown.lan"}).teraslice

    assert master.shown_url == "https://shown.lan/"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"url": "https://me:secret@ts.lan"}, "set user and password_file"),
        ({"url": "https://ts.lan/?a=b"}, "end with the path"),
        ({"url": "ftp://ts.lan"}, "URL scheme"),
        ({"ca_file": "/nowhere/ca.pem"}, "cannot read /nowhere/ca.pem"),
        ({"user": "me"}, "set user and password_file, or neither"),
        ({"header_file": "/dev/null"}, "set header and header_file, or neither"),
        ({"header": "X Key", "header_file": "/dev/null"}, "pattern"),
        ({"interval": 0}, "greater than 0"),
        ({"timeout": "soon"}, "number"),
        ({"password": "secret"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_used_is_refused(more, reason):
    assert reason in refusal(MASTER | more)


def test_two_masters_have_different_names_and_urls():
    same_name = refusal(MASTER, {"name": "prod", "url": "https://other.lan"})
    same_url = refusal(MASTER, {"name": "other", "url": "https://ts.lan/behind"})

    assert "two masters have the same name: prod" in same_name
    assert "two masters have the same display_url: https://ts.lan/behind/" in same_url


def test_a_mistake_names_file_and_line(tmp_path):
    file = tmp_path / "tracker.yml"
    file.write_text("exporters:\n  teraslice:\n    - name: prod\n")

    with pytest.raises(ConfigError, match=r"line 2: exporters\.teraslice\.0\.url"):
        load(file)


def test_masters_can_be_named_in_the_environment(monkeypatch):
    monkeypatch.setenv("TRACKER_EXPORTERS__TERASLICE", json.dumps([MASTER]))

    assert [master.name for master in load().exporters.teraslice] == ["prod"]


def test_the_documents_name_each_setting():
    documents = [
        (ROOT / "config/tracker.yml").read_text(),
        (ROOT / "docs/teraslice.md").read_text(),
    ]

    for document in documents:
        for name in (*TerasliceMaster.model_fields, *ExportersSettings.model_fields):
            assert name in document


def test_the_defaults_of_the_example_are_those_of_the_code():
    document = (ROOT / "config/tracker.yml").read_text()
    example = yaml.safe_load(document)["exporters"]
    text = document.partition("\nexporters:\n")[2]
    lines = [line.replace("# ", "", 1) for line in text.splitlines() if line.startswith("  #")]
    [master] = yaml.safe_load("\n".join(lines))["teraslice"]

    assert example == ExportersSettings().model_dump(exclude={"teraslice"})
    assert {name: master[name] for name in ("interval", "timeout")} == {
        "interval": TerasliceMaster.model_fields["interval"].default,
        "timeout": TerasliceMaster.model_fields["timeout"].default,
    }
    assert set(master) == set(TerasliceMaster.model_fields)
