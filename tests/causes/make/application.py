"""Puts a workflow application together: its workflow, its jar, its files."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

from tests.causes.make.plan import HERE, Plan

MAGIC_BYTES = 6  #: of a class file, after which its major version stands in two


def files_of(plan: Plan, classpath: str) -> dict[str, bytes]:
    """Return the files of an application, by their path in it.

    Args:
        classpath: with which its Java sources are compiled.

    Raises:
        subprocess.CalledProcessError: they do not compile.
    """
    found = {name: file.read_bytes() for name, file in plan.shipped.items()}
    if "workflow.xml" not in found:
        found["workflow.xml"] = workflow(plan).encode()
    if plan.sources:
        with TemporaryDirectory() as directory:
            found[f"lib/{plan.app}.jar"] = jar(plan, classpath, Path(directory))
    return found


def workflow(plan: Plan) -> str:
    """Return the workflow of a plan that has none of its own."""
    tag = "arg" if plan.main else "argument"
    values = {
        "name": plan.app,
        "action": plan.action,
        "exec": plan.exec,
        "main": plan.main,
        "args": "".join(f"<{tag}>{escape(value)}</{tag}>" for value in plan.args),
        "files": "".join(f"<file>{name}</file>" for name in plan.shipped),
    }
    text = (HERE / "templates" / ("java.xml" if plan.main else "shell.xml")).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def jar(plan: Plan, classpath: str, directory: Path) -> bytes:
    """Compile the sources of a plan, and return their jar."""
    classes = directory / "classes"
    command = ["javac", "-nowarn", "-cp", classpath, "-d", str(classes), *map(str, plan.sources)]
    subprocess.run(command, check=True, timeout=120)
    with zipfile.ZipFile(directory / "a.jar", "w") as archive:
        for file in sorted(classes.rglob("*.class")):
            name = str(file.relative_to(classes))
            if name not in plan.without:
                archive.writestr(name, versioned(file.read_bytes(), plan.class_version))
    return (directory / "a.jar").read_bytes()


def versioned(code: bytes, version: int | None) -> bytes:
    """Return a class file that says it was compiled for another Java."""
    if version is None:
        return code
    return code[:MAGIC_BYTES] + version.to_bytes(2, "big") + code[MAGIC_BYTES + 2 :]
