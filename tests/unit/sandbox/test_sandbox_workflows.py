from __future__ import annotations

from xml.sax.saxutils import escape

import pytest

COPY = b"""<workflow-app xmlns="uri:oozie:workflow:1.0" name="copy-log">
  <start to="copy"/>
  <action name="copy">
    <shell xmlns="uri:oozie:shell-action:1.0">
      <resource-manager>${resourceManager}</resource-manager><name-node>${nameNode}</name-node>
      <exec>copy-log.sh</exec>
      <argument>${application}</argument><argument>${owner}</argument>
      <argument>${part}</argument><argument>${reason}</argument>
      <file>copy-log.sh</file>
    </shell>
    <ok to="done"/><error to="broken"/>
  </action>
  <kill name="broken"><message>${wf:errorMessage(wf:lastErrorNode())}</message></kill>
  <end name="done"/>
</workflow-app>"""
PATH = "oozie.wf.application.path"


def configuration(**properties):
    entries = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>"
        for name, value in properties.items()
    )
    return f"<configuration>{entries}</configuration>"


def submit(caller, query="action=start", **properties):
    return caller.ask(
        f"oozie/v1/jobs?{query}",
        "POST",
        data=configuration(**properties),
        content_type="application/xml;charset=UTF-8",
    )


@pytest.fixture
def failed(cluster, clock):
    """The application of a job of guest that has failed, with its log."""
    job_id = cluster.start("fails", runs_s=0, aggregates_s=0)
    return cluster.jobs[job_id].applications[0].application_id


@pytest.fixture
def copied(failed, clock):
    def copy(caller):
        home = f"hdfs://localhost:8020/user/{caller.user}"
        caller.write(f"/user/{caller.user}/copy/workflow.xml", COPY)
        job_id = submit(
            caller,
            **{PATH: f"{home}/copy"},
            application=failed,
            owner="guest",
            part=f"{home}/part",
            reason=f"{home}/reason",
        ).json["id"]
        assert caller.info(job_id)["status"] == "RUNNING"
        clock.advance(1)
        return caller.info(job_id)

    return copy


def test_the_copying_workflow_writes_the_log_as_its_user(guest, copied, failed):
    info = copied(guest)

    assert (info["status"], info["appName"]) == ("SUCCEEDED", "copy-log")
    assert info["actions"][-1]["name"] == "done"
    text = guest.read("/user/guest/part")
    assert text.startswith(f"Container: container{failed[11:]}_01_000001 on localhost".encode())
    status = guest.hdfs("/user/guest/part", "GETFILESTATUS").json["FileStatus"]
    assert (status["owner"], status["permission"]) == ("guest", "600")


def test_a_log_of_two_nodes_and_of_the_indexed_format_is_copied_whole(guest, cluster, clock):
    job_id = cluster.start("out-of-memory", runs_s=0, aggregates_s=0)
    [application] = [a for a in cluster.jobs[job_id].applications if a.run.is_child]
    guest.write("/user/guest/copy/workflow.xml", COPY)
    part = "/user/guest/part"

    words = {"owner": "guest", "part": part, "reason": "/user/guest/reason"}
    submit(guest, **{PATH: "/user/guest/copy"}, application=application.application_id, **words)
    clock.advance(1)

    text = guest.read(part)
    container = f"Container: container_{application.number}_01_00000"
    assert text == application.text
    assert f"{container}1 on localhost_8041".encode() in text
    assert b" on localhost_8341\n" in text


def test_who_may_not_read_the_log_gets_a_reason(sam, copied, failed):
    info = copied(sam)

    assert (info["status"], info["actions"][1]["errorCode"]) == ("KILLED", "1")
    assert sam.read("/user/sam/reason").decode() == (
        f"Can not find any log file matching the pattern: [ALL] for the application: {failed}\n"
    )
    assert sam.hdfs("/user/sam/part", "GETFILESTATUS").status_code == 404


def test_any_other_workflow_succeeds_with_a_new_application(guest, clock):
    guest.write("/user/guest/other/workflow.xml", COPY.replace(b"copy-log.sh", b"load.sh"))
    words = dict.fromkeys(("application", "owner", "part", "reason"), "x")
    job_id = submit(guest, **{PATH: "/user/guest/other"}, **words).json["id"]

    clock.advance(2)

    info = guest.info(job_id)
    assert (info["status"], info["user"]) == ("SUCCEEDED", "guest")
    assert guest.app(info["actions"][1]["externalId"])["finalStatus"] == "SUCCEEDED"
    assert "<name>nameNode</name>\r\n" in info["conf"]


def test_without_start_a_job_waits_until_it_is_started(guest, clock):
    guest.write("/user/guest/w/workflow.xml", b"<workflow-app name='w'/>")
    job_id = submit(guest, query="", **{PATH: "/user/guest/w"}).json["id"]
    assert guest.info(job_id)["status"] == "PREP"

    guest.ask(f"oozie/v1/job/{job_id}?action=start", "PUT")

    assert guest.info(job_id)["status"] == "RUNNING"


def test_a_dry_run_starts_nothing(guest):
    guest.write("/user/guest/w/workflow.xml", b"<workflow-app name='w'/>")

    assert submit(guest, query="action=dryrun", **{PATH: "/user/guest/w"}).json == {"id": "OK"}


def test_a_missing_variable_fails_the_job_at_its_action(guest, clock):
    guest.write("/user/guest/w/workflow.xml", COPY)
    submitted = submit(guest, **{PATH: "/user/guest/w"})
    clock.advance(1)

    info = guest.info(submitted.json["id"])

    assert submitted.status_code == 201
    assert (info["status"], info["actions"][1]["errorCode"]) == ("FAILED", "EL_ERROR")
    assert info["actions"][1]["externalId"] is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("w-${wf:conf('day')}", "Function [wf:conf] not found"),
        ("w-${day}", "variable [day] cannot be resolved"),
    ],
)
def test_a_name_that_cannot_be_known_is_refused(guest, name, problem):
    guest.write("/user/guest/w/workflow.xml", f'<workflow-app name="{name}"/>'.encode())

    answer = submit(guest, **{PATH: "/user/guest/w"})

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E0803")
    assert answer.json["errorMessage"] == f"E0803: IO error, {problem}"


def test_a_variable_in_the_name_is_replaced(guest):
    guest.write("/user/guest/w/workflow.xml", b'<workflow-app name="w-${day}"/>')

    job_id = submit(guest, **{PATH: "/user/guest/w"}, day="monday").json["id"]

    assert guest.info(job_id)["appName"] == "w-monday"


def test_a_path_without_a_workflow_is_refused(guest):
    answer = submit(guest, **{PATH: "/user/guest/none"})

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E0307")
    assert "[hdfs://localhost:8020/user/guest/none/workflow.xml]" in answer.json["errorMessage"]


def test_only_xml_is_taken(guest):
    answer = guest.ask("oozie/v1/jobs", "POST", data="x", content_type="text/plain")

    assert (answer.status_code, answer.headers["oozie-error-code"]) == (400, "E0300")


def test_xml_that_is_not_well_formed_ends_in_the_gateway(guest):
    answer = guest.ask("oozie/v1/jobs", "POST", data="<conf", content_type="application/xml")

    assert answer.status_code == 500
    assert "oozie-error-code" not in answer.headers
