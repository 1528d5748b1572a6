from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tracker_service.errors import ConfigError
from tracker_service.settings import load
from tracker_service.sources.direct import DirectRoute
from tracker_service.sources.gateway import Gateway, checked_gateway
from tracker_service.sources.route import cluster_route


@pytest.fixture(autouse=True)
def in_an_empty_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("TRACKER_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "tracker.yml"


def refusal(file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return str(caught.value)


def test_without_anything_the_defaults_hold():
    settings = load()

    assert settings.polling.interval_s == 5
    assert settings.store_url == f"sqlite:///{Path.cwd()}/.tracker/tracker.db"
    assert settings.key_file == Path(".tracker/credentials.key")


def test_the_file_wins_over_the_defaults(file):
    file.write_text("polling:\n  interval_s: 7\n")

    settings = load(file)

    assert (settings.polling.interval_s, settings.polling.max_interval_s) == (7, 60)


def test_the_environment_wins_over_the_file_value_by_value(file, monkeypatch):
    file.write_text("polling:\n  interval_s: 7\n  max_interval_s: 70\n")
    monkeypatch.setenv("TRACKER_POLLING__INTERVAL_S", "8")

    settings = load(file)

    assert (settings.polling.interval_s, settings.polling.max_interval_s) == (8, 70)


def test_the_usual_file_of_the_working_directory_is_read():
    Path("config").mkdir()
    Path("config/tracker.yml").write_text("log_level: DEBUG\n")

    assert load().log_level == "DEBUG"


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_changes_nothing(file, text):
    file.write_text(text)

    assert load(file) == load()


def test_an_unknown_section_names_file_and_line(file):
    file.write_text("log_level: INFO\ngatway:\n  url: http://localhost\n")

    assert f"{file}, line 2: gatway" in refusal(file)


def test_an_unknown_name_in_a_section_names_file_and_line(file):
    file.write_text("log_level: INFO\ngateway:\n  url: http://localhost\n  ulr: x\n")

    assert f"{file}, line 4: gateway.ulr" in refusal(file)


def test_a_wrong_value_names_file_and_line(file):
    file.write_text("polling:\n  max_interval_s: 10\n  interval_s: -1\n")

    assert f"{file}, line 3: polling.interval_s" in refusal(file)


def test_all_mistakes_are_told_at_once(file):
    file.write_text("polling:\n  interval_s: often\nworker:\n  threads: 0\n")

    told = refusal(file)

    assert "line 2" in told
    assert "line 4" in told


def test_a_wrong_value_of_the_environment_names_the_variable(file, monkeypatch):
    file.write_text("polling:\n  interval_s: 7\n")
    monkeypatch.setenv("TRACKER_POLLING__INTERVAL_S", "often")

    told = refusal(file)

    assert told.startswith("TRACKER_POLLING__INTERVAL_S: ")
    assert "line" not in told


@pytest.mark.parametrize(
    "variable", ["TRACKER_GATWAY__URL", "TRACKER_GATEWAY_URL", "TRACKER_", "TRACKER_GATEWAY__ULR"]
)
def test_an_unknown_variable_is_refused_by_name(monkeypatch, variable):
    monkeypatch.setenv(variable, "x")

    assert variable in refusal()


def test_the_variable_with_the_name_of_the_file_is_no_setting(monkeypatch):
    monkeypatch.setenv("TRACKER_CONFIG", "elsewhere.yml")

    assert load().log_level == "INFO"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TRACKER_GATEWAY", "http://localhost"), ("TRACKER_COPYING__LOG_ROOTS", "/app-logs,/tmp")],
)
def test_a_variable_that_should_be_json_and_is_not_is_named(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)

    assert variable in refusal()


def test_a_tag_of_yaml_that_is_not_known_is_a_mistake_of_the_file(file):
    file.write_text("gateway:\n  url: !secret knox\n")

    assert "tracker.yml" in refusal(file)


def test_a_file_that_is_no_text_is_a_mistake_of_the_file(file):
    file.write_bytes(b"log_level: \xff\xfe\n")

    assert "settings" in refusal(file)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n"])
def test_a_file_without_sections_is_refused(file, text):
    file.write_text(text)

    assert "expected sections" in refusal(file)


def test_broken_yaml_is_refused_with_its_line(file):
    file.write_text("gateway:\n  url: [\n")

    assert "line 3" in refusal(file)


def test_broken_yaml_is_refused_with_the_name_of_its_file(file):
    file.write_text("gateway:\n  url: [\n")

    assert "tracker.yml" in refusal(file)


def test_a_file_that_is_not_there_is_refused(file):
    assert str(file) in refusal(file)


def test_a_ca_file_that_cannot_be_read_is_refused(file, tmp_path):
    file.write_text(f"gateway:\n  ca_file: {tmp_path}/nowhere.pem\n")

    told = refusal(file)

    assert f"{file}, line 2: gateway.ca_file" in told
    assert "nowhere.pem" in told


def test_a_ca_file_without_a_certificate_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate\n")

    with pytest.raises(ConfigError, match=r"ca\.pem"):
        checked_gateway(Gateway(url="https://knox", ca_file=tmp_path / "ca.pem"))


def test_the_gateway_has_no_slash_at_its_end(file):
    file.write_text("gateway:\n  url: https://knox:8443/gateway/prod/\n")

    assert load(file).gateway.base == "https://knox:8443/gateway/prod"


@pytest.mark.parametrize(
    ("url", "is_risky"),
    [
        ("http://knox/gateway/x", True),
        ("https://knox/gateway/x", False),
        ("http://127.0.0.1/gateway/x", False),
        ("http://[::1]/gateway/x", False),
    ],
)
def test_passwords_without_tls_over_a_network_are_a_risk(file, url, is_risky):
    file.write_text(f"gateway:\n  url: '{url}'\n")

    assert load(file).gateway.is_plain_http_over_a_network is is_risky


def test_secrets_are_hidden_unless_the_file_says_otherwise(file):
    assert load().copying.redact

    file.write_text("copying:\n  redact: false\n  redact_patterns: {ticket: 'ticket=(\\w+)'}\n")

    copying = load(file).copying
    assert (copying.redact, copying.redact_patterns) == (False, {"ticket": r"ticket=(\w+)"})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("ticket=(", "missing )"),
        ("(?=ticket)", "no expression of RE2"),
        ("(?P<a>ticket)", "its groups have no names"),
        ("(ticket)*", "it fits where nothing is"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_its_name_and_line(file, pattern, reason):
    file.write_text(f"copying:\n  redact: true\n  redact_patterns:\n    mine: '{pattern}'\n")

    told = refusal(file)

    assert f"{file}, line 4: copying.redact_patterns.mine: " in told
    assert reason in told


@pytest.fixture
def kerberos(file) -> dict[str, str]:
    """Settings that go straight to the services, as their lines below `gateway:`."""
    keytab = file.with_name("tracker.keytab")
    keytab.write_bytes(b"")
    return {
        "auth": "kerberos",
        "oozie_url": "https://Oozie.example.com:11443/oozie/",
        "namenode_url": "https://nn.example.com:9871",
        "resource_manager_url": "https://rm.example.com:8090/",
        "principal": "tracker/t.example.com@EXAMPLE.COM",
        "keytab": str(keytab),
    }


#: What nobody but the settings tells where there is no Knox.
TOLD = """
serve: {user_header: X-Remote-User, user_header_from: [127.0.0.1]}
copying: {name_node: "hdfs://nn:8020", resource_manager: "rm:8032"}
"""


def written(file: Path, gateway: dict[str, str], more: str = TOLD) -> Path:
    lines = "".join(f"  {name}: {value}\n" for name, value in gateway.items())
    file.write_text(f"gateway:\n{lines}{more}")
    return file


def test_without_knox_the_cluster_is_reached_by_the_services_themselves(
    file, kerberos, monkeypatch
):
    pytest.importorskip("requests_kerberos")
    for name in ("KRB5_CLIENT_KTNAME", "KRB5CCNAME"):
        monkeypatch.setenv(name, "is set anew, and taken back in the end")
    settings = load(written(file, kerberos | {"connect_timeout_s": "2"}))

    found = cluster_route(settings)

    assert isinstance(found, DirectRoute)
    assert found.services == {
        "oozie": "https://oozie.example.com:11443/oozie",
        "webhdfs": "https://nn.example.com:9871/webhdfs",
        "resourcemanager": "https://rm.example.com:8090/ws",
    }
    assert (found.principal, found.short_name) == (kerberos["principal"], "tracker")
    assert found.connect_timeout_s == 2
    assert os.environ["KRB5_CLIENT_KTNAME"] == f"FILE:{kerberos['keytab']}"
    assert os.environ["KRB5CCNAME"] == "MEMORY:tracker"
    assert settings.gateway.base == "https://oozie.example.com:11443/oozie"


def test_kerberos_without_its_extra_says_how_to_install_it(file, kerberos, monkeypatch):
    monkeypatch.setitem(sys.modules, "tracker_service.sources.kerberos", None)

    with pytest.raises(ConfigError, match=r"tracker-service\[kerberos\]"):
        cluster_route(load(written(file, kerberos)))


@pytest.mark.parametrize("name", ["oozie_url", "namenode_url", "principal", "keytab"])
def test_what_kerberos_needs_is_named(file, kerberos, name):
    del kerberos[name]

    assert f"auth: kerberos needs {name} too" in refusal(written(file, kerberos))


@pytest.mark.parametrize(
    "more",
    [
        {"url": "https://knox.example.com/gateway/default"},
        {"background": "token"},
        {"token_url": "https://knox.example.com/gateway/tokens"},
    ],
)
def test_what_knox_needs_does_not_go_with_kerberos(file, kerberos, more):
    told = refusal(written(file, kerberos | more))

    assert f"goes without Knox: leave out {next(iter(more))}" in told


def test_kerberos_goes_with_the_defaults_written_out(file, kerberos):
    settings = load(written(file, kerberos | {"background": "password"}))

    assert settings.gateway.is_direct


def test_what_kerberos_needs_does_not_go_without_it(file, kerberos):
    del kerberos["auth"]

    assert "principal, keytab: set auth: kerberos too" in refusal(written(file, kerberos))


def test_a_keytab_that_cannot_be_read_is_refused(file, kerberos):
    told = refusal(written(file, kerberos | {"keytab": "/nowhere/tracker.keytab"}))

    assert "cannot read /nowhere/tracker.keytab" in told


@pytest.mark.parametrize(
    ("line", "reason"),
    [(0, "leaves nobody who checks passwords"), (1, r"copying\.name_node")],
)
def test_what_a_gateway_would_do_has_to_be_set(file, kerberos, line, reason):
    left = TOLD.strip().splitlines()
    del left[line]
    settings = load(written(file, kerberos, "\n".join(left)))

    with pytest.raises(ConfigError, match=reason):
        cluster_route(settings)


def test_names_of_users_follow_hadoops_pattern_unless_another_one_is_set(file):
    assert load().gateway.user_pattern == "^[A-Za-z_][A-Za-z0-9._-]*[$]?$"
    file.write_text("gateway: {user_pattern: '^[a-z@.]+$', user_realms: [EXAMPLE.COM]}")

    loaded = load(file).gateway

    assert (loaded.user_pattern, loaded.user_realms) == ("^[a-z@.]+$", ("EXAMPLE.COM",))


def test_a_pattern_that_is_none_is_refused(file):
    file.write_text("gateway: {user_pattern: '^[a-z'}")

    assert "no regular expression" in refusal(file)
