from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.fakes import NOW, job, seen
from tracker_service.domain.events import EventType
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import CredentialsRefused, GatewayUnavailable, NotAuthenticated
from tracker_service.identities import (
    Caller,
    Callers,
    Identities,
    KeptCredentials,
    ServiceIdentity,
)
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import AccessPool
from tracker_service.store import credentials, events, jobs, jobsets, track_tasks, tracked_jobs
from tracker_service.store.events import EventFilter

GUEST = BasicCredential("guest", "guest-password")


@pytest.fixture
def kept(store, key_ring):
    """A task of guest, whose credential is kept; returns a look at how it stands."""
    with store.begin() as connection:
        known = jobs.record(connection, [seen(job(1))])
        track_tasks.track(connection, "guest", "guest", list(known.values()), NOW)
        credentials.keep(connection, "guest", key_ring.encrypt("guest", "guest-password"), NOW)

    def look() -> credentials.KeptCredential:
        with store.read() as connection:
            return credentials.find(connection, ["guest"])["guest"]

    return look


@pytest.fixture
def reason(store):
    def look() -> str | None:
        with store.read() as connection:
            return tracked_jobs.of_job(connection, "guest", job(1))[0].reason

    return look


def be_refused(identities) -> None:
    with pytest.raises(CredentialsRefused), identities.acting_for("guest"):
        raise CredentialsRefused


def test_a_verified_caller_has_the_name_that_the_gateway_gave(identities):
    caller = identities.verify(BasicCredential("GUEST", "guest-password"))

    assert caller.name == "guest"


def test_a_wrong_password_is_asked_about_each_time(identities, fake_cluster):
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            identities.verify(BasicCredential("guest", "wrong"))

    assert len(fake_cluster.verified) == 2


def test_the_verdict_on_one_password_says_nothing_about_another(identities):
    identities.verify(GUEST)

    with pytest.raises(NotAuthenticated):
        identities.verify(BasicCredential("guest", "wrong"))


def test_a_verdict_outlives_the_gateway_for_a_minute_only(identities, fake_cluster, now):
    identities.verify(GUEST)
    fake_cluster.is_away = True

    now.advance(seconds=59)
    assert identities.verify(GUEST).name == "guest"

    now.advance(seconds=1)
    with pytest.raises(GatewayUnavailable):
        identities.verify(GUEST)


def test_the_cluster_is_opened_with_what_the_user_left(identities, kept):
    with identities.acting_for("guest") as access:
        assert access.hdfs.user() == "guest"


def test_without_a_credential_nobody_acts(identities):
    with pytest.raises(CredentialsRefused), identities.acting_for("guest"):
        pytest.fail("the block was entered")


def test_a_refused_credential_rests_longer_and_longer_up_to_four_hours(identities, kept, now):
    pauses = []
    for _ in range(5):
        be_refused(identities)
        pauses.append(kept().retry_at - now())
        now.now = kept().retry_at

    assert pauses[:3] == [timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)]
    assert pauses[3:] == [timedelta(hours=4)] * 2


def test_one_cheap_call_tells_whether_a_refused_credential_is_taken_again(
    identities, kept, now, fake_cluster
):
    be_refused(identities)
    now.advance(minutes=1)
    fake_cluster.passwords["guest"] = "changed"

    with pytest.raises(CredentialsRefused), identities.acting_for("guest"):
        pytest.fail("the block was entered")

    assert kept().refusals == 2
    assert fake_cluster.verified == ["guest"]


def test_a_credential_that_was_never_refused_is_not_tried_first(identities, kept, fake_cluster):
    with identities.acting_for("guest"):
        pass

    assert fake_cluster.verified == []


def test_a_credential_of_another_key_counts_as_none(identities, kept, store, reason):
    with store.begin() as connection:
        credentials.keep(connection, "guest", b"sealed elsewhere", NOW)

    with pytest.raises(CredentialsRefused), identities.acting_for("guest"):
        pytest.fail("the block was entered")

    assert "encrypted with another key" in reason()
    assert "post the job again" in reason()


def test_while_it_rests_a_credential_is_not_used(identities, kept, now, reason):
    be_refused(identities)
    now.advance(seconds=59)

    with pytest.raises(CredentialsRefused), identities.acting_for("guest"):
        pytest.fail("the block was entered")

    assert kept().refusals == 1
    assert "refused" in reason()


def test_a_credential_that_works_again_is_as_good_as_new(identities, kept, now, reason):
    be_refused(identities)
    now.advance(minutes=1)

    with identities.acting_for("guest"):
        pass  # as a look does at copies that still run

    assert (kept().refusals, kept().retry_at, reason()) == (0, None, None)


def test_an_outage_says_nothing_about_a_credential(identities, kept, now, fake_cluster):
    be_refused(identities)
    now.advance(minutes=1)
    fake_cluster.is_away = True

    with pytest.raises(GatewayUnavailable), identities.acting_for("guest"):
        pytest.fail("the block was entered")

    assert kept().refusals == 1


def test_a_fresh_credential_ends_the_rest(identities, store, kept, reason):
    be_refused(identities)
    caller = identities.verify(GUEST)

    with store.begin() as connection:
        wanted = list(jobs.latest(connection, [job(1)]).values())
        identities.track(connection, caller, wanted, NOW + timedelta(seconds=1))

    assert kept().may_be_used(NOW)
    assert reason() is None


def test_a_credential_is_kept_only_as_long_as_there_is_work(identities, store):
    caller = identities.verify(GUEST)

    with store.begin() as connection:
        identities.track(connection, caller, [], NOW)

    with store.read() as connection:
        assert credentials.find(connection, ["guest"]) == {}


def test_a_task_with_a_rested_credential_stays_alive(identities, store, kept):
    be_refused(identities)

    with store.read() as connection:
        assert tracked_jobs.of_job(connection, "guest", job(1))[0].state == TaskState.WATCHING


@pytest.fixture
def with_service(store, key_ring, fake_cluster, now) -> Identities:
    fake_cluster.passwords["service"] = "service-password"
    pool = AccessPool(fake_cluster.access)
    service = ServiceIdentity(pool, BasicCredential("service", "service-password"), now)
    kept = KeptCredentials(store, key_ring, pool, now)
    return Identities(Callers(store, key_ring, pool, now), kept, pool, "http://knox", service)


def test_without_a_service_identity_each_user_asks_for_their_jobs(identities, kept):
    assert identities.asked_as("guest") == "guest"
    with identities.polling("guest") as access:
        assert access


def test_a_service_identity_asks_for_everybody_and_needs_no_stored_credential(with_service):
    assert with_service.asked_as("guest") == with_service.asked_as("sam") == "service"
    with with_service.polling("service") as access:
        assert access


def refuse_service(identities: Identities) -> None:
    with pytest.raises(CredentialsRefused), identities.polling("service"):
        raise CredentialsRefused("the gateway refuses the credentials of service")


def test_a_service_identity_that_was_refused_rests_like_any_other(with_service, now):
    refuse_service(with_service)
    now.advance(seconds=59)
    with (
        pytest.raises(CredentialsRefused, match="polling_user service"),
        with_service.polling("service"),
    ):
        pytest.fail("the block was entered")

    now.advance(seconds=1)
    refuse_service(with_service)
    now.advance(minutes=9)
    with pytest.raises(CredentialsRefused), with_service.polling("service"):
        pytest.fail("the block was entered")


def test_a_service_identity_that_is_taken_again_begins_anew(with_service, now):
    refuse_service(with_service)
    now.advance(minutes=1)
    with with_service.polling("service"):
        pass
    refuse_service(with_service)

    now.advance(minutes=1)
    with with_service.polling("service") as access:
        assert access


def test_jobs_of_all_users_share_jobsets_where_a_service_identity_asks(with_service, store):
    with store.begin() as connection:
        for owner in ("guest", "sam"):
            caller = Caller(name=owner, credential=BasicCredential(owner, "pw"))
            kept = jobs.record(connection, [seen(job(1))])
            with_service.track(connection, caller, list(kept.values()), NOW)

        [jobset] = jobsets.known(connection)

    assert jobset.size == 2


def test_a_user_hears_once_that_jobs_wait_for_a_credential(identities, kept, store, now):
    for _ in range(3):
        be_refused(identities)
        now.now = kept().retry_at

    with store.read() as connection:
        found = [each.event for each in events.following(connection, 0, EventFilter(), 10)]

    assert [(e.type, e.owner, e.subject) for e in found] == [
        (EventType.WAITS_FOR_CREDENTIALS, "guest", "guest")
    ]
    assert "tracker login" in found[0].data["reason"]
