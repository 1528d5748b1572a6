"""Copy a log with an Oozie workflow that runs `yarn logs … | hdfs dfs -put` on the cluster."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.resources import files
from threading import Event
from xml.etree import ElementTree as ET

import structlog

from tracker_service.archive.checksum import Checksum
from tracker_service.archive.copying import target
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import (
    Contents,
    Copy,
    WrittenLog,
    copy_job_name,
    part_path,
)
from tracker_service.domain.jobs import JobId
from tracker_service.errors import GatewayUnavailable, PathNotFound, RequestRefused, WorkerStops
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.webhdfs import WebHdfs

log = structlog.get_logger()

_SCRIPT = "copy-log.sh"
_REASON_BYTES = 4000
_IN_PATTERNS = re.compile(r"[\\*?\[\]{}]")  #: have a meaning in the patterns of `hdfs dfs`
_LONGEST_S = 3600.0  #: for reading a log back; it takes a thread of the streams
_QUEUE_PROPERTIES = (
    "oozie.launcher.queue",  # Oozie 5
    "oozie.launcher.mapred.job.queue.name",  # Oozie 4
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOptions:
    """What a site sets for its copy workflows."""

    name_node: str
    resource_manager: str
    queue: str | None
    properties: Mapping[str, str]


def submit(access: ClusterAccess, copy: Copy, log_owner: str, options: WorkflowOptions) -> JobId:
    """Start the workflow that writes the log to `part_path`.

    Raises:
        TargetRefused: HDFS takes nothing in the user's directory.
        GatewayUnavailable: nobody knows whether the workflow was started; `find` tells later.
        GatewayError: the workflow was not started.
    """
    directory = _directory(copy)
    with target.writing():
        access.hdfs.make_directory(directory)
        access.hdfs.make_directory(copy.directory)
        access.hdfs.write(f"{directory}/{_SCRIPT}", script())
        access.hdfs.write(f"{directory}/workflow.xml", workflow(copy, log_owner, options))
    return access.oozie.submit(
        configuration(
            {
                "user.name": copy.owner,
                "nameNode": options.name_node,
                "resourceManager": options.resource_manager,
                "oozie.wf.application.path": directory,
            }
        )
    )


def find(access: ClusterAccess, copy: Copy) -> JobId | None:
    """Return the workflow of the running try, if it reached Oozie."""
    return access.oozie.named(copy_job_name(copy), copy.owner)


def reported_reason(access: ClusterAccess, copy: Copy) -> str | None:
    """Return the last lines that the script wrote about its failure, if it wrote any."""
    try:
        report = access.hdfs.head(_reason_path(copy), _REASON_BYTES)
    except PathNotFound:
        return None
    lines = [line.strip() for line in report.decode(errors="replace").splitlines()]
    return " ".join([line for line in lines if line][-3:]) or None


def read_back(hdfs: WebHdfs, copy: Copy, scanner: Scanner, stopping: Event) -> WrittenLog:
    """Read the part that a workflow wrote, for its checksum and for lines that explain a failure.

    The log counts even where a gateway cuts the long stream, or takes hours: the cluster itself has
    written the part to its end. Then there is no checksum.

    Raises:
        GatewayUnavailable: nothing came.
        RequestRefused: the part is empty.
        WorkerStops: this process ends.
    """
    deadline = time.monotonic() + _LONGEST_S
    contents = Contents(gaps=(copy.gap,) if copy.gap else ())
    file, checksum = hdfs.read(part_path(copy)), Checksum()
    if file.length == 0:
        file.pieces.close()
        raise RequestRefused("the copy workflow wrote an empty file")
    try:
        with closing(file.pieces):
            for _ in checksum.of(scanner.of(file.pieces)):
                if stopping.is_set():
                    raise WorkerStops("this worker stops")
                if time.monotonic() > deadline:
                    raise GatewayUnavailable(f"to read it takes longer than {_LONGEST_S:.0f} s")
    except GatewayUnavailable as error:
        if not checksum.length:
            raise
        log.warning("copy_not_read_back", job=copy.job_id, copy=copy.id, reason=str(error))
        return WrittenLog(file.length, None, contents)
    contents = replace(contents, findings=scanner.findings.as_json())
    return WrittenLog(checksum.length, checksum.sha256, contents)


def script() -> bytes:
    """Return the script that runs on the cluster."""
    return (files("tracker_service.archive.copying") / _SCRIPT).read_bytes()


def workflow(copy: Copy, log_owner: str, options: WorkflowOptions) -> bytes:
    """Return the workflow definition of one try: a shell action with the script.

    Follows https://oozie.apache.org/docs/5.2.1/DG_ShellActionExtension.html
    """
    app = ET.Element("workflow-app", xmlns="uri:oozie:workflow:0.5", name=copy_job_name(copy))
    ET.SubElement(app, "start", to="copy")
    action = ET.SubElement(app, "action", name="copy")
    shell = ET.SubElement(action, "shell", xmlns="uri:oozie:shell-action:0.3")
    _child(shell, "job-tracker", "${resourceManager}")
    _child(shell, "name-node", "${nameNode}")
    queue = dict.fromkeys(_QUEUE_PROPERTIES, options.queue) if options.queue else {}
    if properties := {**queue, **options.properties}:  # Oozie refuses an empty one
        shell.append(_configuration(properties))
    _child(shell, "exec", _SCRIPT)
    targets = (_as_pattern(part_path(copy)), _as_pattern(_reason_path(copy)))
    for argument in (copy.application, _literally(log_owner), *targets):
        _child(shell, "argument", argument)
    _child(shell, "file", _SCRIPT)
    ET.SubElement(action, "ok", to="end")
    ET.SubElement(action, "error", to="failed")
    _child(ET.SubElement(app, "kill", name="failed"), "message", "the log was not copied")
    ET.SubElement(app, "end", name="end")
    return _document(app)


def configuration(properties: Mapping[str, str]) -> bytes:
    """Return a Hadoop configuration document."""
    return _document(_configuration(properties))


def _configuration(properties: Mapping[str, str]) -> ET.Element:
    root = ET.Element("configuration")
    for name, value in properties.items():
        element = ET.SubElement(root, "property")
        _child(element, "name", name)
        _child(element, "value", value)
    return root


def _as_pattern(path: str) -> str:
    """Return a path as `hdfs dfs` takes it, which reads each path as a pattern.

    Oozie finds no expression in it: a brace comes after a backslash.
    """
    return _IN_PATTERNS.sub(r"\\\g<0>", path)


def _literally(text: str) -> str:
    """Return a text in which Oozie evaluates no expression but that of a dollar sign."""
    return text.replace("${", "${'$'}{")


def _child(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text


def _directory(copy: Copy) -> str:
    """Return the working directory of this try; the workflow of an earlier try may still run."""
    return f"{copy.working_directory}/{copy.attempt}"


def _reason_path(copy: Copy) -> str:
    return f"{_directory(copy)}/reason"


def _document(root: ET.Element) -> bytes:
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
