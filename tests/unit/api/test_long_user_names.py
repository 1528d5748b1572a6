"""A user whose name is as long as HDFS allows does what any user does."""

from __future__ import annotations

import pytest

from tests.unit.calls import assert_problem, get, post, posted_states
from tests.unit.fakes import FakeHdfs, job


@pytest.mark.parametrize("user", ["a" * 65, "a" * 255, "á" * 127])
def test_a_user_with_a_long_name_tracks_and_lists_a_job(client, oozie, fake_cluster, user):
    fake_cluster.passwords[user] = "secret"
    fake_cluster.homes[user] = FakeHdfs(user)
    auth = (user, "secret")

    posted = post(client, job(1), auth=auth)

    assert posted_states(posted) == {job(1): "RUNNING"}
    listed = get(client, "/api/jobs/tracking", auth=auth)
    assert [each["id"] for each in listed.json] == [job(1)]
    token = client.post("/api/notify-tokens", auth=auth, buffered=True)
    assert token.status_code in (200, 201), token.text


def test_an_admin_lists_the_jobs_of_a_user_with_a_long_name(client, oozie, fake_cluster):
    user = "a" * 255
    fake_cluster.passwords[user], fake_cluster.homes[user] = "secret", FakeHdfs(user)
    post(client, job(1), auth=(user, "secret"))

    listed = get(client, f"/api/jobs/tracking?user={user}", auth=("admin", "admin-password"))

    assert [each["id"] for each in listed.json] == [job(1)]


def test_a_name_that_no_directory_can_have_is_refused(client, oozie, fake_cluster):
    user = "a" * 256

    assert_problem(post(client, job(1), auth=(user, "secret")), 401)
