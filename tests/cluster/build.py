"""Fetches the jars with Maven and compiles the few Java sources, unless that is done already."""

import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Iterable

from .layout import HADOOP, HERE
from .machine import Failure, attempt, run, say

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
SERVICES = "META-INF/services/"
SOURCES = (  # sources, directory of the classes, jars on the class path
    (("Core", "Kdc", "Manager"), "hadoop", "hadoop"),
    (("Gateway", "Ldap"), "knox", "knox"),
    (("secure/SecureIOUtils",), "secure", "hadoop"),
)


def build(home: pathlib.Path, java: pathlib.Path, shared: pathlib.Path) -> None:
    """Makes `jars`, `classes` and Knox's service definitions below the cluster's directory.

    Jars and classes are made in a directory that several clusters may share, one at a time.
    """
    shared.mkdir(parents=True, exist_ok=True)
    with (shared / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make(shared, java)
    for name in ("jars", "classes"):
        link(home / name, shared / name)
    unpack_service_definitions(home)


def make(place: pathlib.Path, java: pathlib.Path) -> None:
    """Makes `jars` and `classes`."""
    for name in ("hadoop", "oozie", "knox"):
        fetch(place, java, name)
    merge(place / "jars/hadoop", place / HADOOP)
    for names, target, jars in SOURCES:
        compile_sources(place, java, [HERE / f"src/{name}.java" for name in names], target, jars)
    # Hadoop's web servers need these resource directories, which only the jars of its tests have
    for name in ("hdfs", "datanode"):
        (place / "classes/hadoop/webapps" / name).mkdir(parents=True, exist_ok=True)


def link(path: pathlib.Path, target: pathlib.Path) -> None:
    """Makes a path lead to a directory, unless it is that directory."""
    if path.resolve() == target:
        return
    if path.is_symlink():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)  # of a cluster that had its own
    path.symlink_to(target)


def digest(sources: Iterable[pathlib.Path]) -> str:
    """Tells whether a result was made from exactly these sources."""
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def is_made_of(mark: pathlib.Path, made_of: str) -> bool:
    """Whether the mark of the last complete build names these sources."""
    return mark.exists() and mark.read_text() == made_of


def fetch(home: pathlib.Path, java: pathlib.Path, name: str) -> None:
    """Copies the jars of a pom out of Maven's local repository, which Maven fills when needed."""
    pom, target = HERE / name / "pom.xml", home / "jars" / name
    mark, made_of = target / ".made-of", digest([pom])
    if is_made_of(mark, made_of):
        return
    if not shutil.which("mvn"):
        raise Failure("no mvn: install Maven (Debian: maven)")
    say(f"fetching the jars of {name}")
    shutil.rmtree(target, ignore_errors=True)
    environment = os.environ | {"JAVA_HOME": str(java)}
    command = ["mvn", "-B", "-q", "-f", pom, COPY, f"-DoutputDirectory={target}"]
    # Accept a jar in the local repository whatever mirror it came from: without this property,
    # Maven refuses a jar that came from another mirror than the present one.
    if attempt([*command, "-o", "-Dmaven.legacyLocalRepo=true"], environment).returncode:
        shutil.rmtree(target, ignore_errors=True)
        failure = f"Maven could not fetch the jars of {name}"
        run(command, failure, home, environment)
    mark.write_text(made_of)


def merge(jars: pathlib.Path, target: pathlib.Path) -> None:
    """Merges jars into one without compression, with which Java programs start a third faster.

    Of equal names the first one counts, as on a class path; lists of services are joined.
    """
    mark, made_of = target.with_suffix(".made-of"), (jars / ".made-of").read_text()
    if is_made_of(mark, made_of):
        return
    say(f"merging the jars of {jars.name}")
    target.with_suffix(".jsa").unlink(missing_ok=True)  # the archive of the classes that were in it
    services: dict[str, list[bytes]] = {}
    with zipfile.ZipFile(target, "w") as merged:
        for path in sorted(jars.glob("*.jar")):
            with zipfile.ZipFile(path) as jar:
                for name in jar.namelist():
                    if name.startswith(SERVICES) and name != SERVICES:
                        services.setdefault(name, []).append(jar.read(name))
                    elif not (name in merged.NameToInfo or is_of_one_jar(name)):
                        merged.writestr(name, jar.read(name))
        for name, lists in services.items():
            merged.writestr(name, b"\n".join(lists))
    mark.write_text(made_of)


def is_of_one_jar(name: str) -> bool:
    """Whether a file tells of its own jar: the manifest and the signatures."""
    return re.fullmatch(r"META-INF/(MANIFEST\.MF|.*\.(SF|RSA|DSA))", name) is not None


def compile_sources(
    home: pathlib.Path, java: pathlib.Path, files: list[pathlib.Path], target: str, jars: str
) -> None:
    """Compiles files into `classes/<target>`, with `jars/<jars>` on the class path."""
    directory = home / "classes" / target
    mark, made_of = directory / ".made-of", digest(files)
    if is_made_of(mark, made_of):
        return
    directory.mkdir(parents=True, exist_ok=True)
    command = [java / "bin/javac", "-nowarn", "-cp", f"{home}/jars/{jars}/*", "-d", directory]
    run([*command, *files], f"javac failed for {target}", home, dict(os.environ))
    mark.write_text(made_of)


def unpack_service_definitions(home: pathlib.Path) -> None:
    """Knox reads how to rewrite each service from files, not from the jar that has them."""
    data = home / "knox/data"
    mark = data / "services/.made-of"
    source = next((home / "jars/knox").glob("gateway-service-definitions-*.jar"))
    if is_made_of(mark, source.name):
        return
    shutil.rmtree(data / "services", ignore_errors=True)
    with zipfile.ZipFile(source) as jar:
        jar.extractall(data, [name for name in jar.namelist() if name.startswith("services/")])
    mark.write_text(source.name)
