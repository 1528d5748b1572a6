from __future__ import annotations

import hashlib

import pytest

from tests.unit.fakes import action, job, seen
from tracker_service.domain.applications import (
    application_id,
    applications_of,
    from_short,
    short,
    yarn_tags,
)

APP = "application_1529519049029_420001"


@pytest.mark.parametrize("text", [APP, "job_1529519049029_420001", f" {APP}\n"])
def test_oozie_4_and_5_name_the_same_application(text):
    assert application_id(text) == APP


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "job_local1_0001",
        "application_1_1",
        "application_1529519049029_420001/../x",
        "application_1529519049029_420001;x",
        "container_1529519049029_420001_01_000001",
        "0000042-261122041514971-oozie-prod-W",
        "application_" + "1" * 20 + "_0001",
    ],
)
def test_anything_else_names_no_application(text):
    assert application_id(text) is None


@pytest.mark.parametrize("text", [APP, "1529519049029_420001"])
def test_a_caller_may_leave_out_the_word_application(text):
    assert from_short(text) == APP


@pytest.mark.parametrize("text", ["", "x", "application_application_1_0001", "../1_0001"])
def test_what_a_caller_makes_up_is_no_application(text):
    assert from_short(text) is None


def test_callers_see_applications_without_the_word():
    assert short(APP) == "1529519049029_420001"


def test_each_launcher_comes_before_its_children():
    flow = job(1)
    actions = [
        action(flow, ":start:", "-"),
        action(flow, "a", "job_1_0001", child_ids="job_1_0003,job_1_0002"),
        action(flow, "b", "application_1_0004", child_ids=None),
    ]

    found = [(app.id, app.action, app.role) for app in applications_of(flow, actions)]

    assert found == [
        ("application_1_0001", "a", "launcher"),
        ("application_1_0003", "a", "child"),
        ("application_1_0002", "a", "child"),
        ("application_1_0004", "b", "launcher"),
    ]


@pytest.mark.parametrize(
    "children", ["job_1_0001, job_1_0002", "job_1_0001;job_1_0002", "job_1_0001 job_1_0002,,"]
)
def test_lists_of_children_may_be_separated_in_any_way(children):
    asked = action(job(1), "a", None, child_ids=children)

    found = [app.id for app in applications_of(job(1), [asked])]

    assert found == ["application_1_0001", "application_1_0002"]


def test_what_is_no_application_is_left_out_of_a_list():
    asked = action(job(1), "a", job(2), child_ids="job_local_0001,job_1_0002,null")

    assert [app.id for app in applications_of(job(1), [asked])] == ["application_1_0002"]


def test_an_application_knows_the_workflow_of_its_action():
    [found] = applications_of(job(7), [action(job(7), "a", APP)])

    assert found.workflow_id == job(7)


def test_the_tag_is_the_one_that_a_real_oozie_gave():
    flow = job(2)

    tags = yarn_tags(seen(flow), action(flow, "count", APP))

    assert tags == {"oozie-42ed0a3f9b02c71902f2e57589f97975"}


def test_a_tag_has_no_leading_zeros():
    flow, name = job(921), "work"
    md5 = hashlib.md5(f"{flow}@{name}".encode(), usedforsecurity=False).hexdigest()
    assert md5.startswith("00")

    [tag] = yarn_tags(seen(flow), action(flow, name, APP))

    assert tag == "oozie-b3ecc77a3e8d5544f888c22f1e3708"


def test_in_a_sub_workflow_the_parent_gives_the_tag_as_well():
    parent, child = job(4), job(5)

    tags = yarn_tags(seen(child, parent_id=parent), action(child, "work", APP))

    assert tags == {
        f"oozie-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest().lstrip('0')}"
        for name in (f"{child}@work", f"{parent}@work")
    }
