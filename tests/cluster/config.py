"""Writes the configuration of every daemon, and the commands `hdfs` and `yarn`."""

import pathlib
from typing import Any
from xml.sax.saxutils import escape

from .layout import Layout
from .sites import node_manager, sites

HADOOP_LOG = """\
log4j.rootLogger=${hadoop.root.logger}
hadoop.root.logger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
"""
# Oozie finds the log of a job (show=log) in this file, so it depends on this name of the appender,
# this roller and this layout of a line.
OOZIE_LOG = """\
log4j.rootLogger=WARN, oozie
log4j.logger.org.apache.oozie=INFO, oozie
log4j.additivity.org.apache.oozie=false
log4j.appender.oozie=org.apache.log4j.rolling.RollingFileAppender
log4j.appender.oozie.RollingPolicy=org.apache.oozie.util.OozieRollingPolicy
log4j.appender.oozie.RollingPolicy.FileNamePattern=${log4j.appender.oozie.File}-%d{yyyy-MM-dd-HH}
log4j.appender.oozie.RollingPolicy.MaxHistory=24
log4j.appender.oozie.File=${oozie.log.dir}/oozie.log
log4j.appender.oozie.Append=true
log4j.appender.oozie.layout=org.apache.log4j.PatternLayout
log4j.appender.oozie.layout.ConversionPattern=%d{ISO8601} %5p %c{1}:%L - \
SERVER[${oozie.instance.id}] %m%n
"""
COMMANDS = {
    "hdfs": {"dfs": "fs.FsShell", "dfsadmin": "hdfs.tools.DFSAdmin"},
    "yarn": {
        "logs": "yarn.client.cli.LogsCLI",
        "application": "yarn.client.cli.ApplicationCLI",
        "node": "yarn.client.cli.NodeCLI",
    },
}
COMMAND = """\
#!/bin/sh
case "$1" in
{cases}  *) echo "{command}: no such command: $1" >&2; exit 2 ;;
esac
# of these, only `application` reads its own name
[ "$1" = application ] || shift
# On a cluster whose containers run as the user whose job it is, Hadoop takes the name from the
# system. Here all run as one, and YARN says the name in USER.
[ -z "$CONTAINER_ID" ] || export HADOOP_USER_NAME="${{HADOOP_USER_NAME:-$USER}}"
exec java -Xmx512m {archive} $HADOOP_CLIENT_OPTS -cp "{classpath}" "org.apache.hadoop.$main" "$@"
"""


def site_text(properties: dict[str, Any]) -> str:
    """A site file of Hadoop, Oozie or Knox."""
    rows = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(str(value))}</value></property>\n"
        for name, value in properties.items()
    )
    return f'<?xml version="1.0"?>\n<configuration>\n{rows}</configuration>\n'


def put(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Writes a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def write(at: Layout) -> None:
    """Writes all but the gateway's configuration."""
    files = sites(at)
    write_oozie(at, files.pop("oozie-site.xml"))
    for node in range(at.nodes):
        files["yarn-site.xml"] |= node_manager(at, node)
        files["mapred-site.xml"]["mapreduce.shuffle.port"] = at.port("shuffle", node)
        for name, properties in files.items():
            put(at.conf(node) / name, site_text(properties))
        put(at.conf(node) / "log4j.properties", HADOOP_LOG)
        put(at.conf(node) / "http-secret", "not-secret-in-a-test-cluster")
    write_commands(at)


def write_oozie(at: Layout, properties: dict[str, Any]) -> None:
    """Oozie's configuration; Oozie starts only if `action-conf` and a web page exist, too."""
    conf = at.home / "oozie/conf"
    put(conf / "oozie-site.xml", site_text(properties))
    put(conf / "oozie-log4j.properties", OOZIE_LOG)
    put(conf / "adminusers.txt", "admin\n")
    put(at.home / "oozie/webroot/webapp/index.html", "<title>Oozie</title>\n")
    (conf / "action-conf").mkdir(exist_ok=True)


def write_commands(at: Layout) -> None:
    """`hdfs` and `yarn`, as a Hadoop distribution has them on the PATH of its containers."""
    for command, mains in COMMANDS.items():
        cases = "".join(f"  {verb}) main={main} ;;\n" for verb, main in mains.items())
        text = COMMAND.format(
            cases=cases,
            command=command,
            classpath=at.hadoop_classpath(),
            archive=" ".join(at.archive_options),
        )
        put(at.home / "bin" / command, text, 0o755)
