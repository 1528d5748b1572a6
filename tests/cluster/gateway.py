"""Configures Knox, makes its certificate and says how it is started."""

import pathlib
import re
from string import Template

from . import kerberos
from .config import put, site_text
from .layout import HERE, SHORT_LIVED, Layout
from .machine import Failure, clean_environment, run
from .sites import given

MASTER = "test-cluster-master"  # of Knox's keystore
#: Refuses what changes something and comes without the header X-XSRF-Header.
FILTER = (
    "<provider><role>webappsec</role><name>WebAppSec</name><enabled>true</enabled>"
    "<param><name>csrf.enabled</name><value>true</value></param></provider>"
)
#: Not SHORT_LIVED: a signature of RSA takes five times as long without the second compiler, which
#: with its defaults does half of the gateway's work. So it compiles the hottest methods alone.
SECOND_COMPILER = (
    *("-XX:Tier4InvocationThreshold=40000", "-XX:Tier4MinInvocationThreshold=5000"),
    *("-XX:Tier4CompileThreshold=120000", "-XX:Tier4BackEdgeThreshold=200000"),
)
DIRECTORIES = (
    *("conf/topologies", "conf/descriptors", "conf/shared-providers", "data/services"),
    *("data/applications", "data/deployments", "data/security/keystores", "logs", "tmp"),
)


def write(at: Layout) -> None:
    """Writes the gateway's site file, its topologies and its users."""
    home = at.home / "knox"
    for name in DIRECTORIES:
        (home / name).mkdir(parents=True, exist_ok=True)
    properties = {
        "gateway.host": "127.0.0.1",
        "gateway.port": at.port("knox"),
        "gateway.path": "gateway",
        "gateway.hadoop.kerberos.secured": str(at.kerberos).lower(),
        "gateway.remote.alias.service.enabled": "false",  # the default of 2.0.0 wants ZooKeeper
        "gateway.websocket.feature.enabled": "false",
        "gateway.webshell.feature.enabled": "false",
        "gateway.dispatch.whitelist.services": "DATANODE,JOBHISTORYUI,NODEUI,YARNUI",
        "gateway.dispatch.whitelist": r"^https?:\/\/(localhost|127\.0\.0\.1):[0-9]+.*$",
    }
    put(home / "conf/gateway-site.xml", site_text(properties | given(at, "gateway-site.xml")))
    if at.kerberos:
        put(home / "conf/jaas.conf", kerberos.gateway_login(at))
    put(home / "conf/log4j2.xml", (HERE / "knox/log4j2.xml").read_text())
    write_topology(at, "sandbox")
    write_topology(at, "guarded", filter_=FILTER)
    write_topology(at, "brief", life_ms=20_000)  # for tests of tokens that expire
    write_topology(at, "tokens", "tokens.xml", life_ms=20_000)
    put(users(at), (HERE / "knox/users.ldif").read_text())


def write_httpfs(at: Layout) -> None:
    """Writes the topology with HttpFS in place of the NameNode; a running gateway takes it up."""
    write_topology(at, "httpfs", webhdfs="httpfs")


def write_topology(
    at: Layout,
    name: str,
    source: str = "sandbox.xml",
    life_ms: int = 3_600_000,
    filter_: str = "",
    webhdfs: str = "namenode_http",
) -> None:
    """Writes a topology of the gateway; its tokens live `life_ms`, `webhdfs` serves its files."""
    values = {"services": services(at, webhdfs), "ldap": at.port("ldap")}
    template = Template((HERE / "knox" / source).read_text())
    text = template.substitute(values, life=life_ms, filter=filter_)
    put(at.home / f"knox/conf/topologies/{name}.xml", text)


def users(at: Layout) -> pathlib.Path:
    """The file with the users of the LDAP directory."""
    return at.home / "knox/conf/users.ldif"


def change_password(at: Layout, user: str, password: str) -> None:
    """Changes the password of a user; it is valid after a restart of the directory."""
    before, start, rest = users(at).read_text().partition(f"dn: uid={user},")
    if not start:
        raise Failure(f"there is no user {user}")
    changed = re.sub(r"(?m)^userPassword:.*$", f"userPassword: {password}", rest, count=1)
    put(users(at), before + start + changed)


def services(at: Layout, webhdfs: str) -> str:
    """The services of a topology, as XML."""
    roles = {
        "NAMENODE": at.namenode,
        "JOBTRACKER": f"rpc://localhost:{at.port('rm')}",
        "RESOURCEMANAGERAPI": f"rpc://localhost:{at.port('rm')}",
        "WEBHDFS": at.url(webhdfs) + "/webhdfs",
        "OOZIE": at.url("oozie") + "/oozie",
        "RESOURCEMANAGER": at.url("rm_http") + "/ws",
        "YARNUI": at.url("rm_http"),
        "JOBHISTORYUI": at.url("jhs_http"),
        "NODEUI": at.url("nm_http"),
    }
    return "\n  ".join(
        f"<service><role>{role}</role><url>{url}</url></service>" for role, url in roles.items()
    )


def make_certificate(at: Layout, java: pathlib.Path) -> None:
    """Makes the gateway's key and certificate: Knox 2.0 cannot do it itself on Java 17.

    The certificate is its own authority, so a client that trusts it trusts the gateway.
    """
    environment = clean_environment(at.home, java)
    store = at.home / "knox/data/security/keystores/gateway.jks"
    tool = [java / "bin/keytool", "-alias", "gateway-identity", "-storetype", "jks"]
    tool += ["-keystore", store, "-storepass", MASTER]
    names = "SAN=dns:localhost,ip:127.0.0.1"
    make = ["-genkeypair", "-keyalg", "RSA", "-keysize", "2048", "-validity", "3650"]
    make += ["-dname", "CN=localhost, O=Test cluster", "-ext", names, "-ext", "BC:c=ca:true"]
    run([*tool, *make, "-keypass", MASTER], "no certificate", at.home, environment)
    certificate = run([*tool, "-exportcert", "-rfc"], "no certificate", at.home, environment)
    at.ca_file.write_text(certificate)


def directory(at: Layout, java: pathlib.Path) -> list[object]:
    """The command line of the LDAP server."""
    classpath = f"{at.home}/classes/knox:{at.home}/jars/knox/*"
    return [
        java / "bin/java",
        "-Xmx64m",
        *SHORT_LIVED,
        "-cp",
        classpath,
        "Ldap",
        users(at),
        at.port("ldap"),
    ]


def command(at: Layout, java: pathlib.Path) -> list[object]:
    """The command line of the gateway."""
    home = at.home / "knox"
    properties: dict[str, object] = {
        "GATEWAY_HOME": home,
        "java.io.tmpdir": home / "tmp",
        "master.secret": MASTER,
        "log4j2.configurationFile": home / "conf/log4j2.xml",
        "com.sun.xml.bind.v2.bytecode.ClassTailor.noOptimize": "true",
    }
    if at.kerberos:  # Knox's own start script does the same with what gateway-site.xml says
        properties |= {
            "gateway.hadoop.kerberos.secured": "true",
            "javax.security.auth.useSubjectCredsOnly": "false",
            "java.security.krb5.conf": at.krb5_conf,
            "java.security.auth.login.config": home / "conf/jaas.conf",
        }
    classpath = f"{at.home}/classes/knox:{at.home}/jars/knox/*"
    given_here = (f"-D{name}={value}" for name, value in properties.items())
    options = ["-Xmx320m", "-XX:+UseSerialGC", *SECOND_COMPILER, *given_here]
    return [java / "bin/java", *options, "-cp", classpath, "Gateway"]
