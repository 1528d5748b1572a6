from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.fakes import APP_1, APP_2, NOW, FakeHdfs, a_cause, a_copy, job
from tracker_service.archive.manifest import manifest, overall, write_manifest
from tracker_service.domain.causes import Quote, Source
from tracker_service.domain.copies import Contents, CopyStatus, Strategy, one_per_application
from tracker_service.domain.jobs import JobStatus

DIRECTORY = f"/user/guest/WORK/logs/{job(1)}"


def saved(*gaps: str, application: str = APP_1, **more):
    values = {"attempt": 2, **more}
    return a_copy(
        application=application,
        status=CopyStatus.SUCCEEDED,
        strategy=Strategy.DIRECT,
        bytes=47_499,
        sha256="5ha",
        started_at=NOW + timedelta(seconds=1),
        contents=Contents(
            containers=1, logs=7, redacted={"password": 2}, sources=("/app-logs/x",), gaps=gaps
        ),
        **values,
    )


def lost(application: str = APP_2):
    return a_copy(application=application, status=CopyStatus.FAILED, reason="deleted")


def test_the_manifest_says_of_each_log_what_is_saved_and_where_it_came_from():
    told = manifest(JobStatus.KILLED, [saved()], None, NOW)

    assert (told["job"], told["run"], told["status"]) == (job(1), 0, "KILLED")
    [application] = told["applications"]
    assert application == {
        "application": "1795323341942_0002",
        "completeness": "COMPLETE",
        "reason": "waits",
        "file": f"{APP_1}.log",
        "bytes": 47_499,
        "sha256": "5ha",
        "containers": 1,
        "logs": 7,
        "redacted": {"password": 2},
        "sources": ("/app-logs/x",),
        "strategy": "direct",
        "strategy-reason": None,
        "attempts": 2,
        "log-at": "2026-11-22T05:00:00.000+00:00",
        "decided-at": "2026-11-22T05:00:00.000+00:00",
        "started-at": "2026-11-22T05:00:01.000+00:00",
        "saved-at": "2026-11-22T05:00:00.000+00:00",
    }


def test_the_manifest_says_of_a_log_that_a_workflow_copied_that_its_secrets_are_in_it():
    by_workflow = replace(saved(), strategy=Strategy.WORKFLOW, contents=Contents())

    [told] = manifest(JobStatus.KILLED, [by_workflow], None, NOW)["applications"]

    assert told["redacted"] is False


def test_the_manifest_says_why_the_job_failed_with_the_line_that_proves_it():
    quote = Quote(source=Source.LOG, text="ValueError", file="stderr", line=31)
    cause = a_cause(exit_code=1, evidence=(quote,))

    told = manifest(JobStatus.KILLED, [saved()], cause, NOW)["cause"]

    assert (told["category"], told["exit-code"], told["is-complete"]) == (
        *("application-error", 1, True),
    )
    assert [(each["source"], each["text"], each["line"]) for each in told["evidence"]] == [
        ("log", "ValueError", 31)
    ]
    json.dumps(told)


def test_of_a_log_with_gaps_the_manifest_says_what_is_missing():
    [told] = manifest(JobStatus.KILLED, [saved("a node uploaded nothing", "half")], None, NOW)[
        "applications"
    ]

    assert (told["completeness"], told["reason"]) == ("PARTIAL", "a node uploaded nothing; half")


def test_of_a_lost_log_the_manifest_says_why_and_names_no_file():
    [told] = manifest(JobStatus.KILLED, [lost()], None, NOW)["applications"]

    assert (told["completeness"], told["reason"], told["file"]) == ("LOST", "deleted", None)


@pytest.mark.parametrize(
    ("copies", "word"),
    [
        ([saved(), saved(application=APP_2)], "COMPLETE"),
        ([saved(), lost()], "PARTIAL"),
        ([saved("a gap")], "PARTIAL"),
        ([lost(), lost(APP_1)], "LOST"),
    ],
)
def test_the_logs_of_a_job_are_complete_only_if_each_is(copies, word):
    assert overall(copies) == word


def test_the_manifest_is_written_whole_and_then_gets_its_name():
    hdfs = FakeHdfs()
    hdfs.files[f"{DIRECTORY}/manifest.json"] = b"of an earlier copy"

    write_manifest(hdfs, JobStatus.KILLED, [saved()], None, NOW)

    assert list(hdfs.files) == [f"{DIRECTORY}/manifest.json"]
    assert json.loads(hdfs.files[f"{DIRECTORY}/manifest.json"])["completeness"] == "COMPLETE"


def test_the_manifest_of_an_earlier_run_lies_beside_its_logs():
    hdfs = FakeHdfs()

    write_manifest(
        hdfs, JobStatus.KILLED, [saved(path=f"{DIRECTORY}/run-0/{APP_1}.log")], None, NOW
    )

    assert list(hdfs.files) == [f"{DIRECTORY}/run-0/manifest.json"]


def test_of_an_application_in_several_runs_the_newest_saved_copy_counts():
    old, new = saved(run=0, id="old"), saved(run=1, id="new")
    other = lost()
    unsaved = a_copy(run=2, id="unsaved", status=CopyStatus.FAILED)

    assert one_per_application([new, old, other]) == [new, other]
    assert one_per_application([unsaved, new, old]) == [new]
