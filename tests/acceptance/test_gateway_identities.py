"""Passwords, tokens and the directory of users, with the real Knox and its LDAP."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.acceptance import command
from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.profiles import IS_LONG
from tests.stands import RealStand
from tests.waiting import until

# They stop the directory: nothing else may run on this cluster meanwhile.
pytestmark = [pytest.mark.slow, pytest.mark.cluster]
GUESSES = 10_000 if IS_LONG else 1_000


@pytest.fixture(scope="session")
def real(apart: RealStand) -> RealStand:
    return apart


class Directory:
    """The LDAP server that Knox asks."""

    def __init__(self, stand: RealStand) -> None:
        self._stand = stand
        self._output = Path(stand.described["home"]) / "logs/ldap.out"

    def stop(self) -> None:
        self._stand.change("ldap", "stop")

    def start(self, **passwords: str) -> None:
        given = (("--password", f"{user}={password}") for user, password in passwords.items())
        self._stand.change("ldap", "start", *(word for pair in given for word in pair))

    def restart(self, **passwords: str) -> None:
        self.stop()
        self.start(**passwords)

    def binds(self, user: str) -> int:
        """Count how often anybody has tried to be this user, since the directory was started."""
        return len(re.findall(rf"BIND uid={user},", self._output.read_text()))


@pytest.fixture
def directory(real: RealStand) -> Iterator[Directory]:
    directory = Directory(real)
    yield directory
    directory.restart(guest="guest-password", sam="sam-password", tom="tom-password")


@pytest.fixture
def exchanging(run: Run, real: RealStand) -> RunningService:
    """A service that exchanges passwords for tokens."""
    return run(
        real,
        TRACKER_GATEWAY__BACKGROUND="token",
        TRACKER_GATEWAY__TOKEN_URL=real.described["token_gateway"],
    )


def token_of(real: RealStand, user: str) -> str:
    answer = requests.get(
        f"{real.url}/knoxtoken/api/v1/token",
        auth=(user, f"{user}-password"),
        verify=str(real.ca_file),
        timeout=120,
    )
    return str(answer.json()["access_token"])


def kept(service: RunningService) -> list[bytes]:
    """What is stored of users' credentials."""
    return [sealed for [sealed] in service.query("SELECT sealed FROM credentials")]


def reason(service: RunningService, job: str, auth: tuple[str, str]) -> str:
    answer = requests.get(f"{service.url}/api/jobs/tracking", auth=auth, timeout=120)
    assert answer.status_code == 200, answer.text
    [told] = [each for each in answer.json() if each["id"] == job]
    return str(told["reason"])


def test_with_tokens_a_user_binds_once_a_minute_and_the_logs_are_saved(
    exchanging: RunningService, real: RealStand, directory: Directory
) -> None:
    job = real.start("fail", user="tom")
    before, began = directory.binds("tom"), time.monotonic()

    exchanging.track(job, user="tom")
    copies = exchanging.wait_saved(job, user="tom")
    text = exchanging.get(f"job/{job}/logs", user="tom").content

    minutes = (time.monotonic() - began) / 60
    assert directory.binds("tom") - before <= 1 + minutes
    assert [copy["status"] for copy in copies.values()] == ["SUCCEEDED"]
    assert b"Traceback" in text
    until(lambda: not kept(exchanging))  # the work is done


def test_a_token_of_knox_lets_its_user_in_and_a_changed_one_nobody(
    exchanging: RunningService, real: RealStand
) -> None:
    token = token_of(real, "sam")

    def seen_with(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{exchanging.url}/api/jobs/tracking"
        return requests.get(url, headers=headers, timeout=120).status_code

    assert seen_with(token) == 200
    assert seen_with(token[:-8] + "AAAAAAAA") == 401
    assert seen_with("x" + token) == 401


def test_while_the_directory_is_away_what_is_tracked_with_a_token_goes_on(
    exchanging: RunningService, real: RealStand, directory: Directory
) -> None:
    job = real.start("fail")
    exchanging.track(job)

    directory.stop()
    until(lambda: exchanging.live_tasks(job), lambda left: left == 0)
    directory.start()

    [copy] = exchanging.wait_saved(job).values()
    assert copy["status"] == "SUCCEEDED"


def test_tokens_that_expire_soon_are_renewed_while_there_is_work(run: Run, real: RealStand) -> None:
    service = run(
        real,
        TRACKER_GATEWAY__URL=real.url.replace("/sandbox", "/brief"),
        TRACKER_GATEWAY__BACKGROUND="token",
        TRACKER_GATEWAY__TOKEN_URL=real.described["token_gateway"],
    )
    job = real.start("sleep")
    service.track(job)
    first = kept(service)

    until(lambda: kept(service), lambda now: now != first)
    second = kept(service)
    until(lambda: kept(service), lambda now: now != second)
    real.kill(job)

    assert service.wait_for(job, "KILLED") == "KILLED"


def test_after_a_changed_password_jobs_wait_until_the_new_one_is_given(
    run: Run, real: RealStand, directory: Directory
) -> None:
    service = run(real)
    job = real.start("sleep", user="sam")
    service.track(job, user="sam")
    new = ("sam", "a new password")

    directory.restart(sam=new[1])
    service.stop()  # Knox's session would hide for half an hour that the password is another
    service.start()

    told = until(lambda: reason(service, job, new), lambda said: said != "None")
    assert told.startswith("waiting-for-credentials: the gateway refused")
    assert "tracker login" in told

    answer = requests.post(f"{service.url}/api/login", auth=new, timeout=120).json()
    assert answer == {"user": "sam", "kept": True, "released": 1}
    real.kill(job)
    url = f"{service.url}/api/job/{job}/status"
    until(
        lambda: requests.get(url, auth=new, timeout=120).json()["status"],
        lambda status: status == "KILLED",
    )


def test_of_thousands_of_wrong_passwords_few_reach_the_directory_and_the_right_user_works_on(
    exchanging: RunningService, real: RealStand, directory: Directory
) -> None:
    assert exchanging.get("jobs/tracking").status_code == 200
    before, began = directory.binds("guest"), time.monotonic()

    def guess(number: int) -> int:
        wrong = ("guest", f"wrong {number}")
        return requests.get(
            f"{exchanging.url}/api/jobs/tracking", auth=wrong, timeout=120
        ).status_code

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(guess, range(GUESSES)))
        right = exchanging.get("jobs/tracking").status_code

    minutes = (time.monotonic() - began) / 60
    assert set(answers) == {401, 429}
    assert answers.count(401) <= 3 * (1 + minutes)
    assert directory.binds("guest") - before <= 3 * (1 + minutes) + 1 + minutes
    assert right == 200


def test_the_doctor_explains_what_is_wrong_with_tokens(
    real: RealStand, directory: Directory, tmp_path: Path
) -> None:
    basic, tokens, ca = real.url, real.described["token_gateway"], str(real.ca_file)

    def found(**settings: str) -> dict[str, str]:
        usual = {"URL": basic, "CA_FILE": ca, "BACKGROUND": "token", "TOKEN_URL": tokens}
        variables = {f"TRACKER_GATEWAY__{name}": each for name, each in (usual | settings).items()}
        who = {"TRACKER_USER": "guest", "TRACKER_PASSWORD": "guest-password"}
        told = command.tracker(tmp_path, variables | who, "doctor", "--output", "json")
        return {each["check"]: each["message"] for each in json.loads(told.stdout)}

    assert "takes tokens" in found(TOKEN_KEYS=ca)["token-url"]
    assert "verifies the gateway's tokens" in found(TOKEN_KEYS=ca)["token-keys"]
    assert "tokens are renewed" in found()["token-renewal"]
    assert (
        "does not take tokens; set TRACKER_GATEWAY__TOKEN_URL"
        in found(TOKEN_URL=basic)["token-url"]
    )
    assert "there is no topology" in found(URL=f"{basic}-typo")["topology"]
    directory.stop()
    assert "while that is down, all are refused" in found()["login"]
