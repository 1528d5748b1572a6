"""The layout of one cluster: its directory, its ports, its users, its options."""

import dataclasses
import pathlib
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
HADOOP = "jars/hadoop.jar"  # all classes of Hadoop, below the cluster's directory
USERS = {name: f"{name}-password" for name in ("guest", "sam", "tom", "admin")}
TRACKER = "tracker"  # the Hadoop user of a service that acts for its users without the gateway
REALM = "EXAMPLE.COM"
PORTS = {
    "namenode": 8020,
    "namenode_http": 9870,
    "datanode": 9866,
    "datanode_http": 9864,
    "datanode_ipc": 9867,
    "rm": 8032,
    "rm_scheduler": 8030,
    "rm_tracker": 8031,
    "rm_admin": 8033,
    "rm_http": 8088,
    "nm": 8041,
    "nm_localizer": 8040,
    "nm_http": 8042,
    "shuffle": 13562,
    "jhs": 10020,
    "jhs_admin": 10033,
    "jhs_http": 19888,
    "oozie": 11000,
    "ldap": 10389,
    "httpfs": 14000,
    "knox": 8443,
    "kdc": 10088,
}
NODE_PORTS = ("nm", "nm_localizer", "nm_http", "shuffle")
NODE_STEP = 300  # a further NodeManager has its ports this much higher
#: A collector without threads of its own, and no compiler that pays off only in the long run.
SHORT_LIVED = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
OPENED = (  # packages of the JDK into which Hadoop and Oozie reach by reflection
    *("java.lang", "java.lang.reflect", "java.util", "java.util.concurrent", "java.io"),
    *("java.net", "java.nio", "java.text", "sun.nio.ch", "sun.net.dns", "sun.net.util"),
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """One cluster: its directory and the options of `up`."""

    home: pathlib.Path
    logs: str = "tfile"
    kerberos: bool = False
    oozie_acl: bool = False
    yarn_acl: bool = False
    knox: bool = True
    port_offset: int = 0
    nodes: int = 1
    settings: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """All fields except the directory, as JSON; `of_options` reads them."""
        options = dataclasses.asdict(self)
        del options["home"]
        return options | {"settings": list(self.settings)}

    @classmethod
    def of_options(cls, home: pathlib.Path, options: dict[str, Any]) -> "Layout":
        """The layout with these options."""
        return cls(home, **(options | {"settings": tuple(options["settings"])}))

    def port(self, name: str, node: int = 0) -> int:
        """The port of a service; NodeManagers have numbers."""
        return PORTS[name] + self.port_offset + node * NODE_STEP

    def ports(self) -> dict[int, str]:
        """Every port that this cluster listens on: {port: what for}."""
        unused = ("kdc",) * (not self.kerberos) + ("knox", "ldap", "httpfs") * (not self.knox)
        found = {self.port(name): name for name in PORTS if name not in unused}
        for node in range(1, self.nodes):
            more = {self.port(name, node): f"{name} of node {node + 1}" for name in NODE_PORTS}
            found.update(more)
        return found

    def daemons(self) -> list[str]:
        """The names of all processes of this cluster."""
        names = ["core", "jhs", "oozie", *(f"nm{node + 1}" for node in range(self.nodes))]
        return names + ["ldap", "knox"] * self.knox + ["kdc", "rm"] * self.kerberos

    def url(self, name: str, node: int = 0) -> str:
        """The address of a daemon's web server."""
        return f"http://localhost:{self.port(name, node)}"

    def topology(self, name: str) -> str:
        """The address of a topology of the gateway."""
        return f"https://localhost:{self.port('knox')}/gateway/{name}"

    def conf(self, node: int = 0) -> pathlib.Path:
        """The Hadoop configuration; each further NodeManager has one of its own."""
        return self.home / ("conf" if node == 0 else f"conf-node{node + 1}")

    @property
    def hadoop(self) -> pathlib.Path:
        """The jar with all classes of Hadoop; its real path, which its archive names, too."""
        return (self.home / HADOOP).resolve()

    @property
    def archive(self) -> pathlib.Path:
        """The classes of Hadoop that daemons load, as Java has them in memory."""
        return self.hadoop.with_suffix(".jsa")

    @property
    def namenode(self) -> str:
        """The file system, as Hadoop names it."""
        return f"hdfs://localhost:{self.port('namenode')}"

    @property
    def ca_file(self) -> pathlib.Path:
        """The certificate of the gateway, which is its own authority."""
        return self.home / "ca.pem"

    @property
    def keytab(self) -> pathlib.Path:
        """The keys of all principals, of daemons and of users."""
        return self.home / "run/kdc/all.keytab"

    @property
    def krb5_conf(self) -> pathlib.Path:
        """The configuration with which Kerberos clients find the KDC."""
        return self.home / "run/kdc/krb5.conf"

    def hadoop_classpath(self, node: int = 0) -> str:
        """The class path of Hadoop's programs; Java uses the archive only if the jar is first."""
        shadow = f"{self.home}/classes/secure:" if self.kerberos else ""
        return f"{shadow}{self.hadoop}:{self.conf(node)}"

    @property
    def archive_options(self) -> list[str]:
        """The archive halves the start of a program of Hadoop; no class may be replaced."""
        return [] if self.kerberos else [f"-XX:SharedArchiveFile={self.archive}"]

    @property
    def container_options(self) -> str:
        """JDK_JAVA_OPTIONS of containers: the class path of YARN, but Hadoop's jar comes first."""
        classpath = f"{self.hadoop_classpath()}:.:./*"
        return " ".join([self.java_options, *self.archive_options, "-cp", classpath])

    @property
    def java_options(self) -> str:
        """JDK_JAVA_OPTIONS of every daemon and command."""
        options = [*SHORT_LIVED, "-Djava.net.preferIPv4Stack=true"]
        options += [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
        options.append("--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED")
        if self.kerberos:
            options.append(f"-Djava.security.krb5.conf={self.krb5_conf}")
        return " ".join(options)
