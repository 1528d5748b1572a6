"""The words of a message for people, and their two forms: plain text and HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from html import escape

from tracker_service.client.cause_text import printable


class Severity(Enum):
    """How bad the news is."""

    FAILURE = "failure"
    WARNING = "warning"
    INFO = "info"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A line that proves a cause, and where it stands."""

    place: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a message tells people. Each text is one bounded line without control characters."""

    severity: Severity
    subject: str
    paragraphs: tuple[str, ...]
    proofs: tuple[Proof, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  #: names and URLs
    commands: tuple[str, ...] = ()  #: with which the reader can go on

    @property
    def text(self) -> str:
        """The words as plain text, without the subject."""
        return "\n\n".join("\n".join(block) for block in self._blocks() if block) + "\n"

    def _blocks(self) -> Iterator[list[str]]:
        for paragraph in self.paragraphs:
            yield [paragraph]
        yield [line for proof in self.proofs for line in (proof.place, f"    {proof.text}")]
        yield [f"{name}: {url}" for name, url in self.links]
        yield [f"    {command}" for command in self.commands]

    @property
    def html(self) -> str:
        """The words as a page of HTML for mail."""
        links = " · ".join(
            f'<a href="{escape(url)}">{escape(name)}</a>' for name, url in self.links
        )
        parts = [
            "<!DOCTYPE html>",
            '<html><head><meta charset="utf-8"></head><body>',
            f"<h3>{escape(self.subject)}</h3>",
            *(f"<p>{escape(paragraph)}</p>" for paragraph in self.paragraphs),
            *(f"<p>{escape(p.place)}</p>\n<pre>{escape(p.text)}</pre>" for p in self.proofs),
            f"<p>{links}</p>" if links else "",
            f"<pre>{escape(chr(10).join(self.commands))}</pre>" if self.commands else "",
            "</body></html>",
        ]
        return "\n".join(part for part in parts if part) + "\n"


def clipped(text: object, most: int) -> str:
    """Return a text in one line of at most `most` characters, which does nothing to a reader."""
    line = printable(str(text)[: 4 * most]).strip()
    return line if len(line) <= most else f"{line[: most - 1]}…"
