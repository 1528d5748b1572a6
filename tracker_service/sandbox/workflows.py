"""Reads what a client submits: the configuration and the workflow's XML."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tracker_service.sandbox.jobs import NAME_NODE, RESOURCE_MANAGER, Definition

NOTIFICATION_URL = "oozie.wf.workflow.notification.url"

_EXPRESSION = re.compile(r"\$\{\s*(?:wf:conf\(\s*['\"]([^'\"]+)['\"]\s*\)|([A-Za-z_][\w.]*))\s*}")

_FUNCTION = re.compile(r"\$\{\s*(\w+:\w+)\(")


class MalformedXmlError(Exception):
    """The text is no XML of the kind that is due."""


class UnresolvedNameError(Exception):
    """The workflow's name uses what Oozie cannot know before the workflow runs."""


class UnresolvedVariableError(Exception):
    """The workflow uses a variable that the configuration lacks."""


def read_configuration(data: bytes) -> dict[str, str]:
    """Return the properties of a Hadoop configuration."""
    root = _parsed(data)
    return {
        (entry.findtext("name") or "").strip(): (entry.findtext("value") or "").strip()
        for entry in root.iter("property")
    }


def submitted_configuration(sent: dict[str, str], user: str) -> dict[str, str]:
    """Return the configuration as it reaches Oozie: the gateway decides user and addresses."""
    path = hdfs_path(sent.get("oozie.wf.application.path", ""))
    return sent | {
        "oozie.wf.application.path": NAME_NODE + path if path else "",
        "user.name": user,
        "mapreduce.job.user.name": user,
        "resourceManager": RESOURCE_MANAGER,
        "nameNode": NAME_NODE,
    }


def usual_configuration(
    user: str, name: str, path: str = "oozie.wf.application.path"
) -> dict[str, str]:
    """Return the configuration of a job that nobody has submitted."""
    return {
        path: f"{NAME_NODE}/user/{user}/{name}",
        "user.name": user,
        "mapreduce.job.user.name": user,
        "resourceManager": "localhost:8032",
        "nameNode": NAME_NODE,
    }


def write_configuration(properties: dict[str, str]) -> str:
    """Return the XML that Oozie shows as ``conf``."""
    entries = "".join(
        "  <property>\r\n"
        f"    <name>{escape(name)}</name>\r\n    <value>{escape(value)}</value>\r\n"
        "  </property>\r\n"
        for name, value in properties.items()
    )
    return f"<configuration>\r\n{entries}</configuration>"


def hdfs_path(value: str) -> str:
    """Return the path of a value that may carry a scheme and a name node."""
    return urlsplit(value).path if "://" in value else value


def read_workflow(data: bytes, properties: dict[str, str]) -> Definition:
    """Return what the workflow's first action does.

    Raise UnresolvedNameError where the workflow's name cannot be known, and
    UnresolvedVariableError where the configuration lacks a variable of the action.
    """
    root = _parsed(data)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    action = root.find("action")
    name = _name(root.get("name", ""), properties)
    if action is None:
        return Definition(name=name)
    return Definition(
        name=name,
        action=action.get("name", ""),
        executable=_substituted(action.findtext("shell/exec") or "", properties).strip(),
        arguments=tuple(
            _substituted(argument.text or "", properties).strip()
            for argument in action.findall("shell/argument")
        ),
        ok_to=_target(action.find("ok")),
        error_to=_target(action.find("error")),
    )


def _parsed(data: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(data)  # noqa: S314 - one's own workflows, on loopback
    except ElementTree.ParseError as exc:
        raise MalformedXmlError(str(exc)) from exc


def _name(text: str, properties: dict[str, str]) -> str:
    """Return the workflow's name, in which there may be variables but no functions."""
    if function := _FUNCTION.search(text):
        raise UnresolvedNameError(f"Function [{function[1]}] not found")
    try:
        return _substituted(text, properties)
    except UnresolvedVariableError as exc:
        raise UnresolvedNameError(str(exc)) from exc


def _substituted(text: str, properties: dict[str, str]) -> str:
    return _EXPRESSION.sub(_value_in(properties), text)


def _value_in(properties: dict[str, str]) -> Callable[[re.Match[str]], str]:
    def value(match: re.Match[str]) -> str:
        by_function, by_name = match.groups()
        if by_function is not None:
            return properties.get(by_function, "")
        if by_name not in properties:
            raise UnresolvedVariableError(f"variable [{by_name}] cannot be resolved")
        return properties[by_name]

    return value


def _target(element: ElementTree.Element | None) -> str:
    return "" if element is None else element.get("to", "")
