"""Access to the services of the cluster as one identity."""

from __future__ import annotations

from collections.abc import Callable

from tracker_service.sources.credentials import Credential
from tracker_service.sources.gateway import ClusterRoute
from tracker_service.sources.nodes import Nodes
from tracker_service.sources.oozie import Oozie
from tracker_service.sources.tokens import Tokens
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.sources.yarn import Yarn


class ClusterAccess:
    """Oozie, YARN and HDFS through one session of one identity."""

    def __init__(
        self,
        route: ClusterRoute,
        credential: Credential,
        ids_per_request: int,
        hide: Callable[[str], str] = str,
    ) -> None:
        """Open a session.

        Args:
            hide: takes a text that a program wrote, and returns it without secrets.
        """
        session = route.session(credential)
        self.oozie = Oozie(session, ids_per_request, hide)
        self.yarn = Yarn(session, hide)
        self.nodes = Nodes(session)
        self.hdfs = WebHdfs(session)
        self.tokens = Tokens(session)
