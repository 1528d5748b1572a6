"""What healthy jobs print, too: complaints, long middles and repeated tasks around a failure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(r"\nLogType:(?P<file>\S+)\n(?:.*\n)??LogLength:(?P<length>\d+)\nLogContents:\n")
_BEFORE = """\
26/11/30 10:00:02 WARN Utils: Service 'SparkUI' could not bind on port 4041. Attempting port 4042.
26/11/30 10:00:03 ERROR LineageHook: lineage of this run could not be sent
java.net.SocketTimeoutException: connect timed out
\tat java.net.PlainSocketImpl.socketConnect(Native Method)
26/11/30 10:00:04 WARN Settings: optional file /etc/load/site.conf: No such file or directory
26/11/30 10:00:05 WARN RatesClient: answer 503 Service Unavailable, retrying in 2 s
"""
_RETRIES = """\
26/11/30 10:00:31 WARN TaskSetManager: Lost task 3.0 in stage 1.0 (TID 7) (worker-2 executor 2): \
java.io.IOException: No space left on device
\tat java.io.FileOutputStream.writeBytes(Native Method)
26/11/30 10:00:32 ERROR YarnClusterScheduler: Lost executor 2 on worker-2: Container released on \
a *lost* node
26/11/30 10:01:12 INFO TaskSetManager: Finished task 3.1 in stage 1.0 (TID 9) in 2011 ms
26/11/30 10:01:40 INFO DAGScheduler: Job 1 finished: count at Load.scala:12, took 91.1 s
"""
_AFTER = """\
26/11/30 10:05:01 WARN BlockManagerMaster: Failed to remove broadcast 3 - Connection reset by peer
26/11/30 10:05:01 ERROR Utils: Uncaught exception in thread shutdown-hook-0
java.io.IOException: Filesystem closed
\tat org.apache.hadoop.hdfs.DFSClient.checkOpen(DFSClient.java:483)
"""
_ROW = "26/11/30 10:00:{:02d} INFO load.Step: step {} is over, 1000 rows so far\n"
_ROWS = 700  #: more than what is looked at whole at the ends of a file


@dataclass(frozen=True)
class Noise:
    """What stands before and behind the words of a case."""

    name: str
    before: str
    after: str

    def around(self, text: str) -> str:
        """Return the content of a file in the midst of it."""
        return f"{self.before}{text}{self.after}"

    def within(self, log: bytes) -> bytes:
        """Return a whole log with it in each file for standard error and of a logger."""
        text, kept, at = log.decode("latin1"), "", 0  # a character is a byte
        while head := _HEAD.search(text, at):
            content = text[head.end() : head.end() + int(head["length"])]
            is_noisy = head["file"] in ("stderr", "syslog") and content.strip()
            new = self.around(content) if is_noisy else content
            kept += text[at : head.start("length")] + str(len(new))
            kept += text[head.end("length") : head.end()] + new
            at = head.end() + len(content)
        return (kept + text[at:]).encode("latin1")


def _rows() -> str:
    return "".join(_ROW.format(number % 60, number) for number in range(_ROWS))


NOISES = (
    Noise("among harmless lines", _BEFORE, _AFTER),
    Noise("in the middle of a long log", _rows(), _rows()),
    Noise("with task retries around it", _RETRIES, ""),
)
