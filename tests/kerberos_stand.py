"""A real cluster with Kerberos and without Knox; the service uses it with its keytab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.cluster import through
from tests.stands import NoCluster, cluster, started
from tracker_service.archive.copying.workflow_copy import configuration
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import OnBehalf
from tracker_service.sources.direct import DirectRoute

HOME = Path(".cluster/kerberos")
#: Away from the usual ports and from those of the cluster with Knox.
PORT_OFFSET = "11500"
#: Cookies expire soon, so that the service has to log in again and again.
COOKIES = (
    "hadoop.http.authentication.token.validity=5",
    "oozie.authentication.token.validity=5",
)
TICKETS_S = 10  #: the life of a ticket, so that each login asks the KDC


class KerberosStand:
    """The cluster as seen by clients with a keytab."""

    name = "kerberos"
    ca_file = None

    def __init__(self, described: dict[str, Any]) -> None:
        self.described = described
        self.url: str = described["direct"]["oozie"]
        self._uploaded: set[tuple[str, str]] = set()
        self._opened: dict[str, ClusterAccess] = {}

    @property
    def services(self) -> dict[str, str]:
        """Return the URLs of the services, by their names in the settings."""
        found = self.described["direct"]
        return {
            "oozie_url": found["oozie"],
            "namenode_url": found["webhdfs"].removesuffix("/webhdfs/v1"),
            "resource_manager_url": found["resourcemanager"],
            "job_history_url": found["jobhistory"],
        }

    def keytab(self, user: str) -> Path:
        """Return the file with the key of a principal."""
        return Path(self.described["kerberos"]["keytabs"]) / f"{user}.keytab"

    def access(self, user: str) -> ClusterAccess:
        """Open the cluster for a user; once only, so that no connection is left behind."""
        if user not in self._opened:
            self._opened[user] = ClusterAccess(self._direct(), OnBehalf(user), 100)
        return self._opened[user]

    def _direct(self) -> DirectRoute:
        from tracker_service.sources.kerberos import keytab_login  # noqa: PLC0415

        kerberos = self.described["kerberos"]
        principal, keytab = kerberos["service"], Path(kerberos["service_keytab"])
        services = self.services
        return DirectRoute(
            oozie=services["oozie_url"],
            namenode=services["namenode_url"],
            resource_manager=services["resource_manager_url"],
            job_history=services["job_history_url"],
            principal=principal,
            keytab=keytab,
            login=keytab_login(principal, keytab),
        )

    def start(self, workflow: str, user: str = "guest") -> str:
        """Start a workflow of `tests/cluster/workflows` and return its id."""
        access, home = self.access(user), f"/user/{user}/{workflow}"
        if (user, workflow) not in self._uploaded:
            access.hdfs.make_directory(home, "755")
            for file in sorted((through.WORKFLOWS / workflow).iterdir()):
                access.hdfs.write(f"{home}/{file.name}", file.read_bytes(), "644")
            self._uploaded.add((user, workflow))
        properties = {
            "user.name": user,
            "nameNode": self.described["namenode"],
            "resourceManager": self.described["resource_manager"],
            "oozie.wf.application.path": self.described["namenode"] + home,
        }
        return access.oozie.submit(configuration(properties))

    def yarn_logs(self, application: str, owner: str) -> bytes:
        """Return what `yarn logs` prints for the owner of an application."""
        return through.yarn_logs(self.described, application, owner)

    def kdc(self, action: str) -> None:
        """Stop the KDC, or start it again."""
        done = cluster("kdc", action, home=_home())
        assert done.returncode == 0, done.stderr

    def krb5_conf(self, directory: Path) -> Path:
        """Return a configuration of Kerberos with short-lived tickets."""
        text = Path(self.described["kerberos"]["krb5_conf"]).read_text()
        file = directory / "krb5.conf"
        file.write_text(
            text.replace("[libdefaults]", f"[libdefaults]\n ticket_lifetime = {TICKETS_S}s")
        )
        return file


@contextmanager
def kerberos_stand() -> Iterator[KerberosStand]:
    """Start the cluster for the length of the block.

    Raises:
        NoCluster: it cannot be started here; says why.
    """
    try:
        import requests_kerberos  # noqa: F401, PLC0415
    except ImportError as error:
        raise NoCluster(f"{error}: pip install 'tracker-service[kerberos]'") from error
    settings = [part for each in COOKIES for part in ("--set", each)]
    offset = os.environ.get("KERBEROS_PORT_OFFSET", PORT_OFFSET)
    options = ("--kerberos", "--no-knox", "--port-offset", offset, *settings)
    with started(*options, home=_home()) as described:
        conf = {"KRB5_CONFIG": described["kerberos"]["krb5_conf"]}
        with mock.patch.dict(os.environ, conf):  # also takes back what a login sets
            yield KerberosStand(described)


def _home() -> str:
    return os.environ.get("KERBEROS_HOME", str(HOME))
