"""Post the result of a run: events for the outbox, and the subscriptions that lead them out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tracker_service.checks.check import BusPut, Check, HttpPost, SelfReport, shown_url
from tracker_service.checks.probe import Probe, built_ins
from tracker_service.checks.state import CheckState, Standing
from tracker_service.checks.values import Filling
from tracker_service.domain.events import CHECK_POST, SITE, CheckEventType, Event
from tracker_service.domain.subscriptions import CHECKS_OWNER
from tracker_service.identities.keys import KeyRing

SELF = "self"
_LONGEST_NAME = 240  #: characters of a check's name in the name of its subscription


def is_posted(check: Check, before: Standing, after: Standing, *, is_ok: bool) -> bool:
    """Tell whether a run is posted."""
    if check.post is None and check.put is None:
        return False
    has_changed = before.state != after.state
    return {"success": is_ok, "failure": not is_ok, "change": has_changed, "always": True}[
        check.post_on
    ]


def values_of(check: Check, found: Probe, at: datetime, worker: str) -> dict[str, Any]:
    """Return what templates may name."""
    return {
        **built_ins(found),
        "endpoint": check.name,
        "url": shown_url(check.request.url),
        "ok": found.is_ok,
        "error": found.error,
        "checked_at": at.isoformat(),
        "worker": worker,
        **found.values,
    }


def events_of(
    name: str, target: Check | SelfReport, values: Mapping[str, Any], at: datetime
) -> Iterator[Event]:
    """Yield what is posted; whatever leads out is a subscription of its own."""
    if target.post:
        body = Filling(values).fill(target.post.body or {})
        yield _event(f"{name[:_LONGEST_NAME]}#post", {"body": body}, at)
    if target.put:
        detail = Filling(values).fill(target.put.detail or dict(values))
        yield _event(f"{name[:_LONGEST_NAME]}#put", {"body": detail}, at)


def _event(subject: str, data: Mapping[str, Any], at: datetime) -> Event:
    return Event(type=CHECK_POST, subject=subject, time=at, data=data, owner=CHECKS_OWNER)


def change_event(
    check: Check, before: Standing, after: Standing, found: Probe, at: datetime
) -> Event:
    """Return the event that tells of a change of state."""
    is_down = after.state == CheckState.DOWN
    data = {
        "check": check.name,
        "url": shown_url(check.request.url),
        "state": after.state,
        "before": before.state,
        "since": before.since.isoformat(),
        "status": found.status,
        "error": found.error,
        **({"message": found.error} if is_down else {}),
        "tags": list(check.tags),
    }
    kind = CheckEventType.FAILED if is_down else CheckEventType.RECOVERED
    return Event(type=kind, subject=check.name, time=at, data=data, owner=SITE)


def sinks_of(
    name: str, target: Check | SelfReport, key_ring: KeyRing
) -> dict[str, Mapping[str, Any]]:
    """Return the sinks that the results of a check go to, their settings encrypted, by names."""
    found: dict[str, Mapping[str, Any]] = {}
    if target.post:
        text = json.dumps(_post_json(target.post))
        found[f"{name[:_LONGEST_NAME]}#post"] = _sealed("post", text, key_ring)
    if target.put:
        text = json.dumps(_put_json(target.put))
        found[f"{name[:_LONGEST_NAME]}#put"] = _sealed("put", text, key_ring)
    return found


def _sealed(kind: str, text: str, key_ring: KeyRing) -> Mapping[str, Any]:
    digest = key_ring.fingerprint("check sink", text)
    return {"type": kind, "digest": digest, "sealed": key_ring.encrypt(text).decode()}


def _post_json(post: HttpPost) -> dict[str, Any]:
    url = post.url
    if post.parameter:
        name, value = (quote(part, safe="") for part in post.parameter)
        url = f"{url}{'&' if '?' in url else '?'}{name}={value}"
    secrets: Sequence[str] = [pair[1] for pair in (post.parameter, post.header) if pair]
    return {"url": url, "headers": dict([post.header] if post.header else []), "secrets": secrets}


def _put_json(put: BusPut) -> dict[str, Any]:
    return {
        "region": put.region,
        "key": put.key,
        "secret": put.secret,
        "endpoint_url": put.endpoint_url,
        "bus": put.bus,
        "source": put.source,
        "detail_type": put.detail_type,
        "resources": list(put.resources),
    }
