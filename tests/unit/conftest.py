from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from flask.testing import FlaskClient
from flask_openapi3 import APIBlueprint
from flask_openapi3.types import ParametersTuple
from flask_openapi3.utils import parse_parameters
from sqlalchemy import event
from werkzeug.routing import Rule

from tests.statements import share_compiled
from tests.unit.fakes import (
    APP_1,
    AtOnce,
    Clock,
    Engine,
    FakeCluster,
    FragileStore,
    Ticks,
    action,
    details,
    job,
)
from tests.unit.held import Following
from tests.unit.loopback_server import Loopback
from tracker_service.api.rate_limit import RateLimit
from tracker_service.api.read_limits import ReadLimits
from tracker_service.app import create_app
from tracker_service.archive.removal import Removal
from tracker_service.archive.verification import Verifications
from tracker_service.bootstrap import Service
from tracker_service.bootstrap.exporters import build_teraslice_pages
from tracker_service.checks.lookup import CheckPages
from tracker_service.engine.slots import Slots
from tracker_service.identities import Callers, Identities, KeptCredentials
from tracker_service.identities.keys import KeyRing
from tracker_service.metrics import Metrics
from tracker_service.rooms import ALL_ROOMS
from tracker_service.settings import RightsSettings, Settings
from tracker_service.settings.exporters import ExportersSettings
from tracker_service.sinks.muting import Muting
from tracker_service.sinks.reach import Reach
from tracker_service.sinks.subscribing import Subscribing
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential
from tracker_service.sources.gateway import AccessPool, Gateway, GatewaySession
from tracker_service.store.database import Store
from tracker_service.tracking import completion, poller
from tracker_service.tracking.causes import Causes
from tracker_service.tracking.intake import Intake
from tracker_service.tracking.lookup import Lookup
from tracker_service.tracking.notifications import Notifications
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.reruns import Reruns
from tracker_service.tracking.schedule import Schedule

# Tracebacks with all local variables take half a second each. A thread of one test that still logs
# must not write to what another test has put in the place of standard output.
structlog.configure(
    processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)],
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
)


# Each application compiles the same functions that make URLs anew, which nearly no test calls.
_compile_builder = Rule._compile_builder
_builders: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}


def _builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    key = (*rule._trace, *sorted((rule.defaults or {}).items()), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _builder  # type: ignore[assignment,method-assign]


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture
def other_server() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture
def knox(loopback: Loopback) -> Gateway:
    """The loopback server as a Knox topology."""
    return Gateway(url=f"{loopback.origin}/gateway/sandbox", read_timeout_s=120)


@pytest.fixture
def open_session() -> Iterator[Callable[[Gateway, BasicCredential], GatewaySession]]:
    """Opens sessions, and closes them and all their answers in the end."""
    sessions, answers = [], []

    def opened(gateway: Gateway, credential: BasicCredential) -> GatewaySession:
        session = gateway.session(credential)
        session.hooks["response"].append(lambda answer, **_: answers.append(answer))
        sessions.append(session)
        return session

    yield opened
    for each in [*answers, *sessions]:
        each.close()


@pytest.fixture
def session(knox: Gateway, open_session) -> GatewaySession:
    return open_session(knox, BasicCredential("guest", "guest-password"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """A database with the schema and nothing in it: copying it is faster than making it."""
    file = tmp_path_factory.mktemp("template") / "tracker.db"
    store = Store(f"sqlite:///{file}")
    store.upgrade()
    store.close()
    return file


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> Iterator[FragileStore]:
    shutil.copy(empty_database, tmp_path / "tracker.db")
    opened = FragileStore(f"sqlite:///{tmp_path}/tracker.db")
    share_compiled(opened)
    # No test outlives a power failure; waiting for the disk takes most of the time.
    event.listen(opened._engine, "connect", lambda db, _: db.execute("PRAGMA synchronous=OFF"))
    yield opened
    opened.close()


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """The monotonic clock of the poller and of the search for applications."""
    ticks = Ticks()
    for module in (poller, completion):
        monkeypatch.setattr(module, "time", ticks)
    return ticks


@pytest.fixture
def fake_cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def key_ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "credentials.key")


@pytest.fixture
def identities(
    store: Store, key_ring: KeyRing, fake_cluster: FakeCluster, now: Clock
) -> Identities:
    pool: AccessPool[ClusterAccess] = AccessPool(fake_cluster.access)
    callers = Callers(store, key_ring, pool, now)
    return Identities(callers, KeptCredentials(store, key_ring, pool, now), pool, "http://knox")


@pytest.fixture
def engine() -> Engine:
    """What concludes why a job failed: says what the test lets it say."""
    return Engine()


@pytest.fixture
def service(
    store: Store, identities: Identities, key_ring: KeyRing, engine: Engine, now: Clock
) -> Service:
    lookup = Lookup(store, identities, timedelta(hours=24), timedelta(days=7), now)
    return Service(
        settings=Settings(rights=RightsSettings(admins=("admin",))),
        store=store,
        identities=identities,
        intake=Intake(store, identities, now),
        lookup=lookup,
        causes=Causes(store, lookup, engine, now),
        removal=Removal(store, now),
        verifications=Verifications(AtOnce()),
        notifications=Notifications(store, key_ring, now),
        subscribing=Subscribing(
            store,
            key_ring,
            Reach(hosts=("hooks.example.com",), mail_domains=("example.com",)),
            now,
        ),
        muting=Muting(store, key_ring, now),
        rate_limit=RateLimit(store, 600, now),
        read_limits=ReadLimits(32),
        teraslice=build_teraslice_pages(ExportersSettings(), store),
        checks=CheckPages(store),
        metrics=Metrics(),
        clock=now,
    )


_parameters: dict[object, ParametersTuple] = {}


def _undescribed(_: APIBlueprint, __: str, func: Callable[..., object], **___: object):
    """Return the models of a call's parameters, and write nothing down for OpenAPI."""
    if func.__code__ not in _parameters:
        _parameters[func.__code__] = parse_parameters(func, doc_ui=False)
    return _parameters[func.__code__]


@pytest.fixture
def client(service: Service) -> FlaskClient:
    """A client of an application without the OpenAPI document, which takes long to make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(APIBlueprint, "_collect_openapi_info", _undescribed)
        return create_app(service, ALL_ROOMS).test_client()


@pytest.fixture
def documented(service: Service) -> FlaskClient:
    """A client of an application with the OpenAPI document, as in operation."""
    return create_app(service, ALL_ROOMS).test_client()


@pytest.fixture
def oozie(fake_cluster: FakeCluster):
    fake_cluster.oozie.has(
        details(job(1), "RUNNING", action(job(1), "work", APP_1)),
        details(job(2), "SUCCEEDED"),
        details(job(3), "KILLED"),
    )
    return fake_cluster.oozie


@pytest.fixture
def following(
    store: FragileStore,
    identities: Identities,
    fake_cluster: FakeCluster,
    key_ring: KeyRing,
    now: Clock,
    ticks: Ticks,
) -> Following:
    schedule = Schedule(5, 60, random.Random(7))
    poller = Poller(store, identities, schedule, (AtOnce(), AtOnce()), now, Slots(8))
    return Following(store, fake_cluster, key_ring, ticks, poller, schedule)


@pytest.fixture
def reruns(store: Store, identities: Identities, now: Clock) -> Reruns:
    """The look for reruns, on the thread that asks for it."""
    day = timedelta(hours=24)
    return Reruns(store, identities, AtOnce(), now, every_s=3600, watched_for=day)
