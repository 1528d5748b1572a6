"""The grammar of a file of checks: each key with its meaning, each fault with its line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import time
from functools import partial
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from tracker_service import regex
from tracker_service.checks.check import BusPut, Check, HttpPost, Request, SelfReport, shown_url
from tracker_service.checks.schedule import Schedule, duration_s
from tracker_service.checks.values import OPERATORS, AnyPath, SuccessTest, path_of
from tracker_service.domain.subscriptions import QuietHours

SELF = "self"
_CLOUDWATCH = "aws-cloudwatch"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST = re.compile(
    r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?)(:[0-9]{1,5})?"
)
_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LONGEST_NAME = 255
_LONGEST_TIMEOUT_S = 300.0
_MOST_RETRIES = 10
_MOST_RUNS = 1000
_POST_KEYS = ("post_endpoint", "post_api_key", "post_json_info")
_BUS_KEYS = (
    *("aws_key", "aws_secret", "aws_region", "aws_endpoint_url", "event_bus"),
    *("data_detail_type", "data_source", "data_resources", "data_details_json"),
)


class BadCheck(Exception):
    """A check that breaks a rule of the grammar."""

    def __init__(self, rule: str, line: int, message: str) -> None:
        super().__init__(message)
        self.rule, self.line, self.message = rule, line, message


@dataclass(frozen=True, slots=True)
class Secrets:
    """Finds secrets: `${NAME}` is a variable of the environment, `secret:NAME` a file."""

    directory: FilePath | None = None

    def resolve(self, text: str) -> str:
        """Return a text with its secrets.

        Raises:
            ValueError: one is not there; its name is said, never its value.
        """
        if text.startswith("secret:"):
            return self._in_file(text.removeprefix("secret:"))

        def variable(found: re.Match[str]) -> str:
            if found[1] not in os.environ:
                raise ValueError(f"the variable {found[1]} is not set")
            return os.environ[found[1]]

        return _ENV.sub(variable, text)

    def _in_file(self, name: str) -> str:
        if self.directory is None or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
            raise ValueError(f"secret:{name}: name a file in checks.secrets_directory")
        try:
            return (self.directory / name).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"secret:{name}: it cannot be read") from error


class _Keys:
    """The keys of one mapping, each taken once; what nobody takes is a fault."""

    def __init__(self, where: str, value: Any, line: int) -> None:  # noqa: ANN401 (of YAML)
        if not isinstance(value, Mapping):
            raise BadCheck("type", line, f"{where}: write keys below it, as `cron_schedule:`")
        self.where, self._value, self._line = where, value, line
        self._lines: Mapping[str, int] = getattr(value, "lines", {})
        self._left = dict.fromkeys(value)

    def line(self, key: str) -> int:
        return self._lines.get(key, self._line)

    def fault(self, rule: str, key: str, message: str) -> BadCheck:
        return BadCheck(rule, self.line(key), f"{self.where}: {key}: {message}")

    def has(self, key: str) -> bool:
        return key in self._value

    def any(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 (of YAML)
        self._left.pop(key, None)
        return self._value.get(key, default)

    def required(self, key: str) -> Any:  # noqa: ANN401 (of YAML)
        if not self.has(key):
            raise BadCheck("missing", self._line, f"{self.where}: {key} is missing")
        return self.any(key)

    def text(self, key: str, default: str | None = None) -> str | None:
        value = self.any(key, default)
        if value is None and not self.has(key):
            return None
        if not isinstance(value, str):
            raise self.fault("type", key, f"{value!r} is no text; put it in quotes")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.any(key, default)
        if not isinstance(value, bool):
            raise self.fault("type", key, f"{value!r} is neither true nor false")
        return value

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self.any(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.fault("range", key, f"{value!r} is no whole number from {least} to {most}")
        return value

    def seconds(self, key: str, default: float, most: float) -> float:
        try:
            value = duration_s(self.any(key, default))
        except ValueError as error:
            raise self.fault("duration", key, str(error)) from error
        if not 0 <= value <= most:
            raise self.fault("range", key, f"it is from 0 to {most:g} seconds")
        return value

    def one_of(self, key: str, default: str, known: Iterable[str]) -> str:
        value = self.any(key, default)
        if value not in known:
            raise self.fault("choice", key, f"{value!r} is none of {', '.join(known)}")
        return str(value)

    def tried(self, rule: str, key: str, read: Callable[[], Any]) -> Any:  # noqa: ANN401
        try:
            return read()
        except ValueError as error:
            raise self.fault(rule, key, str(error)) from error

    def end(self) -> None:
        for key in self._left:
            raise self.fault("unknown", key, "there is no such key")


def check_of(
    key: str,
    value: Any,  # noqa: ANN401 (of YAML)
    line: int,
    secrets: Secrets,
) -> Check | None:
    """Read one check.

    Args:
        key: the endpoint: `host[:port][/path][?query]`, or a URL.
        line: where it stands.

    Returns:
        None if it is not enabled.

    Raises:
        BadCheck: it breaks a rule.
    """
    shown = shown_url(key)
    keys = _Keys(shown, value, line)
    is_enabled = keys.flag("enabled", True)
    name = keys.text("name") or shown
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise keys.fault("name", "name", f"it has 1 to {_LONGEST_NAME} printable characters")
    check = Check(
        name=name,
        request=_request(key, keys, secrets),
        schedule=_schedule(keys),
        statuses=_statuses(keys),
        values=_extracted(keys),
        tests=tuple(_tests(keys)),
        retries=keys.number("retries", 0, 0, _MOST_RETRIES),
        failures_in_a_row=keys.number("failures_in_a_row", 2, 1, _MOST_RUNS),
        successes_in_a_row=keys.number("successes_in_a_row", 1, 1, _MOST_RUNS),
        **_missed(keys),
        jitter_s=keys.seconds("jitter", 0, 3600) if keys.has("jitter") else None,
        maintenance=tuple(_maintenance(keys)),
        tags=_texts(keys, "tags"),
        post_on=keys.one_of("post_on", "success", ("success", "failure", "change", "always")),
        post=_post(keys, secrets),
        put=_put(keys, secrets, shown),
    )
    keys.end()
    return check if is_enabled else None


def self_of(value: Any, line: int, secrets: Secrets) -> SelfReport:  # noqa: ANN401 (of YAML)
    """Read the reserved key `self`.

    Raises:
        BadCheck: it breaks a rule.
    """
    keys = _Keys(SELF, value, line)
    report = SelfReport(post=_post(keys, secrets), put=_put(keys, secrets, "watcher"))
    keys.end()
    if report.post is None and report.put is None:
        raise BadCheck("missing", line, "self: post_endpoint or post_service is missing")
    return report


def _request(key: str, keys: _Keys, secrets: Secrets) -> Request:
    headers = _headers(keys, secrets)
    method = keys.one_of("method", "GET", _METHODS)
    body = keys.text("body")
    ca_file = keys.text("ca_file")
    if ca_file and not os.access(ca_file, os.R_OK):
        raise keys.fault("file", "ca_file", f"{ca_file} cannot be read")
    return Request(
        url=_url(key, keys),
        method=method,
        headers=headers,
        body=keys.tried("secret", "body", lambda: secrets.resolve(body)) if body else body,
        timeout_s=keys.seconds("timeout", 10.0, _LONGEST_TIMEOUT_S) or 10.0,
        verify=keys.flag("verify", True),
        ca_file=ca_file,
        follows_redirects=keys.flag("follow_redirects", True),
    )


def _url(key: str, keys: _Keys) -> str:
    scheme = keys.one_of("scheme", "http", ("http", "https")) if keys.has("scheme") else None
    if "://" in key:
        written = key.partition("://")[0]
        if written not in ("http", "https"):
            raise BadCheck(
                "endpoint", keys.line(""), f"{keys.where}: it begins with http:// or https://"
            )
        if scheme not in (None, written):
            raise keys.fault("scheme", "scheme", f"the endpoint itself says {written}")
        url = key
    else:
        url = f"{scheme or 'http'}://{key}"
    try:
        parts = urlsplit(url)
        is_good = bool(_HOST.fullmatch(parts.netloc)) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isprintable() or " " in url:
        message = f"{keys.where}: it is no endpoint such as www.example.com:8080/health"
        raise BadCheck("endpoint", keys.line(""), message)
    return url


def _headers(keys: _Keys, secrets: Secrets) -> tuple[tuple[str, str], ...]:
    found = keys.any("headers", {})
    if not isinstance(found, Mapping):
        raise keys.fault("type", "headers", "write a name and a value a line")
    headers = []
    for name, value in found.items():
        if not _TOKEN.fullmatch(name):
            raise keys.fault("header", "headers", f"{name!r} is no name of a header")
        text = keys.tried("secret", "headers", partial(secrets.resolve, str(value)))
        if not text.isprintable():
            raise keys.fault("header", "headers", f"the value of {name} is not printable")
        headers.append((name, text))
    return tuple(headers)


def _schedule(keys: _Keys) -> Schedule:
    cron = keys.required("cron_schedule")
    if not isinstance(cron, str):
        raise keys.fault("type", "cron_schedule", f"{cron!r} is no text; put it in quotes")
    zone = keys.text("timezone", "UTC") or "UTC"
    found = keys.tried("cron", "cron_schedule", lambda: Schedule.of(cron, zone))
    assert isinstance(found, Schedule)  # noqa: S101 (for the types)
    return found


def _statuses(keys: _Keys) -> tuple[range, ...]:
    found = keys.any("status_code", "200-299")
    ranges = []
    for each in found if isinstance(found, list) else [found]:
        match = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", str(each))
        if not match:
            raise keys.fault(
                "status", "status_code", f"{each!r} is no status such as 200 or 200-299"
            )
        ranges.append(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(ranges)


def _extracted(keys: _Keys) -> tuple[tuple[str, AnyPath], ...]:
    found = keys.any("response_json_values", [])
    if not isinstance(found, list):
        raise keys.fault("type", "response_json_values", "write a list of names")
    pairs = []
    for each in found:
        named = each if isinstance(each, Mapping) and len(each) == 1 else {str(each): each}
        [(name, path)] = named.items()
        pairs.append((name, keys.tried("path", "response_json_values", partial(_path, path))))
    return tuple(pairs)


def _path(value: Any) -> AnyPath:  # noqa: ANN401 (of YAML)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no name or path")
    return path_of(value)


def _tests(keys: _Keys) -> Iterable[SuccessTest]:
    found = keys.any("success_test", [])
    for each in found if isinstance(found, list) else [found]:
        where = f"{keys.where}: success_test"
        test = _Keys(where, each, keys.line("success_test"))
        op = test.one_of("op", "eq", tuple(OPERATORS))
        path = test.tried("path", "key", partial(_path, test.required("key")))
        value = test.any("value") if op == "exists" else test.required("value")
        if op == "in" and not isinstance(value, list):
            raise test.fault("type", "value", "write a list of values")
        if op == "regex":
            try:
                regex.exact(str(value).encode())
            except regex.BadPattern as error:
                raise test.fault(
                    "regex", "value", f"no expression of RE2: {error.reason}"
                ) from error
        coerce = test.flag("coerce", False)
        test.end()
        yield SuccessTest(path=path, op=op, value=value, coerce=coerce)


def _missed(keys: _Keys) -> dict[str, Any]:
    found = keys.any("on_missed", "run_once")
    policy, most = re.fullmatch(r"(\w*)(?:\((\d{1,6})\))?", str(found)), 100
    if policy and policy[1] in ("skip", "run_once", "run_all"):
        if policy[2]:
            most = int(policy[2])
        if 0 < most <= _MOST_RUNS and (policy[1] == "run_all" or not policy[2]):
            return {"on_missed": policy[1], "most_missed": most}
    raise keys.fault(
        "choice", "on_missed", f"{found!r} is none of skip, run_once, run_all(1 to {_MOST_RUNS})"
    )


def _maintenance(keys: _Keys) -> Iterable[QuietHours]:
    found = keys.any("maintenance", [])
    for each in found if isinstance(found, list) else [found]:
        window = _Keys(f"{keys.where}: maintenance", each, keys.line("maintenance"))
        begin, end = (
            window.tried("time", name, partial(_time, window.required(name)))
            for name in ("begin", "end")
        )
        zone = window.text("zone", "UTC") or "UTC"
        window.tried("zone", "zone", partial(Schedule.of, "@daily", zone))
        window.end()
        yield QuietHours(begin=begin, end=end, zone=ZoneInfo(zone))


def _time(value: object) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", str(value)):
        raise ValueError(f"{value!r} is no time such as 02:30")
    return time.fromisoformat(str(value))


def _texts(keys: _Keys, key: str) -> tuple[str, ...]:
    found = keys.any(key, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise keys.fault("type", key, "write a list of texts")
    return tuple(found)


def _post(keys: _Keys, secrets: Secrets) -> HttpPost | None:
    url = keys.text("post_endpoint")
    if url is None:
        for key in _POST_KEYS:
            if keys.has(key):
                raise keys.fault("missing", key, "it needs post_endpoint beside it")
        return None
    _check_url(keys, "post_endpoint", url)
    parameter, header = _api_key(keys, secrets)
    body = keys.any("post_json_info")
    if body is not None and not isinstance(body, Mapping):
        raise keys.fault("type", "post_json_info", "write keys below it, the JSON that is posted")
    return HttpPost(url=url, parameter=parameter, header=header, body=body)


def _check_url(keys: _Keys, key: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(_HOST.fullmatch(parts.netloc))
        is_good = is_good and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or " " in url:
        raise keys.fault("url", key, f"{url!r:.100} is no URL with http:// or https://")


def _api_key(
    keys: _Keys, secrets: Secrets
) -> tuple[tuple[str, str] | None, tuple[str, str] | None]:
    if not keys.has("post_api_key"):
        return None, None
    where = f"{keys.where}: post_api_key"
    key = _Keys(where, keys.any("post_api_key"), keys.line("post_api_key"))

    def pair(kind: str) -> tuple[str, str] | None:
        if not key.has(f"{kind}_name") and not key.has(f"{kind}_value"):
            return None
        name, value = key.required(f"{kind}_name"), key.required(f"{kind}_value")
        if kind == "header" and not _TOKEN.fullmatch(str(name)):
            raise key.fault("header", "header_name", f"{name!r} is no name of a header")
        return str(name), key.tried("secret", f"{kind}_value", lambda: secrets.resolve(str(value)))

    parameter, header = pair("param"), pair("header")
    key.end()
    if parameter is None and header is None:
        raise keys.fault("missing", "post_api_key", "param_name and param_value are missing")
    return parameter, header


def _put(keys: _Keys, secrets: Secrets, source: str) -> BusPut | None:
    service = keys.any("post_service")
    own = keys
    if isinstance(service, Mapping):
        own = _Keys(f"{keys.where}: post_service", service, keys.line("post_service"))
        service = own.required("name")
    if service is None:
        for key in _BUS_KEYS:
            if keys.has(key):
                raise keys.fault("missing", key, "it needs post_service beside it")
        return None
    if service != _CLOUDWATCH:
        raise keys.fault(
            "choice", "post_service", f"{service!r} is not known; there is {_CLOUDWATCH}"
        )
    found = {key: _either(own, keys, key) for key in _BUS_KEYS}
    if own is not keys:
        own.end()
    return _bus(keys, secrets, source, found)


def _either(own: _Keys, keys: _Keys, key: str) -> Any:  # noqa: ANN401 (of YAML)
    return own.any(key) if own.has(key) else keys.any(key)


def _bus(keys: _Keys, secrets: Secrets, source: str, found: Mapping[str, Any]) -> BusPut:
    for key in (*_BUS_KEYS[:7],):
        if found[key] is not None and not isinstance(found[key], str):
            raise keys.fault("type", key, f"{found[key]!r} is no text; put it in quotes")
    named = found["data_source"] or source
    if named.startswith("aws."):
        raise keys.fault("source", "data_source", "aws. is for Amazon's own sources")
    if (found["aws_key"] is None) != (found["aws_secret"] is None):
        raise keys.fault("missing", "aws_key", "set aws_key and aws_secret, or neither")
    if found["aws_endpoint_url"]:
        _check_url(keys, "aws_endpoint_url", found["aws_endpoint_url"])
    resources = found["data_resources"] or []
    if not isinstance(resources, list):
        raise keys.fault("type", "data_resources", "write a list of texts")

    def secret(key: str) -> str | None:
        text = found[key]
        return keys.tried("secret", key, lambda: secrets.resolve(text)) if text else None

    return BusPut(
        region=found["aws_region"] or "us-east-1",
        key=secret("aws_key"),
        secret=secret("aws_secret"),
        endpoint_url=found["aws_endpoint_url"],
        bus=found["event_bus"] or "default",
        source=named,
        detail_type=found["data_detail_type"] or "check",
        resources=tuple(map(str, resources)),
        detail=_details(keys, found["data_details_json"]),
    )


def _details(keys: _Keys, value: Any) -> Any:  # noqa: ANN401 (of YAML)
    """Return the detail of an event, which the note writes as a list of mappings with one key."""
    if value is None or isinstance(value, Mapping):
        return value
    is_list = isinstance(value, list) and all(isinstance(each, Mapping) for each in value)
    if not is_list:
        raise keys.fault("type", "data_details_json", "write keys and values below it")
    return {key: each[key] for each in value for key in each}
