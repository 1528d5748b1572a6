"""Find all YARN applications of a job and of its sub-workflows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import structlog

from tracker_service.domain.applications import (
    Application,
    ApplicationId,
    applications_of,
    yarn_tags,
)
from tracker_service.domain.jobs import Action, JobDetails, JobId
from tracker_service.errors import (
    AccessDenied,
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    JobNotFound,
    RequestRefused,
    unexpected,
)
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.oozie import Oozie
from tracker_service.sources.yarn import Yarn

log = structlog.get_logger()

Pace = Callable[[], None]

MAX_WORKFLOWS = 200  #: sub-workflows of one job; Oozie itself nests at most 50 deep


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why part of a search could not be done."""

    reason: str
    is_outage: bool = (
        False  #: the cluster does not answer, so searches of other jobs would fail too
    )


def trouble_of(error: Exception, job_id: JobId) -> Trouble:
    """Return why a search failed; the log says more of an error that nobody has foreseen."""
    if isinstance(error, GatewayError):
        return Trouble(str(error), is_outage=isinstance(error, GatewayUnavailable))
    log.error("search_broke", job=job_id, exc_info=error)
    return Trouble(unexpected(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """A job with its actions, and the applications of it and of its sub-workflows."""

    details: JobDetails
    applications: tuple[Application, ...]
    trouble: Trouble | None = None  #: why the search is not complete; the last of several reasons
    below: tuple[JobDetails, ...] = ()  #: its sub-workflows, as far as Oozie answered about them

    @property
    def is_complete(self) -> bool:
        """Whether every part of the cluster answered."""
        return self.trouble is None

    @property
    def actions(self) -> list[Action]:
        """Return the actions of the job, then those of its sub-workflows."""
        return [action for job in (self.details, *self.below) for action in job.actions]


def explore(
    access: ClusterAccess,
    job_id: JobId,
    *,
    is_wanted: bool = False,
    pace: Pace = lambda: None,
) -> Exploration:
    """Ask Oozie for a job's details; if the job failed, search for all its applications.

    The search goes through sub-workflows, the earlier tries of actions (both from Oozie) and the
    tags of applications (from YARN).

    Args:
        is_wanted: search also if the job succeeded or is running.
        pace: blocks until the next request to the cluster may be sent.

    Raises:
        JobNotFound, GatewayUnavailable, CredentialsRefused, AccessDenied: for the job itself.
    """
    pace()
    details = access.oozie.details(job_id)
    found = {app.id: app for app in applications_of(job_id, details.actions)}
    if not (is_wanted or _is_worth_a_search(details)):
        return Exploration(details=details, applications=tuple(found.values()))
    below, trouble = _sub_workflows(access, details, pace)
    family = [details, *below]
    for member in below:
        for app in applications_of(member.observation.id, member.actions):
            found.setdefault(app.id, app)
    for search in (
        _of_earlier_tries(access.oozie, family, pace),
        _never_recorded(access.yarn, family, pace),
    ):
        trouble = _collect(found, job_id, search) or trouble
    return Exploration(
        details=details,
        applications=tuple(found.values()),
        trouble=trouble,
        below=tuple(below),
    )


def _is_worth_a_search(details: JobDetails) -> bool:
    """Tell whether the job has ended without success."""
    status = details.observation.status
    return status.is_terminal and status != "SUCCEEDED"


def _sub_workflows(
    access: ClusterAccess, top: JobDetails, pace: Pace
) -> tuple[list[JobDetails], Trouble | None]:
    """Return the details of all sub-workflows, and why some are missing, if any are."""
    seen, waiting = {top.observation.id}, [top]
    found: list[JobDetails] = []
    trouble: Trouble | None = None
    while waiting and len(seen) <= MAX_WORKFLOWS:
        for child in [action.sub_workflow for action in waiting.pop().actions]:
            if child is None or child in seen:
                continue
            seen.add(child)
            pace()
            details, new_trouble = _sub_workflow(access, top.observation.id, child)
            trouble = new_trouble or trouble
            if trouble and trouble.is_outage:  # the next request would only time out, too
                return found, trouble
            found += details
            waiting += details
    return found, trouble


def _sub_workflow(
    access: ClusterAccess, top: JobId, child: JobId
) -> tuple[list[JobDetails], Trouble | None]:
    """Return the details of a sub-workflow, if Oozie tells any, and why they could not be had."""
    try:
        return [access.oozie.details(child)], None
    except JobNotFound:  # purged, or on another Oozie server
        log.info("sub_workflow_not_found", job=top, child=child)
    except (AccessDenied, RequestRefused) as error:
        log.warning("sub_workflow_refused", job=top, child=child, reason=str(error))
    except CredentialsRefused:
        raise
    except Exception as error:
        return [], trouble_of(error, top)
    return [], None


def _collect(
    found: dict[ApplicationId, Application], job_id: JobId, search: Iterator[Application]
) -> Trouble | None:
    """Add the applications that a search finds; return why it is not complete, if it is not."""
    try:
        for app in search:
            found.setdefault(app.id, app)
    except (AccessDenied, RequestRefused) as error:
        log.info("search_refused", job=job_id, reason=str(error))
    except CredentialsRefused:
        raise
    except Exception as error:
        log.info("search_unfinished", job=job_id, reason=str(error))
        return trouble_of(error, job_id)
    return None


def _of_earlier_tries(oozie: Oozie, family: list[JobDetails], pace: Pace) -> Iterator[Application]:
    """Yield the applications of earlier tries of actions; an action itself names only its last."""
    for member in family:
        for action in member.actions:
            if action.retry_count:
                pace()
                with suppress(JobNotFound):  # the action was rerun or purged meanwhile
                    earlier = oozie.earlier_tries(action)
                    yield from applications_of(member.observation.id, earlier)


def _never_recorded(yarn: Yarn, family: list[JobDetails], pace: Pace) -> Iterator[Application]:
    """Yield the applications that YARN knows by the tag of their action.

    Oozie learns the id of a child application when the launcher ends; a launcher that was killed
    never reports it.
    """
    by_tag = {
        tag: (member.observation.id, action.name)
        for member in family
        for action in member.actions
        if (action.external_id or "-") != "-" and action.sub_workflow is None
        for tag in yarn_tags(member.observation, action)
    }
    if not by_tag:
        return
    pace()
    for app, tag in yarn.tagged(by_tag):
        workflow_id, action_name = by_tag[tag]
        yield Application(id=app, action=action_name, workflow_id=workflow_id, role="child")
