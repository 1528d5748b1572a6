"""Copy a log with an Oozie workflow that runs `yarn logs … | hdfs dfs -put` on the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from xml.etree import ElementTree as ET

from tracker_service.archive.copying.publishing import part_path
from tracker_service.domain.copies import Copy, copy_job_name, working_directory
from tracker_service.domain.jobs import JobId
from tracker_service.errors import PathNotFound
from tracker_service.sources.access import ClusterAccess

_SCRIPT = "copy-log.sh"
_REASON_BYTES = 4000
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
        GatewayError: also where nobody knows whether it was started: see `find`.
    """
    directory = _directory(copy)
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
    """Return the workflow of the try that runs now, if it reached Oozie."""
    return access.oozie.named(copy_job_name(copy), copy.owner)


def reason(access: ClusterAccess, copy: Copy) -> str | None:
    """Return what the commands in the cluster said when they failed."""
    try:
        told = access.hdfs.head(_reason_path(copy), _REASON_BYTES)
    except PathNotFound:
        return None
    lines = [line.strip() for line in told.decode(errors="replace").splitlines()]
    return " ".join([line for line in lines if line][-3:]) or None


def remove_files(access: ClusterAccess, copy: Copy) -> None:
    """Remove the working files of a copy's workflows."""
    access.hdfs.delete(working_directory(copy.owner, copy.id))


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
    for argument in (copy.application, log_owner, part_path(copy), _reason_path(copy)):
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


def _child(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text


def _directory(copy: Copy) -> str:
    """Return a directory of this try's own: an earlier one may still be carried out, late."""
    return f"{working_directory(copy.owner, copy.id)}/{copy.attempt}"


def _reason_path(copy: Copy) -> str:
    return f"{_directory(copy)}/reason"


def _document(root: ET.Element) -> bytes:
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
