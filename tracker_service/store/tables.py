"""Define the tables. Instants are milliseconds since 1970, which every database stores alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PreciseInstant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970-01-01T00:00Z."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return microseconds."""
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as milliseconds since 1970-01-01T00:00Z."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return milliseconds; refuse a naive datetime, because its instant is unknown."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return round(value.timestamp() * 1000)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


# SQLite generates keys only for columns of the type INTEGER.
_Key = BigInteger().with_variant(Integer, "sqlite")

# In MariaDB, TEXT is limited to 64 KiB; in the other databases it is not.
_Text = Text().with_variant(LONGTEXT(), "mysql", "mariadb")

# BLOB likewise.
_Bytes = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")


_User = String(255)  # the name of a directory in HDFS has no more


def _key(name: str = "id") -> Column[int]:
    return Column(name, _Key, primary_key=True, autoincrement=True)


def _reference(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, _Key, ForeignKey(target, ondelete="CASCADE"), nullable=nullable)


jobs = Table(
    "jobs",
    metadata,
    _key(),
    Column("kind", String(16), nullable=False),  # `oozie`; decides the states
    Column("external_id", String(100), nullable=False),
    Column("run", Integer, nullable=False),
    Column("status", String(32), nullable=False),
    Column("name", String(500)),
    Column("owner", _User),  # in the cluster
    Column("parent_id", String(100)),
    Column("created_at", Instant),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("observed_at", Instant),  # of the last answer that changed the row
    Column("details_at", Instant),  # when the actions were asked for
    Column("actions", JSON),
    UniqueConstraint("kind", "external_id", "run"),
    Index(None, "parent_id"),
)

job_state_changes = Table(
    "job_state_changes",
    metadata,
    _key("sequence"),  # grows, so that readers can ask for later changes
    _reference("job_id", "jobs.id"),
    Column("from_status", String(32)),
    Column("to_status", String(32), nullable=False),
    Column("changed_at", Instant, nullable=False),
    Index(None, "job_id"),
)

applications = Table(
    "applications",
    metadata,
    _key(),
    _reference("job_id", "jobs.id"),
    Column("application_id", String(64), nullable=False),
    Column("action", String(255), nullable=False),
    Column("workflow_id", String(100), nullable=False),
    Column("role", String(16), nullable=False),
    Column("seen_at", Instant, nullable=False),
    UniqueConstraint("job_id", "application_id"),
)

jobsets = Table(
    "jobsets",
    metadata,
    _key(),
    Column("kind", String(16), nullable=False),
    Column("affinity", String(255), nullable=False),  # the user and the gateway
    Column("size", Integer, nullable=False),  # tasks that have not ended
    Column("owner", String(64)),  # the worker that holds it
    Column("epoch", Integer, nullable=False),  # raised by each change of owner
    Column("version", Integer, nullable=False),  # raised by each change of content or owner
    Column("lease_until", Instant, nullable=False),  # by the database's clock; free: since when
    Column("polled_at", Instant),  # all its tasks were checked at this instant or later
    Index(None, "kind", "affinity"),
    Index(None, "owner"),
)

tasks = Table(
    "tasks",
    metadata,
    _key(),
    Column("kind", String(16), nullable=False),  # `track`; decides the states
    Column("owner", _User, nullable=False),  # the user who asked
    Column("subject", String(255)),  # what it is about; of the kind `track`, the id of the job
    Column("spec", JSON),  # what else its kind needs to run it
    _reference("jobset_id", "jobsets.id", nullable=True),  # null once it has ended
    Column("state", String(32), nullable=False),
    Column("reason_code", String(32)),  # why it waits, or why it ended without a result
    Column("reason", _Text),  # the same as a sentence, for people
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    # The rest is for processes of the previous release, which has no table `track_tasks`. These
    # columns are written together with that table, and only `adoption` reads them. The migration of
    # the next release drops them, and makes (owner, job_id) unique in `track_tasks`.
    _reference("job_id", "jobs.id", nullable=True),
    Column("copies_always", Boolean),
    Column("stopped_at", Instant),
    Column("manifest_at", Instant),
    UniqueConstraint("kind", "owner", "job_id"),
    Index(None, "jobset_id"),
    Index(None, "owner", "jobset_id"),
    Index(None, "owner", "state", "ended_at"),
    Index(None, "state", "ended_at"),
    Index(None, "job_id"),
)

track_tasks = Table(
    "track_tasks",  # one row for each task of the kind `track`, with what only this kind needs
    metadata,
    Column("task_id", _Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("owner", _User, nullable=False),  # of the task
    _reference("job_id", "jobs.id"),  # the run that it follows
    Column("copies_always", Boolean, nullable=False),  # logs are wanted however the job ends
    Column("stopped_at", Instant),  # when its user stopped tracking
    Column("manifest_at", Instant),  # when the manifest beside its copies was written
    Column("failing_since", Instant),  # since when each search for its applications fails
    Index(None, "owner", "job_id"),
    Index(None, "job_id"),
)

copies = Table(
    "copies",
    metadata,
    Column("id", String(32), primary_key=True),
    _reference("task_id", "tasks.id"),
    Column("application_id", String(64), nullable=False),
    Column("run", Integer, nullable=False),  # of the job, when the copy was decided
    Column("status", String(16), nullable=False),
    Column("strategy", String(16), nullable=False),  # `auto` until the way is chosen
    Column("strategy_reason", _Text),  # why this way
    Column("job", String(100)),  # id of the copy job
    Column("path", _Text, nullable=False),
    Column("bytes", BigInteger),
    Column("sha256", String(64)),
    Column("reason_code", String(32)),  # of the reason, if something depends on it
    Column("reason", _Text),  # a sentence, for people
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),  # when to look at it again
    Column("log_at", Instant, nullable=False),  # when the log was written, as far as known
    Column("contents", JSON),  # the sources of the saved log, and what was found in it
    Column("gap", _Text),  # what will be missing in the log that the running try writes
    Column("part", JSON),  # the log that the running try has written: its length, its checksum
    Column("diagnostics", _Text),  # what YARN said of the application when its log was complete
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("saved_at", Instant),  # since when a whole log is at the path, maybe of an earlier try
    Column("ended_at", Instant),
    UniqueConstraint("task_id", "application_id"),
    Index(None, "status", "due_at"),
    Index(None, "status", "log_at"),
    Index(None, "job"),
)

causes = Table(
    "causes",
    metadata,
    _key(),
    _reference("task_id", "tasks.id"),
    _reference("job_id", "jobs.id"),  # the run that failed; its task may follow a later one
    Column("fingerprint", String(64), nullable=False),  # equal for failures of one family
    Column("category", String(32), nullable=False),
    Column("summary", _Text, nullable=False),
    Column("card", JSON, nullable=False),  # the whole cause
    Column("failed_at", Instant, nullable=False),  # when the job ended, as far as known
    Column("decided_at", Instant, nullable=False),
    UniqueConstraint("task_id", "job_id"),
    Index(None, "job_id"),
    Index(None, "fingerprint", "failed_at"),
    Index(None, "failed_at"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("owner", _User, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("kept_at", Instant, nullable=False),
    Column("refusals", Integer, nullable=False),  # in a row
    Column("retry_at", Instant),  # if it was refused: not used before this instant
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("fingerprint", String(64), primary_key=True),  # keyed hash of a caller's credential
    Column("owner", _User, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("sealed", LargeBinary),  # the token that it was exchanged for
)

allowances = Table(
    "allowances",
    metadata,
    Column("owner", _User, primary_key=True),
    Column("used_until", Instant, nullable=False),  # up to when the owner's requests are used up
)

wrong_tries = Table(
    "wrong_tries",
    metadata,
    Column("name", String(64), primary_key=True),  # hash of a user name
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("tried_at", Instant, nullable=False),  # with a credential that was not known to be right
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),  # by the database's clock
    Column("release", String(32)),  # of this software
    Column("kinds", JSON),  # of tasks; null in a row of the previous release: only `track`
    Column("busy", Float),  # the share of its time spent on work, from 0 to 1
    Column("late", Integer),  # tasks that it checks too late
)

notify_tokens = Table(
    "notify_tokens",
    metadata,
    Column("fingerprint", String(64), primary_key=True),  # keyed hash of the token
    Column("owner", _User, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant),  # when its last notification came, to about a minute
    Index(None, "owner"),
)

locks = Table(
    "locks",
    metadata,
    Column("purpose", String(32), primary_key=True),
    Column("owner", _User, primary_key=True),  # the user whose rows are counted; "": of all
    Column("taken_at", Instant, nullable=False),
)

hints = Table(
    "hints",
    metadata,
    Column("task_id", _Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("hinted_at", Instant, nullable=False),  # when the hint came
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    # Not generated: the database would give numbers before the commit, in another order.
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False),
    Column("type", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("owner", String(255)),  # the user who may see it; null: who oversees the site
    Column("time", Instant, nullable=False),
    Column("data", JSON, nullable=False),
    UniqueConstraint("id"),
    Index(None, "owner", "sequence"),
    Index(None, "time"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _key(),
    _reference("task_id", "tasks.id"),  # of the kind `notify`: to whom it goes
    Column(
        "event",
        BigInteger,
        ForeignKey("events.sequence", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("about", String(64), nullable=False),  # equal for what different users hear of one thing
    Column("subject", String(255), nullable=False),  # of the event; a subject's are sent in order
    Column("family", String(64)),  # of the failure that the event tells of
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("answer", _Text),  # the last one of the receiver
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("task_id", "about"),
    Index(None, "task_id", "state", "due_at"),
    Index(None, "task_id", "state", "event"),
    Index(None, "task_id", "family", "ended_at"),
    Index(None, "state"),
    Index(None, "event"),
)

conditions = Table(
    "conditions",  # what lasts: it begins and ends with an event, whichever worker sees it
    metadata,
    Column("name", String(32), primary_key=True),
    Column("subject", String(100), primary_key=True),
    Column("began_at", Instant, nullable=False),  # by the database's clock
    Column("seen_at", Instant, nullable=False),  # when a worker saw it last, by the same clock
    Column("data", JSON, nullable=False),
)

muted_families = Table(
    "muted_families",
    metadata,
    Column("owner", String(255), primary_key=True),  # whose messages; empty: those of the site
    Column("fingerprint", String(64), primary_key=True),
    Column("until", Instant, nullable=False),
    Column("muted_at", Instant, nullable=False),
    Column("muted_by", String(255), nullable=False),
)

expositions = Table(
    "expositions",  # what a worker has scraped, for all processes that show it to Prometheus
    metadata,
    Column("task_id", _Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("health", JSON, nullable=False),  # how the updates have gone
    Column("tried_at", Instant, nullable=False),  # when the last update ended, by this database
    Column("snapshot", _Bytes),  # all values of the last update that succeeded
    Column("snapshot_at", Instant),  # when that one ended
)

ledger_jobs = Table(
    "ledger_jobs",
    metadata,
    _key(),
    Column("ledger", String(64), nullable=False),  # the name of the ledger
    Column("job_key", String(500), nullable=False),
    Column("bucket", String(500), nullable=False),
    Column("experiment", String(500), nullable=False),
    Column("datatype", String(500), nullable=False),
    Column("date", String(40), nullable=False),  # RFC 3339, in its own zone
    Column("filter", _Text, nullable=False),
    Column("datasets", JSON, nullable=False),
    Column("run", Integer, nullable=False),  # raised each time the job is started again
    Column("entry", Integer, nullable=False),  # number of the last state in its run, from 0
    Column("history_rows", Integer, nullable=False),  # in its history
    Column("update_count", Integer, nullable=False),
    Column("state", String(255), nullable=False),
    Column("state_at", PreciseInstant, nullable=False),
    Column("detail", _Text, nullable=False),
    Column("detail_at", PreciseInstant, nullable=False),
    Column("before_state", String(255)),  # the state before the last one
    Column("before_detail", _Text),
    Column("started_at", PreciseInstant, nullable=False),
    Column("heartbeat_at", PreciseInstant),
    Column("removed_at", PreciseInstant),  # when it expired or was cleaned up: nobody sees it
    UniqueConstraint("ledger", "job_key"),
    Index(None, "ledger", "removed_at", "started_at"),
    Index(None, "ledger", "state", "removed_at"),
    Index(None, "removed_at"),
)

ledger_changes = Table(
    "ledger_changes",  # the history: rows are appended and never changed
    metadata,
    Column("job_id", _Key, ForeignKey("ledger_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("run", Integer, nullable=False),
    Column("entry", Integer, nullable=False),
    Column("state", String(255), nullable=False),
    Column("at", PreciseInstant, nullable=False),
    Column("detail", _Text, nullable=False),
)

ledger_cursors = Table(
    "ledger_cursors",
    metadata,
    Column("ledger", String(64), primary_key=True),
    Column("iterator", String(16), primary_key=True),  # `daily` or `historical`
    Column("source", String(500), primary_key=True),
    Column("round", Integer, nullable=False),  # raised each time the dates begin anew
    Column("date", PreciseInstant, nullable=False),  # the next one
)

ledger_actions = Table(
    "ledger_actions",  # one row for each job whose post-processing has begun
    metadata,
    Column("job_id", _Key, ForeignKey("ledger_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("run", Integer, nullable=False),  # of the job, and the number of its state in it:
    Column("entry", Integer, nullable=False),  # the action is about no other
    Column("worker", String(64)),  # that carries it out
    Column("lease_until", Instant, nullable=False),  # by the database's clock
    Column("due_at", Instant, nullable=False),  # likewise: when to look at it again
    Column("attempts", Integer, nullable=False),
    Column("reference", String(100)),  # id of the workflow that it has started
)

jobset_exclusions = Table(
    "jobset_exclusions",  # workers that do not get a jobset, because they cannot do its work
    metadata,
    Column("jobset_id", _Key, ForeignKey("jobsets.id", ondelete="CASCADE"), primary_key=True),
    Column("worker", String(64), primary_key=True),
    Column("until", Instant, nullable=False),  # by the database's clock
)

checks = Table(
    "checks",  # one row for each task of the kind `check`
    metadata,
    Column("task_id", _Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("file", String(255), nullable=False),  # where it was read; empty: the settings
    Column("url", _Text, nullable=False),  # for people: without the values of its query
    Column("cron", String(255), nullable=False),
    Column("sealed", _Text, nullable=False),  # the whole check, encrypted: it may have secrets
    Column("digest", String(64), nullable=False),  # keyed hash of the same
    Column("tags", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", Instant, nullable=False),  # when the state began
    Column("in_a_row", Integer, nullable=False),  # runs that speak for another state
    Column("due_at", Instant, nullable=False),  # the last due time that is recorded, or its start
    Column("ran_at", Instant),  # the rest is of the last run
    Column("is_ok", Boolean),
    Column("status", Integer),
    Column("latency_ms", Integer),
    Column("phases", JSON),
    Column("error", _Text),
    Column("certificate_until", Instant),
    UniqueConstraint("name"),
)

check_runs = Table(
    "check_runs",  # the history: one row for each due time, whoever ran it
    metadata,
    Column("task_id", _Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("due_at", Instant, primary_key=True, autoincrement=False),
    Column("ran_at", Instant, nullable=False),
    Column("late_ms", Integer, nullable=False),
    Column("is_ok", Boolean, nullable=False),
    Column("in_maintenance", Boolean, nullable=False),
    Column("status", Integer),
    Column("latency_ms", Integer, nullable=False),
    Column("phases", JSON, nullable=False),  # milliseconds
    Column("values", JSON),  # of the answer
    Column("error", _Text),
    Column("worker", String(64), nullable=False),
    Index(None, "due_at"),
)

check_hours = Table(
    "check_hours",  # runs added up by the hour, which are kept for longer
    metadata,
    Column("task_id", _Key, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("hour", Instant, primary_key=True, autoincrement=False),
    Column("runs", Integer, nullable=False),
    Column("ok", Integer, nullable=False),
    Index(None, "hour"),
)

check_files = Table(
    "check_files",  # what the worker that read a file last has found
    metadata,
    Column("name", String(255), primary_key=True),
    Column("read_at", Instant, nullable=False),
    Column("checks", Integer, nullable=False),
    Column("rule", String(32)),  # that is broken; null: none
    Column("line", Integer),
    Column("message", _Text),
    Column("was_repaired", Boolean, nullable=False),
)
