"""Ask Oozie about jobs: many at once, or one with its actions; submit a workflow.

Follows the Oozie Web Services API, https://oozie.apache.org/docs/5.2.1/WebServicesAPI.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import structlog

from tracker_service.domain.applications import application_in
from tracker_service.domain.chunks import chunks
from tracker_service.domain.jobs import (
    Action,
    Children,
    JobDetails,
    JobId,
    JobStatus,
    JobType,
    Observation,
    is_job_id,
    type_of,
)
from tracker_service.errors import BadInput, GatewayUnavailable, JobNotFound
from tracker_service.sources.bodies import items, trusting_nothing
from tracker_service.sources.dates import instant_of
from tracker_service.sources.gateway import Answer, GatewaySession
from tracker_service.sources.plain_values import number_of, text_of

log = structlog.get_logger()

_GONE = ("E0604", "E0605")  #: the only codes that mean "there is no such job"
_NO_SUCH_VIEW = "E0303"  #: `show` has a value that this Oozie does not know
_NOT_UNDERSTOOD = ("E0302", "E0303", "E0420", "E1603")  #: a wrong parameter, filter, number


@dataclass(frozen=True, slots=True)
class _Spelling:
    """The names that one kind of job has in Oozie's JSON."""

    list: str
    id: str
    name: str
    parent: str


_SPELLING = {
    JobType.WORKFLOW: _Spelling("workflows", "id", "appName", "parentId"),
    JobType.COORDINATOR: _Spelling("coordinatorjobs", "coordJobId", "coordJobName", "bundleId"),
    JobType.BUNDLE: _Spelling("bundlejobs", "bundleJobId", "bundleJobName", ""),
    JobType.COORDINATOR_ACTION: _Spelling("", "id", "", "coordJobId"),
}

#: Where a job names what it has started, under which key, and with which last letter.
_CHILDREN = {
    JobType.COORDINATOR: ("actions", "externalId", "W"),
    JobType.COORDINATOR_ACTION: (None, "externalId", "W"),
    JobType.BUNDLE: ("bundleCoordJobs", "coordJobId", "C"),
}
#: The states in which an action of a coordinator has ended, also if it never had a workflow.
_ENDED_BADLY = ("FAILED", "KILLED", "TIMEDOUT")
_MOST_CHILDREN = 1000  #: applications of one action; Hive and Pig start dozens
_MOST_OF_A_JOB = 10_000  #: applications of all actions of a job
_CHILD_CHARS = 48  #: of an id with its comma
_LONGEST_INPUT = 16 * 1024  #: characters that name the missing input of an action
ACTIONS_PER_PAGE = 1000  #: about 700 bytes each


class Oozie:
    """Oozie behind the gateway, as one identity."""

    def __init__(
        self,
        session: GatewaySession,
        ids_per_request: int = 100,
        hide: Callable[[str], str] = str,
    ) -> None:
        """Prepare to ask.

        Args:
            hide: takes a text that a program wrote, and returns it without secrets.
        """
        self._session, self._hide = session, hide
        self._ids_per_request = ids_per_request

    def jobs(self, ids: Sequence[JobId]) -> dict[JobId, Observation]:
        """Ask about many jobs, about 100 with one request.

        Returns:
            the observation of each job that Oozie knows. A missing id may still exist: ask
            `details` about it.

        Raises:
            GatewayUnavailable, CredentialsRefused: nothing is known about any of them.
        """
        seen: dict[JobId, Observation] = {}
        for chunk in self.requests_for(ids):
            seen |= self.chunk(chunk)
        return seen

    def requests_for(self, ids: Iterable[JobId]) -> Iterator[Sequence[JobId]]:
        """Yield the ids in the groups that one request each can ask about."""
        for job_type in JobType:
            same = [job_id for job_id in ids if type_of(job_id) == job_type]
            is_listed = job_type != JobType.COORDINATOR_ACTION
            yield from chunks(same, self._ids_per_request if is_listed else 1)

    def chunk(self, ids: Sequence[JobId]) -> dict[JobId, Observation]:
        """Ask about one group of `requests_for` with one request."""
        spelling = _SPELLING[job_type := type_of(ids[0])]
        if job_type == JobType.COORDINATOR_ACTION:
            return self._action_of_coordinator(ids[0])
        found = self._list(
            {
                "jobtype": job_type,
                "filter": ";".join(f"id={job_id}" for job_id in ids),
                "len": str(len(ids)),
            },
            spelling.list,
        )
        now = datetime.now(UTC)
        seen = {}
        for job in found:
            try:
                with trusting_nothing("oozie/v2/jobs"):
                    observation = _observation(job, spelling, now)
                if observation.id in ids:
                    seen[observation.id] = observation
            except GatewayUnavailable as error:  # one bad job must not hide the others
                log.warning("job_not_understood", reason=str(error))
        return seen

    def listing(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return a list of jobs as Oozie itself gives it.

        Args:
            parameters: `offset`, `len`, `filter` and `jobtype` of `GET /jobs`.

        Raises:
            BadInput: Oozie does not understand them, with its words.
            GatewayUnavailable: nothing is known.
        """
        answer = self._session.ask("GET", "oozie/v2/jobs", params=parameters)
        if answer.status == 400:
            words = answer.explanation()
            # A wrong number has its code in the header alone, a wrong time in the words of E0603.
            named = f"{answer.headers.get('oozie-error-code')} {words}"
            if any(code in named for code in _NOT_UNDERSTOOD):
                raise BadInput(f"Oozie does not understand this: {words}")
            raise GatewayUnavailable(f"oozie/v2/jobs: {words}")
        return answer.json()

    def named(self, name: str, user: str) -> JobId | None:
        """Return the newest workflow of a user with this name, None if Oozie has none.

        Oozie knows the user as the gateway does, who may log in as `alice@example.com` and be
        `alice` in HDFS. Several users in a filter mean any of them.
        """
        users = dict.fromkeys((user, self._session.user))
        wanted = ";".join([f"name={name}", *(f"user={each}" for each in users)])
        found = self._list({"jobtype": "wf", "filter": wanted}, "workflows")
        return JobId(str(found[0]["id"])) if found else None

    def with_external_id(self, external_id: str) -> JobId | None:
        """Return the workflow that was submitted with this `oozie.wf.external.id`, if any.

        Follows https://oozie.apache.org/docs/5.2.1/WebServicesAPI.html
        """
        params = {"jobtype": "wf", "external-id": external_id}
        answer = self._session.ask("GET", "oozie/v2/jobs", params=params)
        _refuse_trouble(answer)
        found = answer.json().get("id")
        return JobId(str(found)) if found else None

    def details(self, job_id: JobId) -> JobDetails:
        """Ask about one job and its actions.

        Raises:
            JobNotFound: Oozie says that it does not exist (E0604, E0605), and nothing else.
            GatewayUnavailable, CredentialsRefused, AccessDenied: nothing is known.
        """
        answer = self._session.ask("GET", f"oozie/v2/job/{job_id}", params={"show": "info"})
        body = _checked(answer, job_id)
        job_type = type_of(job_id)
        actions = items(body.get("actions")) if job_type == JobType.WORKFLOW else []
        with trusting_nothing(f"oozie/v2/job/{job_id}"):
            observation = _observation(body, _SPELLING[job_type], datetime.now(UTC))
            if observation.id != job_id:
                raise ValueError(f"it is about {observation.id}")
            return JobDetails(
                observation=observation,
                actions=tuple(_of_a_job(_action(action, self._hide) for action in actions)),
                are_actions_told=job_type == JobType.WORKFLOW,
            )

    def children(self, job_id: JobId, page: int = 0) -> Children:
        """Ask what a coordinator or a bundle has started: a page of its actions, the oldest first.

        Args:
            job_id: also one action of a coordinator, which starts one workflow.
            page: the pages count from 0, with `ACTIONS_PER_PAGE` actions each; a bundle has one.

        Raises:
            JobNotFound, GatewayUnavailable, CredentialsRefused, AccessDenied: as `details`.
        """
        kind, path = type_of(job_id), f"oozie/v2/job/{job_id}"
        # Without a length, version 2 leaves out the actions.
        params = {"offset": str(page * ACTIONS_PER_PAGE + 1), "len": str(ACTIONS_PER_PAGE)}
        body = _checked(self._session.ask("GET", path, params=params), job_id)
        key, id_key, letter = _CHILDREN[kind]
        with trusting_nothing(path):
            children = items(body[key]) if key else [body]
            return Children(
                observation=_observation(body, _SPELLING[kind], datetime.now(UTC)),
                started=tuple(_child(child.get(id_key), letter) for child in children),
                never_started=tuple(
                    _never_started(child, self._hide)
                    for child in children
                    if _child(child.get(id_key), letter) is None
                    and child.get("status") in _ENDED_BADLY
                ),
                is_last=kind != JobType.COORDINATOR or len(children) < ACTIONS_PER_PAGE,
            )

    def _action_of_coordinator(self, action: JobId) -> dict[JobId, Observation]:
        try:
            return {action: self.details(action).observation}
        except JobNotFound:
            return {}

    def earlier_tries(self, action: Action) -> list[Action]:
        """Ask for the tries of an action before its last one, which Oozie 5.0 and later tell.

        Returns:
            for each try the action with the ids that it had then; nothing if Oozie is older.

        Raises:
            JobNotFound: Oozie says that there is no such action.
            GatewayUnavailable, CredentialsRefused, AccessDenied: nothing is known.
        """
        path = f"oozie/v2/job/{quote(action.id, safe='@')}"
        answer = self._session.ask("GET", path, params={"show": "retries"})
        if answer.status == 400 and answer.headers.get("oozie-error-code") == _NO_SUCH_VIEW:
            log.info("earlier_tries_not_told", action=action.id)
            return []
        body = _checked(answer, action.id)
        with trusting_nothing(path):
            return [_earlier(action, attempt) for attempt in items(body["retries"])]

    def submit(self, configuration: bytes) -> JobId:
        """Submit and start a workflow.

        Args:
            configuration: a Hadoop configuration document with `oozie.wf.application.path`.

        Raises:
            RequestRefused: Oozie does not take it, with its words.
            GatewayUnavailable: nobody knows whether it was started; look for it by its name.
        """
        answer = self._session.ask(
            "POST",
            "oozie/v2/jobs",
            params={"action": "start"},
            data=configuration,
            headers={"Content-Type": "application/xml;charset=UTF-8"},
        )
        _refuse_trouble(answer)
        job_id = answer.json().get("id")
        if not job_id:
            raise GatewayUnavailable("oozie/v2/jobs: the answer to a submission has no id")
        return JobId(str(job_id))

    def kill(self, job_id: JobId) -> None:
        """Kill a job; one that has ended stays as it is.

        Raises:
            AccessDenied: it belongs to another user, and Oozie's authorisation is on.
        """
        answer = self._session.ask("PUT", f"oozie/v2/job/{job_id}", params={"action": "kill"})
        _refuse_trouble(answer)
        if answer.status >= 400:
            answer.json()  # raises what the status means

    def _list(self, params: dict[str, str], key: str) -> list[dict[str, Any]]:
        answer = self._session.ask("GET", "oozie/v2/jobs", params=params)
        if answer.status == 400:  # trouble of Oozie's database, for one
            raise GatewayUnavailable(f"oozie/v2/jobs: {answer.explanation()}")
        body = answer.json()
        found = body.get(key)
        if found in (None, "", {}) and body.get("total") not in (0, "0"):
            raise GatewayUnavailable(f"oozie/v2/jobs: the answer has no {key}")
        with trusting_nothing("oozie/v2/jobs"):
            return items(found)


def _refuse_trouble(answer: Answer) -> None:
    """Raise if Oozie says 400 for a trouble of its own: E06.. come from its database."""
    if answer.status == 400 and answer.headers.get("oozie-error-code", "").startswith("E06"):
        raise GatewayUnavailable(f"{answer.path}: {answer.explanation()}")


def _checked(answer: Answer, job_id: str) -> dict[str, Any]:
    """Return the body of an answer about one job or action, or raise what its error code means."""
    code = answer.headers.get("oozie-error-code")
    if answer.status == 400 and code in _GONE:
        raise JobNotFound(f"Oozie does not know the job {job_id}")
    if answer.status in (400, 404):
        # Each trouble of Oozie's database is a 400 as well, so this is not "no such job".
        raise GatewayUnavailable(f"{job_id}: {answer.explanation()}")
    return answer.json()


def _observation(job: dict[str, Any], spelling: _Spelling, now: datetime) -> Observation:
    job_id = JobId(_needed(job[spelling.id]))
    status = JobStatus.from_oozie(job.get("status"))
    if status == JobStatus.UNKNOWN:
        log.warning("unknown_job_status", job=job_id, word=job.get("status"))
    return Observation(
        id=job_id,
        status=status,
        run=number_of(job.get("run")),
        name=text_of(job.get(spelling.name)),
        user=text_of(job.get("user")),
        parent_id=text_of(job.get(spelling.parent)) or None,
        created_at=instant_of(job.get("createdTime")),
        started_at=instant_of(job.get("startTime")),
        ended_at=instant_of(job.get("endTime")),
        observed_at=now,
    )


def _child(external_id: object, letter: str) -> JobId | None:
    """Return the id of what an action has started; it is null while the action waits."""
    text = str(external_id or "")
    return JobId(text) if text.endswith(letter) and is_job_id(text) else None


def _never_started(action: dict[str, Any], hide: Callable[[str], str]) -> Action:
    """Describe an action that never became a job; an action with all its fields tells why."""
    action_id = str(action.get("id") or action.get("coordJobId") or action.get("coordJobName"))
    missing = [action.get(key) for key in ("missingDependencies", "pushMissingDependencies")]
    named = ", ".join(str(text)[:_LONGEST_INPUT].replace("#", ", ") for text in missing if text)
    message = text_of(action.get("errorMessage")) or (
        f"its input is missing: {named}" if named else None
    )
    return Action(
        id=action_id,
        name=action_id.rpartition("@")[2],
        type="coordinator-action",
        status=str(action.get("status")),
        error_code=str(action["errorCode"]) if action.get("errorCode") else None,
        error_message=hide(str(message)) if message else None,
    )


def _action(action: dict[str, Any], hide: Callable[[str], str]) -> Action:
    message = text_of(action.get("errorMessage"))
    child_ids, more = _limited(str(action.get("externalChildIDs") or ""))
    if more:
        message = _with_more(message, more)
    return Action(
        id=_needed(action["id"]),
        name=_needed(action["name"]),
        type=text_of(action.get("type")) or "",
        status=text_of(action.get("status")) or "",
        external_id=text_of(action.get("externalId")),
        child_ids=child_ids or None,
        external_status=text_of(action.get("externalStatus")),
        error_code=text_of(action.get("errorCode")),
        error_message=hide(message) if message else message,
        started_at=instant_of(action.get("startTime")),
        ended_at=instant_of(action.get("endTime")),
        retry_count=_retries(action.get("userRetryCount")),
    )


def _of_a_job(actions: Iterable[Action]) -> Iterator[Action]:
    """Yield the actions of a job; the last ones without the applications that are too many."""
    left = _MOST_OF_A_JOB
    for action in actions:
        children = action.child_ids.split(",") if action.child_ids else []
        if more := max(0, len(children) - left):
            message = _with_more(action.error_message, more)
            first = ",".join(children[:left])
            yield replace(action, child_ids=first or None, error_message=message)
        else:
            yield action
        left = max(0, left - len(children))


def _with_more(message: str | None, more: int) -> str:
    return f"{message or ''} (and {more} more applications, which are not followed)".strip()


def _retries(value: object) -> int:
    """Return how often an action was repeated; what is no count is 0."""
    try:
        return number_of(value)
    except ValueError:
        return 0


def _needed(value: object) -> str:
    text = text_of(value)
    if not text:
        raise ValueError(f"{type(value)!s} in place of a name")
    return text


def _limited(ids: str) -> tuple[str, int]:
    """Return the first of the ids that a program has printed, and how many there are more."""
    first = ids.split(",", _MOST_CHILDREN)
    more = first.pop().count(",") + 1 if len(first) > _MOST_CHILDREN else 0
    return ",".join(first)[: _MOST_CHILDREN * _CHILD_CHARS], more


def _earlier(action: Action, attempt: dict[str, Any]) -> Action:
    """Return an action as it was in an earlier try; only the console's address has its launcher."""
    return replace(
        action,
        external_id=application_in(str(attempt.get("consoleUrl"))),
        child_ids=_limited(text_of(attempt.get("externalChildIDs")) or "")[0],
        retry_count=number_of(attempt.get("attempt")) - 1,
    )
