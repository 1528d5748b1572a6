"""The errors of the tracker; each says what the reader of its message can do.

TrackerError
├── ConfigError               a setting is wrong: correct the file or the variable that it names
├── BadInput                  a request is wrong: correct it
├── NotAuthenticated          no or wrong credentials: log in
├── NotAllowed                known, but this is for others: ask an admin
├── TooManyRequests           slow down: try again after the time that it names
├── GatewayError
│   ├── GatewayUnavailable    no answer right now: try again later
│   ├── CredentialsRefused    the gateway does not accept these credentials: send others
│   ├── AccessDenied          known, but not allowed: ask the owner
│   ├── RequestRefused        the cluster refuses this request: do not repeat it unchanged
│   │   └── TargetRefused     HDFS does not take a log: have a quota or a permission corrected
│   └── NotFound
│       ├── JobNotFound       Oozie has no such job
│       ├── ApplicationNotFound   the resource manager does not know it (any more)
│       └── PathNotFound      there is no such file or directory in HDFS
├── NoUsableAnswer            an HTTP endpoint that is watched: its kind says what was wrong
├── StoreUnavailable          the database does not answer: try again later
│   └── StoreConflict         two transactions met, and this one was undone: repeat it
├── NotTracked                the caller does not track this job
├── NoSuchToken               a notification token that is unknown here: make another one
├── NoSuchSubscription        a subscription that is unknown here: list those that there are
├── NoSuchCheck               a check that is unknown here: list those that there are
├── NoSuchLink                a link of a message that is too old: use the command
├── LogNotSaved               there is no saved log yet, with the reason
├── NotRunning                this application does not run: read its saved log
├── RouteClosed               the gateway of this site does not lead there: ask its operator
├── NoCause                   nothing failed, or nothing shows why
├── LogInUse                  this log is being copied now: wait until that is finished
├── LedgerError
│   ├── JobAlreadyExists      a ledger has this job: report it by its id
│   ├── LedgerJobNotFound     no ledger has this job: it has expired, or its id is mistyped
│   ├── OutOfScope            this key is for other jobs: use another one
│   └── InvalidStateTransition    this state cannot follow the last one: see the settings
├── LogFileBroken             a file of aggregated logs is damaged: reading it again does not help
├── LeaseLost                 another worker holds this jobset now: drop it
├── CopyChanged               another process has changed this copy: read it again
└── WorkerStops               this worker stops: another one begins its work again
"""

from __future__ import annotations


class TrackerError(Exception):
    """Something went wrong in the tracker; this text is the message where none is given."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])


class ConfigError(TrackerError):
    """The configuration is wrong: correct the setting that is named."""


class BadInput(TrackerError):
    """The request is wrong: correct it and send it again."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NotAuthenticated(TrackerError):
    """Send the user name and password that you use at the gateway (HTTP Basic)."""


class NotAllowed(TrackerError):
    """Only an admin of the tracker may do this."""


class TooManyRequests(TrackerError):
    """This user asks too often; try again later."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class GatewayError(TrackerError):
    """The cluster behind the gateway did not do what was asked."""


class GatewayUnavailable(GatewayError):
    """The gateway or the service behind it cannot answer right now; try again later."""

    def __init__(self, message: str | None = None, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s  #: None if unknown


class CannotAnswerNow(GatewayUnavailable):
    """The service says that it cannot do this now (standby, safe mode); wait until it can."""


class CredentialsRefused(GatewayError):
    """The gateway refuses these credentials; check user name and password."""


class AccessDenied(GatewayError):
    """The cluster does not allow this user to do this; ask the owner for access."""


class RequestRefused(GatewayError):
    """The cluster refuses this request; repeating it will not help."""


class TargetRefused(RequestRefused):
    """HDFS does not take the log; have the quota or the permission corrected."""


class NotFound(GatewayError):
    """The cluster has no such thing."""


class JobNotFound(NotFound):
    """Oozie does not know this job; it was never submitted here, or it was purged."""


class ApplicationNotFound(NotFound):
    """The resource manager does not know this application (any more)."""


class PathNotFound(NotFound):
    """There is no such file or directory in HDFS."""


class NoUsableAnswer(TrackerError):
    """An HTTP endpoint that is watched did not answer as it should."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind  #: one of few words, for a label


class StoreUnavailable(TrackerError):
    """The database of the tracker cannot be used right now; try again later."""


class StoreConflict(StoreUnavailable):
    """Another transaction has changed the same rows; this one was undone. Try it again."""


class NotTracked(TrackerError):
    """You do not track this job."""


class NoSuchToken(TrackerError):
    """There is no such notification token: it is mistyped, or it was revoked; make another one."""


class NoSuchSubscription(TrackerError):
    """You have no subscription of this name: `tracker notify list` shows those that you have."""


class NoSuchCheck(TrackerError):
    """There is no check of this name: `tracker checks list` shows those that there are."""


class NoSuchLink(TrackerError):
    """This link was not made here, or it is older than a week: use `tracker notify mute`."""


class LogNotSaved(TrackerError):
    """No log of this job is saved yet."""


class NotRunning(TrackerError):
    """This application does not run now: there are only saved logs of it."""


class RouteClosed(TrackerError):
    """The gateway of this site does not lead there; ask its operator."""


class NoCause(TrackerError):
    """There is no cause: the job has not failed."""


class LogInUse(TrackerError):
    """This log is being copied now; wait until that is finished."""


class LedgerError(TrackerError):
    """The ledger does not take this."""


class JobAlreadyExists(LedgerError):
    """The ledger has this job already, and it has not ended: report it by its id."""


class LedgerJobNotFound(LedgerError):
    """The ledger does not have this job: it has expired, or its id is mistyped."""


class OutOfScope(LedgerError):
    """This key of a writer is for other jobs."""


class InvalidStateTransition(LedgerError):
    """This state cannot follow the last one."""


class LogFileBroken(TrackerError):
    """This file of aggregated logs is damaged or not complete."""


class TooMuchWork(LogFileBroken):
    """This log or search asks for more work than one may; a repeat asks for as much."""


class LeaseLost(TrackerError):
    """Another worker holds this jobset now; whatever was about to be written is its work."""

    def __init__(self, message: str | None = None, *, is_taken: bool = False) -> None:
        super().__init__(message)
        self.is_taken = is_taken  #: by another worker; False if it was given back or is gone


class CopyChanged(TrackerError):
    """Somebody else has changed this copy meanwhile; what was known of it is out of date."""


class WorkerStops(TrackerError):
    """This worker stops; whatever it has not finished is begun again later."""


_LONGEST_REASON = 500  #: characters of an error that nobody has foreseen, in a reason


def unexpected(error: Exception) -> str:
    """Return the reason that people read where an error comes that nobody has foreseen."""
    text = repr(error)[:_LONGEST_REASON]  # without characters that a database refuses
    return f"something unexpected went wrong in the tracker, and its log says more: {text}"
