"""Build what reads jobs and causes, for the API and for the post-processing of ledgers."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from tracker_service.bootstrap.foundation import Foundation
from tracker_service.causes.rules import load_rules
from tracker_service.causes.verdict import cause_of
from tracker_service.tracking.causes import Causes
from tracker_service.tracking.lookup import Lookup


def build_lookup(base: Foundation) -> Lookup:
    """Build what reads jobs for callers."""
    listed_for = timedelta(hours=base.settings.polling.listed_h)
    retention = timedelta(hours=base.settings.copying.retention_h)
    return Lookup(base.store, base.identities, listed_for, retention, base.clock)


def build_causes(base: Foundation, lookup: Lookup) -> Causes:
    """Build what reads why jobs failed."""
    conclude = partial(cause_of, rules=load_rules(base.settings.copying.cause_rules))
    return Causes(base.store, lookup, conclude, base.clock)
