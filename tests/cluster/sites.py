"""The properties of every site file of Hadoop and Oozie."""

from typing import Any

from . import kerberos
from .layout import TRACKER, USERS, Layout

Properties = dict[str, Any]

CONTROLLERS = "org.apache.hadoop.yarn.logaggregation.filecontroller"
SITES = {  # the file in which a property of --set belongs, by how its name begins
    "dfs.": "hdfs-site.xml",
    "yarn.app.mapreduce.": "mapred-site.xml",
    "mapreduce.": "mapred-site.xml",
    "yarn.scheduler.capacity.": "capacity-scheduler.xml",
    "yarn.": "yarn-site.xml",
    "oozie.": "oozie-site.xml",
    "gateway.": "gateway-site.xml",
}


def sites(at: Layout) -> dict[str, Properties]:
    """{file name: {property: value}} for Hadoop and Oozie, with Kerberos and --set in place."""
    found = {
        "core-site.xml": core(at),
        "hdfs-site.xml": hdfs(at),
        "yarn-site.xml": resource_manager(at) | node_managers(at) | log_aggregation(at),
        "mapred-site.xml": mapred(at),
        "capacity-scheduler.xml": scheduler(),
        "httpfs-site.xml": httpfs(at),
        "oozie-site.xml": oozie(at),
    }
    if at.kerberos:
        for site, properties in kerberos.sites(at).items():
            found[site] |= properties
    return {site: properties | given(at, site) for site, properties in found.items()}


def given(at: Layout, site: str) -> Properties:
    """The properties that --set gives for one file."""
    pairs = (setting.split("=", 1) for setting in at.settings)
    return {name: value for name, value in pairs if site_of(name) == site}


def site_of(name: str) -> str:
    """The file in which a property belongs."""
    found = (site for start, site in SITES.items() if name.startswith(start))
    return next(found, "core-site.xml")


def classpath(at: Layout) -> str:
    """The class path of a container."""
    return at.hadoop_classpath().replace(":", ",")


def core(at: Layout) -> Properties:
    """The file system, and the users who may act for other users."""
    groups = {
        "hdfs": "hadoop,supergroup",
        "yarn": "hadoop",
        "mapred": "hadoop",
        "oozie": "hadoop",
        "HTTP": "hadoop",
        "httpfs": "hadoop",
        "root": "root,supergroup",
        "knox": "knox",
        TRACKER: TRACKER,
        "dr.who": "nobody",
    } | dict.fromkeys(USERS, "users")
    found = {
        "fs.defaultFS": at.namenode,
        "hadoop.tmp.dir": f"{at.home}/run/tmp",
        "hadoop.user.group.static.mapping.overrides": ";".join(
            f"{user}={names}" for user, names in groups.items()
        ),
    }
    for proxy in ("oozie", "knox", "HTTP", "httpfs", TRACKER):
        found |= {f"hadoop.proxyuser.{proxy}.{what}": "*" for what in ("hosts", "groups")}
    return found


def hdfs(at: Layout) -> Properties:
    """NameNode and DataNode."""
    return {
        "dfs.replication": 1,
        "dfs.blocksize": "16m",
        "dfs.namenode.rpc-address": f"localhost:{at.port('namenode')}",
        "dfs.namenode.http-address": f"localhost:{at.port('namenode_http')}",
        "dfs.namenode.name.dir": f"file://{at.home}/run/nn",
        "dfs.namenode.safemode.extension": 0,
        "dfs.namenode.edits.noeditlogchannelflush": "true",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        # Hadoop's own, and `@`, as at sites whose users have addresses for names.
        "dfs.webhdfs.user.provider.user.pattern": "^[A-Za-z_][A-Za-z0-9._@-]*[$]?$",
        "dfs.datanode.data.dir": f"file://{at.home}/run/dn",
        "dfs.datanode.hostname": "localhost",
        "dfs.datanode.address": f"127.0.0.1:{at.port('datanode')}",
        "dfs.datanode.http.address": f"127.0.0.1:{at.port('datanode_http')}",
        "dfs.datanode.ipc.address": f"127.0.0.1:{at.port('datanode_ipc')}",
    }


def httpfs(at: Layout) -> Properties:
    """HttpFS; the gateway acts for its users there, too."""
    found = {
        "httpfs.http.hostname": "127.0.0.1",
        "httpfs.http.port": at.port("httpfs"),
        "hadoop.http.authentication.signature.secret.file": f"{at.conf()}/http-secret",
    }
    for what in ("hosts", "groups"):
        found[f"httpfs.proxyuser.knox.{what}"] = "*"
    return found


def resource_manager(at: Layout) -> Properties:
    """The ResourceManager and its resources; the short heartbeat makes tests short."""
    return {
        "yarn.resourcemanager.hostname": "localhost",
        "yarn.resourcemanager.address": f"localhost:{at.port('rm')}",
        "yarn.resourcemanager.scheduler.address": f"localhost:{at.port('rm_scheduler')}",
        "yarn.resourcemanager.resource-tracker.address": f"localhost:{at.port('rm_tracker')}",
        "yarn.resourcemanager.admin.address": f"localhost:{at.port('rm_admin')}",
        "yarn.resourcemanager.webapp.address": f"localhost:{at.port('rm_http')}",
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": 200,
        "yarn.scheduler.minimum-allocation-mb": 128,
        "yarn.scheduler.maximum-allocation-mb": 4096,
        "yarn.application.classpath": classpath(at),
        "yarn.acl.enable": str(at.yarn_acl).lower(),
        "yarn.admin.acl": "yarn",
    }


def node_managers(at: Layout) -> Properties:
    """The properties that all NodeManagers share; `node_manager` has the others."""
    nm = "yarn.nodemanager"
    disk_limit = f"{nm}.disk-health-checker.max-disk-utilization-per-disk-percentage"
    return {
        f"{nm}.resource.memory-mb": 8192,
        f"{nm}.resource.cpu-vcores": 16,
        f"{nm}.vmem-check-enabled": "false",
        f"{nm}.pmem-check-enabled": "false",
        disk_limit: "99.9",
        f"{nm}.container-monitor.interval-ms": 1000,
        f"{nm}.sleep-delay-before-sigkill.ms": 250,
        f"{nm}.env-whitelist": "JAVA_HOME,JDK_JAVA_OPTIONS,PATH,LANG",
        f"{nm}.aux-services": "mapreduce_shuffle",
        f"{nm}.aux-services.mapreduce_shuffle.class": "org.apache.hadoop.mapred.ShuffleHandler",
    }


def node_manager(at: Layout, node: int) -> Properties:
    """The ports and directories of one NodeManager."""
    suffix = "" if node == 0 else f"-{node + 1}"
    return {
        "yarn.nodemanager.hostname": "localhost",
        "yarn.nodemanager.address": f"localhost:{at.port('nm', node)}",
        "yarn.nodemanager.localizer.address": f"localhost:{at.port('nm_localizer', node)}",
        "yarn.nodemanager.webapp.address": f"localhost:{at.port('nm_http', node)}",
        "yarn.nodemanager.local-dirs": f"{at.home}/run/nm-local{suffix}",
        "yarn.nodemanager.log-dirs": f"{at.home}/run/nm-log{suffix}",
    }


def log_aggregation(at: Layout) -> Properties:
    """Where NodeManagers put the logs of ended containers, and in which format."""
    tfile = f"{CONTROLLERS}.tfile.LogAggregationTFileController"
    ifile = f"{CONTROLLERS}.ifile.LogAggregationIndexedFileController"
    aggregation = "yarn.log-aggregation"
    return {
        "yarn.log-aggregation-enable": "true",
        f"{aggregation}.retain-seconds": 86400,
        f"{aggregation}.file-formats": "TFile,IFile" if at.logs == "tfile" else "IFile,TFile",
        f"{aggregation}.file-controller.TFile.class": tfile,
        f"{aggregation}.file-controller.IFile.class": ifile,
        "yarn.nodemanager.remote-app-log-dir": "/app-logs",
        "yarn.nodemanager.remote-app-log-dir-suffix": "logs",
        "yarn.log.server.url": f"{at.url('jhs_http')}/jobhistory/logs",
        "yarn.log.server.web-service.url": f"{at.url('jhs_http')}/ws/v1/history",
    }


def mapred(at: Layout) -> Properties:
    """MapReduce, small enough for several jobs at once on a small machine."""
    return {
        "mapreduce.framework.name": "yarn",
        "mapreduce.application.classpath": classpath(at),
        "mapreduce.cluster.acls.enabled": str(at.yarn_acl).lower(),
        "mapreduce.jobhistory.address": f"localhost:{at.port('jhs')}",
        "mapreduce.jobhistory.admin.address": f"localhost:{at.port('jhs_admin')}",
        "mapreduce.jobhistory.webapp.address": f"localhost:{at.port('jhs_http')}",
        "mapreduce.jobhistory.move.interval-ms": 2000,
        "mapreduce.map.memory.mb": 384,
        "mapreduce.map.java.opts": "-Xmx256m",
        "mapreduce.reduce.memory.mb": 384,
        "mapreduce.reduce.java.opts": "-Xmx256m",
        "mapreduce.task.io.sort.mb": 16,
        "yarn.app.mapreduce.am.staging-dir": "/user",
        "yarn.app.mapreduce.am.resource.mb": 512,
        "yarn.app.mapreduce.am.command-opts": "-Xmx320m",
        "yarn.app.mapreduce.am.job.committer.commit-window": 2000,
    }


def scheduler() -> Properties:
    """One queue, mostly for application masters: Oozie starts one for every action."""
    return {
        "yarn.scheduler.capacity.root.queues": "default",
        "yarn.scheduler.capacity.root.default.capacity": 100,
        "yarn.scheduler.capacity.root.default.state": "RUNNING",
        "yarn.scheduler.capacity.maximum-am-resource-percent": "0.8",
    }


def oozie(at: Layout) -> Properties:
    """Oozie with a database in memory; its frequent checks make tests short."""
    service = "oozie.service"
    acl = str(at.oozie_acl).lower()
    found = {
        "oozie.system.id": "oozie-test",
        "oozie.base.url": f"{at.url('oozie')}/oozie",
        "oozie.http.hostname": "127.0.0.1",
        "oozie.http.port": at.port("oozie"),
        f"{service}.HadoopAccessorService.hadoop.configurations": f"*={at.home}/conf",
        f"{service}.WorkflowAppService.system.libpath": f"{at.namenode}/user/oozie/share/lib",
        f"{service}.JPAService.create.db.schema": "true",
        f"{service}.JPAService.jdbc.driver": "org.apache.derby.jdbc.EmbeddedDriver",
        f"{service}.JPAService.jdbc.url": "jdbc:derby:memory:oozie;create=true",
        f"{service}.ActionCheckerService.action.check.interval": 5,
        f"{service}.ActionCheckerService.action.check.delay": 10,
        f"{service}.StatusTransitService.statusTransit.interval": 2,  # of coordinators and bundles
        f"{service}.AuthorizationService.authorization.enabled": acl,
        f"{service}.AuthorizationService.security.enabled": acl,
        "oozie.launcher.default.memory.mb": 512,
        "oozie.launcher.default.max.attempts": 1,
        "oozie.authentication.type": "simple",
        "oozie.authentication.simple.anonymous.allowed": "true",
    }
    for proxy in ("knox", "oozie", TRACKER):
        start = f"{service}.ProxyUserService.proxyuser.{proxy}"
        found |= {f"{start}.{what}": "*" for what in ("hosts", "groups")}
    return found
