"""Starts the daemons of one cluster in the order in which they need each other."""

import pathlib
from collections.abc import Sequence

from . import gateway, kerberos, probes
from .layout import SHORT_LIVED, USERS, Layout
from .machine import Failure, clean_environment, run, say
from .processes import STARTS, Processes

YARN = "org.apache.hadoop.yarn.server"
SHARED = ("oozie-sharelib-oozie-5.2.1", "json-simple-1.1.1", "commons-lang3-3.12.0")
BEHIND = {"job history": "jhs", "oozie": "oozie"}  # the process behind a part; of others, core


class Daemons:
    """The daemons of one cluster."""

    def __init__(self, at: Layout, java: pathlib.Path) -> None:
        self.at, self.java = at, java
        self.processes = Processes(at.home)
        self.lists = at.home / "run/classes"  #: what each daemon of Hadoop has loaded

    def start(self) -> None:
        """Starts all daemons and waits until they answer. The slow ones start in parallel."""
        if self.at.kerberos:
            self.kdc()
            self.resource_manager()
        self.lists.mkdir()
        self.core()
        if self.at.knox:
            self.gateway()
        self.processes.wait_line("core", "CORE READY")
        for node in range(self.at.nodes):
            self.node_manager(node)
        self.history()
        self.oozie()
        for node in range(self.at.nodes):
            self.processes.wait_line(f"nm{node + 1}", "Registered with ResourceManager")
        for part, url in probes.direct(self.at).items():
            self.wait_answer(url, BEHIND.get(part, "core"))
        if self.at.knox:
            for url in probes.through_gateway(self.at).values():
                self.wait_answer(url, "knox")
        self.archive()

    def archive(self) -> None:
        """Writes the archive of the classes that the daemons have loaded by now, if they say so."""
        lists = list(self.lists.iterdir())
        if not lists:
            return
        say("archiving the classes of Hadoop")
        names, fresh = self.lists / "all", self.at.archive.with_suffix(".new")
        found = {line for path in lists for line in path.read_text().splitlines()}
        names.write_text("".join(f"{line}\n" for line in sorted(found)))
        dump = [
            "-Xshare:dump",
            f"-XX:SharedClassListFile={names}",
            f"-XX:SharedArchiveFile={fresh}",
        ]
        command = [self.java / "bin/java", *SHORT_LIVED, *dump, "-cp", self.at.hadoop]
        run(command, "no archive of classes", self.at.home, {})
        fresh.rename(self.at.archive)

    def spawn(
        self,
        name: str,
        user: str,
        memory: int,
        classpath: str,
        main: str,
        *arguments: object,
        properties: Sequence[str] = (),
        options: str = "",
    ) -> None:
        """Starts a Java program as a Hadoop user, with the usual JDK_JAVA_OPTIONS or others."""
        java = [self.java / "bin/java", f"-Xmx{memory}m", *properties]
        if classpath.startswith(f"{self.at.hadoop}:"):
            java += self.archived(name)
        environment = clean_environment(
            self.at.home,
            self.java,
            JDK_JAVA_OPTIONS=options or self.at.java_options,
            HADOOP_USER_NAME=user,
        )
        command = [*java, "-cp", classpath, main, *arguments]
        self.processes.spawn(name, command, environment)

    def archived(self, name: str) -> list[str]:
        """The option with which a daemon of Hadoop uses the archive, or lists what it loads."""
        if self.at.archive.exists():
            return self.at.archive_options
        return [f"-XX:DumpLoadedClassList={self.lists}/{name}"]

    def kdc(self) -> None:
        """Starts the KDC; after a restart it has the same keys."""
        at = self.at
        classpath = f"{at.hadoop_classpath()}:{at.home}/classes/hadoop"
        arguments = [at.home / "run/kdc", at.port("kdc"), *kerberos.principals()]
        self.spawn("kdc", "root", 128, classpath, "Kdc", *arguments)
        self.processes.wait_line("kdc", "KDC READY")

    def resource_manager(self) -> None:
        """ResourceManager with Kerberos: in one process with the NameNode both share one login."""
        classpath = f"{self.at.hadoop_classpath()}:{self.at.home}/classes/hadoop"
        self.spawn("rm", "yarn", 384, classpath, "Manager")

    def core(self) -> None:
        """NameNode, DataNode and, without Kerberos, ResourceManager."""
        at = self.at
        classpath = f"{at.hadoop_classpath()}:{at.home}/classes/hadoop"
        share = [at.home / f"jars/oozie/{name}.jar" for name in SHARED]
        separate = ["-Dseparate.rm=true"] if at.kerberos else []
        people = ",".join(USERS)
        self.spawn("core", "hdfs", 640, classpath, "Core", people, *share, properties=separate)

    def httpfs(self) -> None:
        """HttpFS, and the gateway's topology that has it in place of the NameNode."""
        at = self.at
        directories = {"home": "run", "config": at.conf().name, "log": "logs", "temp": "run"}
        given = [f"-Dhttpfs.{name}.dir={at.home}/{path}" for name, path in directories.items()]
        main = "org.apache.hadoop.fs.http.server.HttpFSServerWebServer"
        self.spawn("httpfs", "httpfs", 256, at.hadoop_classpath(), main, properties=given)
        gateway.write_httpfs(at)
        for url in probes.httpfs(at):
            self.wait_answer(url, "httpfs")

    def node_manager(self, node: int) -> None:
        """One NodeManager."""
        classpath, options = self.at.hadoop_classpath(node), self.at.container_options
        main = f"{YARN}.nodemanager.NodeManager"
        self.spawn(f"nm{node + 1}", "yarn", 384, classpath, main, options=options)

    def history(self) -> None:
        """The JobHistoryServer, which also serves aggregated logs."""
        main = "org.apache.hadoop.mapreduce.v2.hs.JobHistoryServer"
        self.spawn("jhs", "mapred", 256, self.at.hadoop_classpath(), main)

    def oozie(self) -> None:
        """Oozie in its own web server."""
        home, oozie = self.at.home, self.at.home / "oozie"
        (home / "run/oozie").mkdir()
        properties = {
            "home.dir": oozie,
            "config.dir": oozie / "conf",
            "data.dir": home / "run/oozie",
            "log.dir": home / "logs",
            "instance.id": "test",
            "config.file": "oozie-site.xml",
            "log4j.file": "oozie-log4j.properties",
            "log4j.reload": 10,
        }
        given = [f"-Doozie.{name}={value}" for name, value in properties.items()]
        given.append(f"-Dderby.stream.error.file={home}/logs/derby.log")
        classpath = f"{oozie}/conf:{oozie}/webroot:{home}/jars/oozie/*"
        main = "org.apache.oozie.server.EmbeddedOozieServer"
        self.spawn("oozie", "oozie", 512, classpath, main, properties=given)

    def gateway(self) -> None:
        """Knox and its LDAP server."""
        self.directory()
        gateway.make_certificate(self.at, self.java)
        environment = clean_environment(self.at.home, self.java)
        self.processes.spawn("knox", gateway.command(self.at, self.java), environment)

    def directory(self) -> None:
        """The LDAP server; it reads its users and their passwords from a file."""
        environment = clean_environment(self.at.home, self.java)
        self.processes.spawn("ldap", gateway.directory(self.at, self.java), environment)
        self.processes.wait_line("ldap", "LDAP READY")

    def wait_answer(self, url: str, name: str) -> None:
        """Waits until a part answers; fails if its process dies."""
        if not probes.wait(self.at, url, STARTS, lambda: self.processes.check(name)):
            raise Failure(f"no answer in {STARTS} s from {url} (see {self.processes.output(name)})")
