"""What is to fail, and how its case is labelled: one directory below `jobs/`.

job.yml          see `Plan`
workflow.xml     left out where a template of `templates/` does
*.java           compiled into `lib/<app>.jar` of the application
anything else    uploaded beside the workflow, and shipped with the action of a template;
                 without `.in`, which keeps checkers off what is wrong on purpose
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tracker_service.domain.causes import Category, Retryable

HERE = Path(__file__).parent
JOBS = HERE / "jobs"
NO_UPLOAD = (".yml", ".java")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job that fails, and why."""

    name: str
    app: str  #: of the application, which is not to give away what its log has to tell
    what: str
    category: Category
    evidence: Sequence[str]  #: patterns of the whole lines that prove the cause
    retryable: Retryable | None = None
    user: str = "guest"
    action: str = "work"  #: the name of the action of a template
    exec: str = ""  #: what the shell action of the template runs
    main: str = ""  #: the class that the Java action of the template runs
    args: Sequence[str] = ()
    properties: Mapping[str, str] = field(default_factory=dict)  #: of the job
    uploads: Mapping[str, str] = field(default_factory=dict)  #: more files in HDFS, by path
    #: commands of the cluster, as its superuser: before the job, while it runs, after it;
    #: `{launcher}` and `{child}` stand for applications; `wait for start` and `wait for end` are
    #: about the launcher, and `oozie kill` kills the job as its user
    before: Sequence[str] = ()
    during: Sequence[str] = ()
    after: Sequence[str] = ()
    without: Sequence[str] = ()  #: classes that are compiled, but left out of the jar
    class_version: int | None = None  #: of the classes in the jar, where not the compiler's own
    #: settings (`KEY=VALUE`) of `cluster up` without which it would not fail so
    needs: Sequence[str] = ()
    alone: bool = False  #: what is done to the cluster would make other jobs fail too

    @property
    def directory(self) -> Path:
        """Return where its files are."""
        return JOBS / self.name

    @property
    def sources(self) -> list[Path]:
        """Return the Java sources."""
        return sorted(self.directory.glob("*.java"))

    @property
    def shipped(self) -> dict[str, Path]:
        """Return the files that are uploaded as they are, by their path in the application."""
        files = sorted(file for file in self.directory.rglob("*") if file.is_file())
        return {
            str(file.relative_to(self.directory)).removesuffix(".in"): file
            for file in files
            if file.suffix not in NO_UPLOAD
        }


def plan(name: str) -> Plan:
    """Read the plan of a job.

    Raises:
        OSError: there is none.
        TypeError, ValueError: it has other keys or values.
    """
    told = yaml.safe_load((JOBS / name / "job.yml").read_bytes())
    retryable = told.pop("retryable", None)
    return Plan(
        name=name,
        category=Category(told.pop("category")),
        retryable=Retryable(retryable) if retryable else None,
        **told,
    )


def names() -> list[str]:
    """Return the names of all plans."""
    return sorted(file.parent.name for file in JOBS.glob("*/job.yml"))
