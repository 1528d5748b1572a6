"""Puts the logs of applications into HDFS, and copies them as the copying workflow does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tracker_service.sandbox.hdfs import Hdfs
from tracker_service.sandbox.inodes import HdfsError
from tracker_service.sandbox.jobs import SandboxApplication, SandboxJob, log_directory
from tracker_service.sandbox.workflows import hdfs_path

#: The script of the workflow that copies an application's log into HDFS.
COPY_SCRIPT = "copy-log.sh"

_NO_LOG = "Can not find any log file matching the pattern: [ALL] for the application: {}"


def make_log_directory(hdfs: Hdfs, application: SandboxApplication) -> None:
    """Make the directory that waits for the log of an application that runs."""
    names = application.log_directory.strip("/").split("/")
    for depth in range(2, len(names) + 1):
        hdfs.place_directory(
            "/" + "/".join(names[:depth]),
            owner=application.job.user,
            group="hadoop",
            permission=0o770,
        )


def place_log(hdfs: Hdfs, application: SandboxApplication) -> None:
    """Put the file of each node into that directory."""
    for node, recorded in application.run.recording.nodes.items():
        hdfs.place_file(
            f"{application.log_directory}/{node}",
            len(recorded),
            partial(application.log_of, node),
            owner=application.job.user,
            group="hadoop",
            written_at=application.aggregated_at,
        )


def copy_log(hdfs: Hdfs, applications: Mapping[str, SandboxApplication], job: SandboxJob) -> bool:
    """Do what the copying workflow's script does, as the job's user; tell whether it worked."""
    application_id, owner, part, reason = (*job.definition.arguments, "", "", "", "")[:4]
    try:
        text = _readable_text(hdfs, applications.get(application_id), application_id, owner, job)
        _write(hdfs, part, job.user, text)
    except HdfsError as refused:
        _write_reason(hdfs, reason, job.user, f"{refused}\n")
        return False
    return True


def _readable_text(
    hdfs: Hdfs,
    application: SandboxApplication | None,
    application_id: str,
    owner: str,
    reader: SandboxJob,
) -> bytes:
    """Return what ``yarn logs`` prints for the reader; raise where it finds nothing."""
    try:
        if application is None:
            raise HdfsError(application_id)
        directory = log_directory(
            owner or application.job.user, application_id, application.run.recording.format
        )
        names = [name for name, _ in hdfs.list(directory, reader.user)]
        for name in names:
            hdfs.check_readable(f"{directory}/{name}", reader.user)
        if not names:
            raise HdfsError(directory)
    except HdfsError as exc:
        raise HdfsError(_NO_LOG.format(application_id)) from exc
    return application.text


def _write(hdfs: Hdfs, path: str, user: str, data: bytes) -> None:
    hdfs.create(hdfs_path(path), user, data, overwrite=True, permission=0o600)


def _write_reason(hdfs: Hdfs, path: str, user: str, reason: str) -> None:
    try:
        _write(hdfs, path, user, reason.encode())
    except HdfsError:
        return  # the script cannot say why either
