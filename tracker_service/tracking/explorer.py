"""Find all YARN applications of a job and of its sub-workflows."""

from __future__ import annotations

from collections.abc import Iterator
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
from tracker_service.errors import AccessDenied, GatewayUnavailable, JobNotFound, RequestRefused
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.oozie import Oozie
from tracker_service.sources.yarn import Yarn

log = structlog.get_logger()

MAX_WORKFLOWS = 200  #: sub-workflows of one job; Oozie itself nests at most 50 deep


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """A job with its actions, and the applications of it and of its sub-workflows."""

    details: JobDetails
    applications: tuple[Application, ...]
    is_complete: bool  #: False if part of the cluster did not answer
    below: tuple[JobDetails, ...] = ()  #: its sub-workflows, as far as Oozie answered about them

    @property
    def actions(self) -> list[Action]:
        """Return the actions of the job, then those of its sub-workflows."""
        return [action for job in (self.details, *self.below) for action in job.actions]


def explore(access: ClusterAccess, job_id: JobId, *, is_wanted: bool = False) -> Exploration:
    """Ask Oozie for a job's details; if the job failed, search for all its applications.

    The search goes through sub-workflows, the earlier tries of actions (both from Oozie) and the
    tags of applications (from YARN).

    Args:
        is_wanted: search also if the job succeeded or is running.

    Raises:
        JobNotFound, GatewayUnavailable, CredentialsRefused, AccessDenied: for the job itself.
    """
    details = access.oozie.details(job_id)
    found = {app.id: app for app in applications_of(job_id, details.actions)}
    if not (is_wanted or _is_worth_a_search(details)):
        return Exploration(details=details, applications=tuple(found.values()), is_complete=True)
    below, is_complete = _sub_workflows(access, details)
    family = [details, *below]
    for member in below:
        for app in applications_of(member.observation.id, member.actions):
            found.setdefault(app.id, app)
    for search in (
        _of_earlier_tries(access.oozie, family),
        _never_recorded(access.yarn, family),
    ):
        is_complete &= _collect(found, job_id, search)
    return Exploration(
        details=details,
        applications=tuple(found.values()),
        is_complete=is_complete,
        below=tuple(below),
    )


def _is_worth_a_search(details: JobDetails) -> bool:
    """Tell whether the job has ended without success."""
    status = details.observation.status
    return status.is_terminal and status != "SUCCEEDED"


def _sub_workflows(access: ClusterAccess, top: JobDetails) -> tuple[list[JobDetails], bool]:
    """Return the details of all sub-workflows, and whether Oozie answered about all of them."""
    seen, waiting = {top.observation.id}, [top]
    found: list[JobDetails] = []
    while waiting and len(seen) <= MAX_WORKFLOWS:
        for child in [action.sub_workflow for action in waiting.pop().actions]:
            if child is None or child in seen:
                continue
            seen.add(child)
            try:
                found.append(access.oozie.details(child))
                waiting.append(found[-1])
            except JobNotFound:  # purged, or on another Oozie server
                log.info("sub_workflow_not_found", job=top.observation.id, child=child)
            except (AccessDenied, RequestRefused) as error:
                log.warning(
                    "sub_workflow_refused",
                    job=top.observation.id,
                    child=child,
                    reason=str(error),
                )
            except GatewayUnavailable:  # the next request would only time out, too
                return found, False
    return found, True


def _collect(
    found: dict[ApplicationId, Application], job_id: JobId, search: Iterator[Application]
) -> bool:
    """Add the applications that a search finds; return whether the search is complete."""
    try:
        for app in search:
            found.setdefault(app.id, app)
    except (AccessDenied, RequestRefused) as error:
        log.info("search_refused", job=job_id, reason=str(error))
    except GatewayUnavailable as error:
        log.info("search_unfinished", job=job_id, reason=str(error))
        return False
    return True


def _of_earlier_tries(oozie: Oozie, family: list[JobDetails]) -> Iterator[Application]:
    """Yield the applications of earlier tries of actions; an action itself names only its last."""
    for member in family:
        for action in member.actions:
            if action.retry_count:
                with suppress(JobNotFound):  # the action was rerun or purged meanwhile
                    earlier = oozie.earlier_tries(action)
                    yield from applications_of(member.observation.id, earlier)


def _never_recorded(yarn: Yarn, family: list[JobDetails]) -> Iterator[Application]:
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
    for app, tag in yarn.tagged(by_tag) if by_tag else ():
        workflow_id, action_name = by_tag[tag]
        yield Application(id=app, action=action_name, workflow_id=workflow_id, role="child")
