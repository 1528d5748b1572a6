from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner
from pydantic import HttpUrl

from tests.unit import tls
from tests.unit.loopback_server import Asked, Loopback, Reply
from tracker_service import cli
from tracker_service.doctor import CheckResult, examine, reach, routes
from tracker_service.settings import GatewaySettings, ServeSettings, Settings
from tracker_service.sources.credentials import BasicCredential

TOPOLOGY, TOKENS = "/gateway/sandbox/", "/gateway/tokens/"


def says(value: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers)


def refuses(exception: str, status: int = 403) -> Reply:
    return says({"RemoteException": {"exception": exception, "message": "it says no"}}, status)


class Knox:
    """Plays a gateway with all that is behind it; `instead` changes single answers."""

    def __init__(self) -> None:
        self.instead: dict[str, Reply] = {}
        self.files: dict[str, bytes] = {}
        self.origin = ""
        self.given = Reply(404)  #: in place of a password

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix(TOPOLOGY).removeprefix(TOKENS)
        operation = asked.query.get("op", "")
        place = asked.path.removesuffix(path) + path.split("/")[0]
        for key in (operation, path.split("/")[0], place):
            if key in self.instead:
                return self.instead[key]
        if path.startswith("knoxtoken"):
            return self.given
        return self.hdfs(asked, path) if path.startswith("webhdfs") else self.others(path)

    def others(self, path: str) -> Reply:
        return says(
            {
                "oozie/v1/admin/status": {"systemMode": "NORMAL"},
                "resourcemanager/v1/cluster/info": {"clusterInfo": {"state": "STARTED"}},
                "jobhistory/ws/v1/history/info": {"historyInfo": {"startedOn": 1}},
            }[path]
        )

    def hdfs(self, asked: Asked, path: str) -> Reply:
        name = path.removeprefix("webhdfs/v1").removeprefix("webhdfs/data")
        match asked.query.get("op"):
            case "GETHOMEDIRECTORY":
                return says({"Path": "/user/guest"})
            case "GETFILESTATUS":
                told = {"length": 0, "owner": "guest", "permission": "700", "modificationTime": 0}
                return says({"FileStatus": {"type": "DIRECTORY", **told}})
            case "MKDIRS" | "DELETE":
                if asked.method == "DELETE":
                    self.files.clear()
                return says({"boolean": True})
            case "CREATE":
                location = f"{self.origin}{TOPOLOGY}webhdfs/data{name}"
                return Reply(307, headers={"Location": location})
            case "RENAME":
                self.files[asked.query["destination"]] = self.files.pop(name)
                return Reply()
            case "OPEN":
                return Reply(body=self.files[name])
        self.files[name] = asked.body
        return Reply(201)


@pytest.fixture
def gateway(loopback: Loopback) -> Knox:
    knox = Knox()
    knox.origin = loopback.origin
    loopback.says(knox)
    return knox


@pytest.fixture
def service(other_server: Loopback) -> Loopback:
    """A tracker that is alive."""
    other_server.says(says({"status": "alive"}))
    return other_server


def reached_at(url: str, **more: Any) -> GatewaySettings:
    return GatewaySettings(url=HttpUrl(url), **more)


NOWHERE = reached_at("http://127.0.0.1:1/gateway/x")


@pytest.fixture
def look(loopback: Loopback, service: Loopback) -> Callable[..., dict[str, CheckResult]]:
    """Examines all, and returns what was found by check."""

    def run(url: str = f"{loopback.origin}{TOPOLOGY}", **gateway: Any) -> dict[str, CheckResult]:
        settings = Settings(gateway=reached_at(url, **{"connect_timeout_s": 20, **gateway}))
        credential = BasicCredential("guest", "guest-password")
        found = list(examine(settings, credential, service.origin))
        for finding in found:
            assert "\n" not in finding.message
            assert "guest-password" not in finding.message
        return {finding.check: finding for finding in found}

    return run


ALL = [
    *(
        "settings",
        "background",
        "dns",
        "tcp",
        "tls",
        "login",
        "topology",
        "oozie",
        "hdfs-read",
        "hdfs-write",
    ),
    *("resource-manager", "job-history", "clock", "notification"),
]


def wrong(found: dict[str, CheckResult]) -> dict[str, str]:
    return {check: f.level.value for check, f in found.items() if f.level != "ok"}


def test_where_all_is_well_nothing_is_wrong_and_nothing_stays(look, gateway):
    found = look()

    assert list(found) == ALL
    assert wrong(found) == {}
    assert found["oozie"].message == "Oozie answers (NORMAL)"
    assert gateway.files == {}


def test_only_a_directory_of_its_own_is_touched_and_it_is_removed(look, gateway, loopback):
    look()

    changed = [
        (asked.query.get("op"), asked.path.partition("v1")[2].rpartition("/.tracker/")[0])
        for asked in loopback.asked
        if asked.method != "GET" and "op" in asked.query
    ]
    assert {place for _, place in changed} == {"/user/guest/WORK/logs"}
    assert [operation for operation, _ in changed] == [
        *("MKDIRS", "CREATE", "CREATE", "RENAME", "DELETE")
    ]
    [renamed] = [asked.query for asked in loopback.asked if asked.query.get("op") == "RENAME"]
    assert renamed["renameoptions"] == "OVERWRITE"


def test_a_wrong_password_is_tried_once_and_ends_the_looking(look, gateway, loopback):
    gateway.instead["webhdfs"] = gateway.instead["GETHOMEDIRECTORY"] = Reply(401)

    found = look()

    assert wrong(found) == {"login": "FAIL"}
    assert "refuses the password of guest" in found["login"].message
    assert "oozie" not in found
    assert len(loopback.asked) == 1


def test_a_wrong_topology_is_told(look, gateway):
    gateway.instead["GETHOMEDIRECTORY"] = Reply(404, b"<html>Not Found")

    found = look()

    assert wrong(found) == {"topology": "FAIL"}
    assert "correct TRACKER_GATEWAY__URL" in found["topology"].message


def test_a_topology_without_hdfs_is_told_and_the_rest_is_looked_at(look, gateway):
    gateway.instead["GETHOMEDIRECTORY"] = Reply(404)

    found = look()

    assert wrong(found) == {"hdfs-read": "FAIL"}
    assert found["hdfs-read"].message.endswith("add the service WEBHDFS to it")
    assert found["login"].level == found["oozie"].level == "ok"


@pytest.mark.parametrize(
    ("key", "check", "level"),
    [
        ("oozie", "oozie", "FAIL"),
        ("resourcemanager", "resource-manager", "FAIL"),
        ("jobhistory", "job-history", "WARN"),
    ],
)
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Reply(404), "add the service"),
        (Reply(500, b"<html>"), "cannot be reached"),
        (Reply(200), "cannot be reached"),
        (says({}), "says None"),
        (says({"clusterInfo": 1, "historyInfo": 1, "systemMode": None}), "not"),
        (Reply(403), "does not tell"),
    ],
)
def test_each_service_behind_the_gateway_is_told_of(look, gateway, key, check, level, answer, told):
    gateway.instead[key] = answer

    found = look()

    assert wrong(found) == {check: level}
    assert told in found[check].message


def test_safe_mode_is_told(look, gateway):
    gateway.instead["oozie"] = says({"systemMode": "SAFEMODE"})

    found = look()

    assert wrong(found) == {"oozie": "FAIL"}
    assert "Oozie says SAFEMODE" in found["oozie"].message
    assert "oozie admin -systemmode NORMAL" in found["oozie"].message


def test_hdfs_away_is_told_and_the_login_is_known_all_the_same(look, gateway):
    gateway.instead["webhdfs"] = gateway.instead["GETHOMEDIRECTORY"] = Reply(500)

    found = look()

    assert wrong(found) == {"hdfs-read": "FAIL"}
    assert found["login"].level == "ok"


@pytest.mark.parametrize(
    ("exception", "told"),
    [
        ("FileNotFoundException", "no home directory /user/guest"),
        ("AccessControlException", "lets guest read nothing"),
        ("StandbyException", "cannot be reached"),
    ],
)
def test_a_home_that_cannot_be_read_is_told(look, gateway, exception, told):
    gateway.instead["GETFILESTATUS"] = refuses(exception)

    found = look()

    assert wrong(found) == {"hdfs-read": "FAIL"}
    assert told in found["hdfs-read"].message
    assert "hdfs-write" not in found


@pytest.mark.parametrize("operation", ["MKDIRS", "CREATE", "RENAME", "OPEN"])
def test_what_cannot_be_written_is_told_and_removed(look, gateway, operation):
    gateway.instead[operation] = refuses("AccessControlException")

    found = look()

    assert wrong(found) == {"hdfs-write": "FAIL"}
    assert "guest may not write" in found["hdfs-write"].message
    assert "it says no" in found["hdfs-write"].message
    assert gateway.files == {}


@pytest.mark.parametrize("exception", ["SafeModeException", "StandbyException"])
@pytest.mark.parametrize("operation", ["MKDIRS", "CREATE", "RENAME", "OPEN"])
@pytest.mark.parametrize("status", [403, 500])
def test_an_hdfs_in_safe_mode_is_not_taken_for_data_nodes_out_of_reach(
    look, gateway, operation, exception, status
):
    gateway.instead[operation] = refuses(exception, status)

    found = look()

    assert wrong(found) == {"hdfs-write": "FAIL"}
    assert "hdfs dfsadmin -safemode get" in found["hdfs-write"].message
    assert "DataNodes" not in found["hdfs-write"].message


def test_data_nodes_out_of_reach_are_told(look, gateway):
    gateway.instead["CREATE"] = Reply(500)

    assert "gateway.dispatch.whitelist" in look()["hdfs-write"].message


def test_a_location_that_leads_elsewhere_is_told(look, gateway):
    gateway.origin = "http://datanode.example.com:9864"

    assert "gateway.frontend.url" in look()["hdfs-write"].message


def test_a_rename_that_does_not_replace_is_told(look, gateway):
    gateway.instead["RENAME"] = says({"boolean": False})

    found = look()

    assert wrong(found) == {"hdfs-write": "FAIL"}
    assert "HttpFS" in found["hdfs-write"].message


def test_what_could_not_be_removed_is_named(look, gateway):
    gateway.instead["DELETE"] = refuses("AccessControlException")

    found = look()

    assert wrong(found) == {"hdfs-write": "WARN"}
    assert "/user/guest/WORK/logs/.tracker/doctor-" in found["hdfs-write"].message


@pytest.mark.parametrize(
    ("seconds", "level", "told"),
    [
        (300, "WARN", "s behind the gateway's"),
        (-300, "WARN", "s ahead of the gateway's"),
        (30, "ok", "agrees"),
        (-30, "ok", "agrees"),
    ],
)
def test_clocks_that_are_apart_are_warned_of(seconds, level, told):
    there = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    behind_it = "Thu, 01 Jan 1970 00:00:00 GMT"

    found = routes.clock(f"{there}, {behind_it}")

    assert (found.check, found.level) == ("clock", level)
    assert told in found.message


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_gateway_without_a_clock_is_warned_of(date):
    assert routes.clock(date).level == "WARN"


def test_a_name_without_an_address_is_told(look):
    found = look("https://nowhere.invalid/gateway/x")

    assert found["dns"].level == "FAIL"
    assert "nowhere.invalid has no address" in found["dns"].message
    assert list(found) == ["settings", "background", "dns", "notification"]


def test_a_port_where_nothing_listens_is_told(look):
    found = look("https://127.0.0.1:1/gateway/x")

    assert wrong(found) == {"tcp": "FAIL"}
    assert "nothing listens at 127.0.0.1:1" in found["tcp"].message


def test_a_port_that_is_silent_is_told(look, monkeypatch):
    def silent(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)

    assert "firewall" in look("https://127.0.0.1:1/gateway/x")["tcp"].message


def seen_with(
    look: Callable[..., dict[str, CheckResult]],
    certificate: tuple[Path, Path],
    ca_file: Path | None,
    host: str = "127.0.0.1",
) -> CheckResult:
    with tls.tls_loopback(certificate) as server:
        server.says(Reply(401))
        port = server.origin.rpartition(":")[2]
        return look(f"https://{host}:{port}/gateway/x", ca_file=ca_file)["tls"]


def test_a_right_certificate_is_told_with_the_time_that_it_has(look, tmp_path):
    ours = tls.Authority(tmp_path)

    found = seen_with(look, ours.certificate(), ours.file)

    assert (found.level, found.message.partition(", ")[2]) == ("ok", "for 30 more days")


@pytest.mark.parametrize("with_file", [True, False])
def test_a_certificate_of_another_authority_is_told(look, tmp_path, with_file):
    ours, other = tls.Authority(tmp_path), tls.Authority(tmp_path, "other")

    found = seen_with(look, ours.certificate(), other.file if with_file else None)

    assert found.level == "FAIL"
    assert "not signed by an authority in" in found.message
    assert "set TRACKER_GATEWAY__CA_FILE" in found.message


def test_a_certificate_that_has_expired_is_told(look, tmp_path):
    ours = tls.Authority(tmp_path)

    found = seen_with(look, ours.certificate(lasts=-tls.DAY), ours.file)

    assert (found.level, "has expired" in found.message) == ("FAIL", True)


def test_a_certificate_of_the_future_is_told(look, tmp_path):
    ours = tls.Authority(tmp_path)

    found = seen_with(look, ours.certificate(begins=tls.DAY), ours.file)

    assert (found.level, "is not valid yet" in found.message) == ("FAIL", True)


def test_passwords_that_travel_unencrypted_are_warned_of(look, gateway, monkeypatch):
    monkeypatch.setattr(reach, "is_loopback", lambda host: False)

    found = look()

    assert (found["tls"].level, "unencrypted" in found["tls"].message) == ("WARN", True)


def test_a_certificate_that_expires_soon_is_warned_of(look, tmp_path):
    ours = tls.Authority(tmp_path)

    found = seen_with(look, ours.certificate(lasts=3 * tls.DAY), ours.file)

    assert (found.level, "expires in 3 days" in found.message) == ("WARN", True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_name_is_told(look, tmp_path, host):
    ours = tls.Authority(tmp_path)

    found = seen_with(look, ours.certificate("knox.example.com"), ours.file, host)

    assert found.level == "FAIL"
    assert f"is not for the name {host}" in found.message


def test_a_port_without_tls_is_told(look, loopback):
    found = look(tls.secure(loopback) + TOPOLOGY)

    assert wrong(found) == {"tls": "FAIL"}
    assert "speaks no TLS" in found["tls"].message


def test_a_gateway_that_hangs_up_is_told(look):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/gateway/x"
        found = look(url, read_timeout_s=0.1)

    assert wrong(found) == {"login": "FAIL"}
    assert "no answer in time" in found["login"].message


def test_a_ca_file_that_is_none_is_told(look, tmp_path):
    file = tmp_path / "empty.pem"
    file.write_text("")

    found = look(ca_file=file)

    assert list(found) == ["settings"]
    assert str(file) in found["settings"].message


def test_a_tracker_that_does_not_answer_is_warned_of(look, gateway, service):
    service.says(Reply(404, b"<html>"))

    found = look()

    assert wrong(found) == {"notification": "WARN"}
    assert f"no tracker answers at {service.origin}" in found["notification"].message


def test_a_tracker_that_only_this_machine_reaches_is_warned_of(service):
    settings = Settings(gateway=reached_at("https://nowhere.invalid/gateway/x"))

    *_, found = examine(settings, BasicCredential("guest", "x"), service.origin)

    assert (found.check, found.level) == ("notification", "WARN")
    assert "Oozie on another machine cannot reach" in found.message


def test_a_tracker_is_looked_for_where_the_settings_put_it(service):
    port = service.origin.rpartition(":")[2]
    settings = Settings(
        gateway=NOWHERE,
        serve=ServeSettings(bind=f"0.0.0.0:{port}"),
    )

    *_, found = examine(settings, BasicCredential("guest", "x"))

    assert (found.check, found.level) == ("notification", "ok")


def test_the_certificate_of_a_tracker_is_trusted_by_its_own_file(tmp_path):
    ours = tls.Authority(tmp_path)
    settings = Settings(gateway=NOWHERE)
    with tls.tls_loopback(ours.certificate()) as server:
        server.says(says({"status": "alive"}))
        url, credential = tls.secure(server), BasicCredential("guest", "x")

        *_, trusted = examine(settings, credential, url, ours.file)
        *_, unknown = examine(settings, credential, url)

    assert trusted.level == "ok"
    assert (unknown.level, "is not trusted here" in unknown.message) == ("WARN", True)


@pytest.fixture
def doctor(loopback, service, tmp_path, monkeypatch):
    """Runs `tracker doctor` as guest."""
    monkeypatch.chdir(tmp_path)
    environment = {
        "TRACKER_GATEWAY__URL": f"{loopback.origin}{TOPOLOGY}",
        "TRACKER_URL": service.origin,
        "TRACKER_USER": "guest",
        "TRACKER_PASSWORD": "guest-password",
    }

    def run(*arguments: str, **more: str):
        return CliRunner().invoke(cli.main, ["doctor", *arguments], env=environment | more)

    return run


def test_the_command_says_one_sentence_a_line(doctor, gateway, tmp_path):
    told = doctor()

    assert (told.exit_code, told.stderr) == (0, "")
    assert len(told.stdout.splitlines()) == len(ALL)
    assert "ok   Oozie answers (NORMAL)" in told.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []


def test_the_command_ends_with_1_where_something_is_wrong(doctor, gateway):
    gateway.instead["oozie"] = says({"systemMode": "SAFEMODE"})

    told = doctor("--output", "json")

    assert told.exit_code == 1
    [failed] = [each for each in json.loads(told.stdout) if each["level"] == "FAIL"]
    assert (failed["check"], "SAFEMODE" in failed["message"]) == ("oozie", True)


def test_a_warning_is_no_failure(doctor, gateway):
    gateway.instead["jobhistory"] = Reply(404)

    told = doctor()

    assert told.exit_code == 0
    assert "WARN the topology has no way to the job history" in told.stdout


def test_wrong_settings_are_the_first_thing_that_is_told(doctor, gateway, loopback):
    told = doctor(TRACKER_GATEWAY__URL="nowhere")

    assert told.exit_code == 1
    assert told.stdout.startswith("FAIL the settings are wrong: TRACKER_GATEWAY__URL")
    assert told.stdout.count("\n") == 1
    assert loopback.asked == []


def test_nothing_of_the_libraries_stands_between_the_sentences(doctor):
    told = doctor(TRACKER_GATEWAY__URL="http://127.0.0.1:1/gateway/x")

    assert (told.exit_code, told.stderr) == (1, "")


def test_what_is_to_be_set_in_a_job_is_told(service):
    settings = Settings(gateway=NOWHERE)

    *_, found = examine(settings, BasicCredential("guest", "x"), f"{service.origin}/tracker/")

    url = f"{service.origin}/tracker/api/notify/TOKEN?id=$jobId&status=$status"
    assert f"oozie.wf.workflow.notification.url={url}" in found.message


# Tokens in place of passwords


@pytest.fixture
def tokens(gateway: Knox, loopback: Loopback) -> Knox:
    """A gateway that gives tokens, and a topology that takes them and gives others."""
    expires_ms = (datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000
    token = jwt.encode({"sub": "guest", "exp": expires_ms / 1000}, "x" * 32, "HS256")
    gateway.given = says({"access_token": token, "expires_in": expires_ms})
    return gateway


@pytest.fixture
def look_at_tokens(look, tokens, loopback) -> Callable[..., dict[str, CheckResult]]:
    return lambda: look(background="token", token_url=f"{loopback.origin}{TOKENS}")


def test_tokens_that_are_given_taken_and_renewed_are_well(look_at_tokens):
    found = look_at_tokens()

    assert wrong(found) == {}
    assert found["token"].message == "the gateway gives tokens for 60 minutes"
    assert {"token-url", "token-renewal"} <= set(found)


def test_who_wants_passwords_hears_nothing_of_tokens(look, tokens):
    assert "token" not in look()


@pytest.mark.parametrize(
    ("path", "reply", "check", "level", "told"),
    [
        (f"{TOPOLOGY}knoxtoken", Reply(404), "token", "FAIL", "add the service KNOXTOKEN to it"),
        (f"{TOKENS}webhdfs", Reply(401), "token-url", "FAIL", "with the provider JWTProvider"),
        (f"{TOKENS}webhdfs", Reply(404), "token-url", "FAIL", "correct TRACKER_GATEWAY__TOKEN_URL"),
        (f"{TOKENS}knoxtoken", Reply(404), "token-renewal", "WARN", "add the service KNOXTOKEN"),
    ],
)
def test_what_is_wrong_with_tokens_is_told_with_the_remedy(
    look_at_tokens, tokens, path, reply, check, level, told
):
    tokens.instead[path] = reply

    found = look_at_tokens()

    assert wrong(found) == {check: level}
    assert told in found[check].message


def test_keys_that_did_not_sign_the_tokens_are_told(look, tokens, loopback, tmp_path):
    keys = tmp_path / "keys.pem"
    tls.Authority(tmp_path).file.rename(keys)

    found = look(background="token", token_url=f"{loopback.origin}{TOKENS}", token_keys=str(keys))

    assert wrong(found) == {"token-keys": "FAIL"}
    assert "TRACKER_GATEWAY__TOKEN_KEYS" in found["token-keys"].message


def test_a_filter_against_forged_requests_is_named_with_its_setting(look, gateway):
    gateway.instead["MKDIRS"] = Reply(400)

    found = look()

    assert wrong(found) == {"hdfs-write": "FAIL"}
    assert "gateway.csrf_header" in found["hdfs-write"].message
    assert "DataNodes" not in found["hdfs-write"].message


def test_a_quota_that_is_exceeded_is_named(look, gateway):
    gateway.instead["CREATE"] = Reply(507, b"The DiskSpace quota of /user/guest is exceeded")

    assert "The DiskSpace quota" in look()["hdfs-write"].message
