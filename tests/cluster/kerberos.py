"""The additional configuration with Kerberos, when every daemon logs in to a KDC."""

from typing import Any

from .layout import REALM, TRACKER, USERS, Layout

RULES = f"RULE:[2:$1@$0](.*@{REALM})s/@.*//\nDEFAULT"
SERVICES = ("hdfs", "yarn", "mapred", "HTTP", "oozie", "knox", TRACKER)
PROXY_FILTER = (  # the initializer that understands doAs=; the plain one ignores it
    "org.apache.hadoop.security.authentication.server.ProxyUserAuthenticationFilterInitializer"
)


def principal(user: str) -> str:
    """The principal of a daemon."""
    return f"{user}/localhost@{REALM}"


def principals() -> list[str]:
    """All principals of the KDC, without the realm."""
    return [*(f"{name}/localhost" for name in SERVICES), *USERS]


def sites(at: Layout) -> dict[str, dict[str, Any]]:
    """{file name: {property: value}}."""
    yarn: dict[str, Any] = {}
    mapred: dict[str, Any] = {}
    for start, site, user in (
        ("yarn.resourcemanager", yarn, "yarn"),
        ("yarn.nodemanager", yarn, "yarn"),
        ("mapreduce.jobhistory", mapred, "mapred"),
    ):
        site |= {
            f"{start}.principal": principal(user),
            f"{start}.keytab": at.keytab,
            f"{start}.webapp.spnego-principal": principal("HTTP"),
            f"{start}.webapp.spnego-keytab-file": at.keytab,
        }
    return {
        "core-site.xml": core(at),
        "hdfs-site.xml": hdfs(at),
        "yarn-site.xml": yarn,
        "mapred-site.xml": mapred,
        "oozie-site.xml": oozie(at),
    }


def core(at: Layout) -> dict[str, Any]:
    """How principals map to users, for all daemons and their web servers."""
    return {
        "hadoop.security.authentication": "kerberos",
        "hadoop.security.authorization": "false",
        "hadoop.security.auth_to_local": RULES,
        "hadoop.rpc.protection": "authentication",
        "ignore.secure.ports.for.testing": "true",
        "hadoop.http.authentication.type": "kerberos",
        "hadoop.http.authentication.simple.anonymous.allowed": "false",
        "hadoop.http.authentication.kerberos.principal": principal("HTTP"),
        "hadoop.http.authentication.kerberos.keytab": at.keytab,
        "hadoop.http.authentication.signature.secret.file": at.home / "conf/http-secret",
        "hadoop.http.filter.initializers": PROXY_FILTER,
    }


def hdfs(at: Layout) -> dict[str, Any]:
    """NameNode and DataNode."""
    found = {
        "dfs.block.access.token.enable": "true",
        "ignore.secure.ports.for.testing": "true",
        "dfs.namenode.kerberos.internal.spnego.principal": principal("HTTP"),
        "dfs.web.authentication.kerberos.principal": principal("HTTP"),
        "dfs.web.authentication.kerberos.keytab": at.keytab,
    }
    for daemon in ("namenode", "datanode"):
        found[f"dfs.{daemon}.kerberos.principal"] = principal("hdfs")
        found[f"dfs.{daemon}.keytab.file"] = at.keytab
    return found


def oozie(at: Layout) -> dict[str, Any]:
    """Oozie as a client of Hadoop and as a server."""
    return {
        "local.realm": REALM,
        "oozie.service.HadoopAccessorService.kerberos.enabled": "true",
        "oozie.service.HadoopAccessorService.kerberos.principal": principal("oozie"),
        "oozie.service.HadoopAccessorService.keytab.file": at.keytab,
        "oozie.authentication.type": "kerberos",
        "oozie.authentication.kerberos.principal": principal("HTTP"),
        "oozie.authentication.kerberos.keytab": at.keytab,
        "oozie.authentication.kerberos.name.rules": RULES,
    }


def gateway_login(at: Layout) -> str:
    """The JAAS file with which the gateway logs in."""
    return (
        "com.sun.security.jgss.initiate {\n"
        "  com.sun.security.auth.module.Krb5LoginModule required\n"
        "  useKeyTab=true storeKey=true useTicketCache=false doNotPrompt=true renewTGT=false\n"
        f'  keyTab="{at.keytab}" principal="{principal("knox")}";\n'
        "};\n"
    )
