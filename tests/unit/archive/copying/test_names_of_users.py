"""Names of users become parts of the documents of a copy workflow."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.unit.fakes import a_copy
from tracker_service.archive.copying.workflow_copy import WorkflowOptions, workflow
from tracker_service.domain.copies import log_path

OPTIONS = WorkflowOptions(name_node="nn", resource_manager="rm", queue=None, properties={})


@pytest.mark.parametrize(
    ("name", "in_pattern"),
    [
        ("svc_etl$", "svc_etl$"),
        ("a&b<c>", "a&b<c>"),
        ("EXAMPLE\\alice", "EXAMPLE\\\\alice"),
        ("álvaro", "álvaro"),
    ],
)
def test_the_script_gets_the_name_as_the_shell_of_hadoop_reads_paths(name, in_pattern):
    copy = a_copy(owner=name, path=log_path(name, "job", "app"))

    document = ET.fromstring(workflow(copy, name, OPTIONS))

    arguments = [
        str(element.text) for element in document.iter() if element.tag.endswith("argument")
    ]
    assert arguments[1] == name
    assert all(path.startswith(f"/user/{in_pattern}/WORK/logs/") for path in arguments[2:])
