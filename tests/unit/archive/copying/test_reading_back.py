"""What a workflow wrote is read back for its checksum, but not for ever."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from threading import Event

import pytest

from tests.unit.archive_parts import RULES
from tests.unit.fakes import FakeHdfs, Ticks, a_copy
from tracker_service.archive.copying import workflow_copy
from tracker_service.archive.copying.workflow_copy import read_back
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import part_path
from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets
from tracker_service.sources.webhdfs import OpenFile

HOUR = 3600
LOG = b"""\
Container: container_1_0001_01_000001 on node_1
LogAggregationType: AGGREGATED
===============================================
LogType:stderr
LogLastModifiedTime:Sun Nov 22 04:15:26 +0000 2026
LogLength:%d
LogContents:
%s
End of LogType:stderr
***********************************************

"""
LINE = b"java.sql.SQLException: no access to jdbc:mysql://db/x?user=etl&password=S3cr3tValue99\n"


class DrippingHdfs(FakeHdfs):
    """Gives a byte of a file each minute."""

    ticks = Ticks()

    def read(self, path: str) -> OpenFile:
        return OpenFile(len(self.files[path]), self._drips(self.files[path]))

    def _drips(self, content: bytes) -> Generator[bytes, None, None]:
        for number in range(len(content)):
            self.ticks.now += 60
            yield content[number : number + 1]


@pytest.mark.parametrize(("minutes", "has_checksum"), [(59, True), (500, False)])
def test_a_log_that_cannot_be_read_back_within_an_hour_counts_without_a_checksum(
    monkeypatch, minutes, has_checksum
):
    copy, hdfs = a_copy(attempt=1), DrippingHdfs()
    hdfs.files[part_path(copy)] = b"x" * minutes
    monkeypatch.setattr(workflow_copy, "time", hdfs.ticks)
    began = hdfs.ticks.now

    written = read_back(hdfs, copy, Scanner(RULES), Event())

    assert written.length == minutes
    assert (written.sha256 is not None) == has_checksum
    assert hdfs.ticks.now - began <= HOUR + 60


def test_what_is_told_of_a_log_that_a_workflow_has_copied_has_no_secrets():
    copy, hdfs = a_copy(attempt=1), FakeHdfs()
    hdfs.files[part_path(copy)] = LOG % (len(LINE), LINE)

    written = read_back(hdfs, copy, Scanner(RULES, partial(hidden, Secrets({}))), Event())

    assert written.contents.findings
    [line] = written.contents.findings["lines"]
    assert line["text"].endswith("user=etl&password=***")
    assert "S3cr3t" not in str(written.contents.findings)
    assert written.length == len(hdfs.files[part_path(copy)])
