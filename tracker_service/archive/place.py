"""Find the directory of a user's saved logs in HDFS."""

from __future__ import annotations

from tracker_service.domain.copies import LOGS, Copy
from tracker_service.sources.webhdfs import WebHdfs


class LogPlace:
    """The place where a site saves logs.

    Args:
        pattern: the setting `copying.directory`, with `{home}` and `{user}` in it.
    """

    def __init__(self, pattern: str = LOGS) -> None:
        self._pattern = pattern

    def logs_of(self, hdfs: WebHdfs, user: str) -> str:
        """Return the directory of a user's logs.

        Args:
            hdfs: opened as the user.

        Raises:
            GatewayError: HDFS does not tell the home of the user.
        """
        return self._pattern.format(home=hdfs.home(), user=user)

    def path_for(self, hdfs: WebHdfs, copy: Copy) -> str:
        """Return the path of a copy's log; a log that is saved stays where it is."""
        if copy.saved_at:
            return copy.path
        return f"{self.logs_of(hdfs, copy.owner)}/{copy.job_id}/{copy.file_name}"
