"""Who asks over HTTP, what they may see, and what is written down of it."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_network

import pytest
from werkzeug.test import create_environ, run_wsgi_app
from werkzeug.wrappers import Request, Response

from tests.unit.calls import ADMIN, GUEST, SAM, assert_problem, get, post, save_copies
from tests.unit.fakes import APP_1, job
from tests.unit.logged import logged
from tracker_service.api.proxies import NAMED, NamingProxies
from tracker_service.app import create_app
from tracker_service.domain.copies import CopyStatus
from tracker_service.errors import CredentialsRefused
from tracker_service.rooms import ALL_ROOMS
from tracker_service.settings import RightsSettings, ServeSettings, Settings
from tracker_service.store import credentials

JOB = f"/api/job/{job(1)}"
LOG = f"{JOB}/logs/{APP_1[12:]}"
PATH = f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_of_the_gateway_lets_its_user_in(client, oozie, fake_cluster):
    token = fake_cluster.tokens.of("sam").token

    answer = client.get("/api/jobs/tracking", headers=bearer(token))

    assert answer.status_code == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzYW0ifQ."])
def test_what_is_no_token_of_the_gateway_lets_nobody_in(client, token):
    assert_problem(client.get("/api/jobs/tracking", headers=bearer(token)), 401)


def test_after_three_wrong_passwords_the_fourth_has_to_wait(client, fake_cluster):
    for number in range(3):
        assert_problem(get(client, "/api/jobs/tracking", auth=("guest", f"wrong {number}")), 401)

    answer = get(client, "/api/jobs/tracking", auth=("guest", "wrong 3"))

    assert "wrong credentials of guest" in assert_problem(answer, 429)
    assert 0 < int(answer.headers["Retry-After"]) <= 60


OPEN = {
    *("/healthz", "/readyz", "/metrics", "/metrics/teraslice"),
    *("/openapi.json", "/docs", "/api/notify/{token}", "/api/mute/{token}"),
    *("/metrics/checks", "/badges/checks/{name}.svg"),
}


def test_nothing_is_told_to_who_does_not_prove_who_they_are(documented):
    """Each call that needs credentials refuses those that are missing, and wrong ones."""
    paths = documented.get("/openapi.json").json["paths"]
    calls = [(path, method) for path in set(paths) - OPEN for method in paths[path]]
    values = {"job_id": job(1), "application": APP_1[12:], "token_id": "0" * 12}
    values |= {"name": "0" * 12, "fingerprint": "f" * 12}

    for number, (path, method) in enumerate(calls):
        call = partial(
            getattr(documented, method), environ_overrides={"REMOTE_ADDR": f"10.0.{number}.1"}
        )
        for wrong in (None, (f"user{number}", "wrong")):
            assert_problem(call(path.format(**values), auth=wrong), 401)
    assert len(calls) > 15


# A proxy's word


@pytest.fixture
def named(service):
    """A client behind a proxy that names users in a header."""
    app = create_app(service, ALL_ROOMS)
    app.wsgi_app = NamingProxies(  # type: ignore[method-assign]
        app.wsgi_app, "X-Remote-User", [ip_network("10.0.0.0/8")]
    )
    return app.test_client()


def seen_from(client, peer: str, user: str):
    return client.get(
        "/api/jobs/tracking",
        headers={"X-Remote-User": user},
        environ_overrides={"REMOTE_ADDR": peer},
    )


def test_a_listed_proxy_names_the_user(named):
    assert seen_from(named, "10.1.2.3", "guest").status_code == 200


@pytest.mark.parametrize("peer", ["192.168.0.1", "127.0.0.1", "::1", ""])
def test_nobody_else_names_a_user(named, peer):
    assert_problem(seen_from(named, peer, "guest"), 401)


@pytest.mark.parametrize("user", ["../guest", "guest/..", "a b", "x" * 256, "-x"])
def test_a_name_that_no_user_has_is_refused(named, user):
    assert_problem(seen_from(named, "10.1.2.3", user), 401)


def test_a_refused_name_is_told_with_what_to_set(named):
    told = assert_problem(seen_from(named, "10.1.2.3", "alice@EXAMPLE.COM"), 401)

    assert "gateway.user_pattern" in told
    assert "gateway.user_realms" in told


def test_the_bytes_of_a_header_are_read_as_utf_8():
    seen = list[str]()

    @Request.application
    def app(request: Request) -> Response:
        seen.append(request.environ[NAMED])
        return Response()

    naming = NamingProxies(app, "X-User", [ip_network("10.0.0.0/8")])
    for name in ("álvaro".encode(), "álvaro".encode("latin-1")):
        environ = create_environ(
            environ_overrides={
                "HTTP_X_USER": name.decode("latin-1"),
                "REMOTE_ADDR": "10.1.2.3",
            }
        )
        run_wsgi_app(naming, environ)

    assert seen == ["álvaro"] * 2


# A fresh credential


def test_a_login_without_work_keeps_nothing(client, store):
    answer = client.post("/api/login", auth=GUEST)

    assert answer.json == {"user": "guest", "kept": False, "released": 0}
    with store.read() as connection:
        assert credentials.find(connection, ["guest"]) == {}


def test_a_login_lets_what_waits_for_a_credential_go_on(
    client, oozie, store, identities, fake_cluster
):
    post(client, job(1))
    fake_cluster.passwords["guest"] = "changed"
    with pytest.raises(CredentialsRefused), identities.acting_for("guest") as access:
        access.hdfs.user()
    waiting = get(client, "/api/jobs/tracking", auth=("guest", "changed")).json
    assert waiting[0]["reason"].startswith("waiting-for-credentials: ")
    assert "tracker login" in waiting[0]["reason"]

    answer = client.post("/api/login", auth=("guest", "changed"))

    assert answer.json == {"user": "guest", "kept": True, "released": 1}
    assert get(client, "/api/jobs/tracking", auth=("guest", "changed")).json[0]["reason"] is None
    with identities.acting_for("guest") as access:
        assert access.hdfs.user() == "guest"


# Rights


@pytest.fixture
def audited(service):
    """A client of a service in which sam is an auditor."""
    rights = RightsSettings(admins=("admin",), auditors=("sam",))
    object.__setattr__(service, "settings", Settings(rights=rights, serve=ServeSettings()))
    return create_app(service, ALL_ROOMS).test_client()


def test_an_auditor_lists_the_jobs_of_all_and_reads_no_logs(audited, oozie, store, fake_cluster):
    post(audited, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    fake_cluster.homes["guest"].files[PATH] = b"text"

    listed = get(audited, "/api/jobs/tracking?user=*", auth=SAM)

    assert [each["id"] for each in listed.json] == [job(1)]
    assert get(audited, "/api/workers", auth=SAM).status_code == 200
    assert_problem(get(audited, LOG, auth=SAM), 404)
    assert get(audited, "/api/failures", auth=SAM).json == []


# What is written down


@pytest.fixture
def saved(client, oozie, store, fake_cluster):
    post(client, job(1))
    save_copies(store, CopyStatus.SUCCEEDED)
    fake_cluster.homes["guest"].files[PATH] = b"text"


@pytest.mark.parametrize("path", [LOG, f"{LOG}?tail=1", f"{JOB}/logs", f"{LOG}/files"])
def test_each_access_to_a_log_is_a_line(client, saved, path):
    with logged() as told:
        get(client, path)

    [line] = told.of("audit")
    assert (line["action"], line["user"], line["result"]) == ("read_log", "guest", "ok")
    assert (line["job"], line["applications"]) == (job(1), [APP_1[12:]])


def test_each_use_of_a_stored_credential_is_a_line_without_it(saved, identities):
    with logged() as told, identities.acting_for("guest"):
        pass

    [line] = told.of("audit")
    assert (line["action"], line["user"], line["result"]) == ("use_credential", "guest", "ok")
    assert "guest-password" not in told.text


def test_answers_can_do_no_more_in_a_browser_than_be_shown(client, oozie):
    headers = get(client, "/api/jobs/tracking").headers

    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in headers
    secure = client.get("/api/jobs/tracking", auth=ADMIN, base_url="https://tracker").headers
    assert secure["Strict-Transport-Security"] == "max-age=31536000"
