"""Reads the recorded logs: aggregated files of a real cluster, and what ``yarn logs`` prints."""

from __future__ import annotations

import gzip
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

_TEXT = "yarn-logs.txt"
_TFILE_MAGIC = bytes.fromhex("d111d36891b5d7b6")
_NUMBER = re.compile(rb"Container: container_(\d+_\d+)_")


@dataclass(frozen=True)
class Recording:
    """The log of one application of a real cluster."""

    name: str

    @cached_property
    def nodes(self) -> dict[str, bytes]:
        """The aggregated files by the name of their node."""
        return {name: data for name, data in self._unpacked.items() if name != _TEXT}

    @property
    def text(self) -> bytes:
        """The text that ``yarn logs -applicationId`` prints."""
        return self._unpacked[_TEXT]

    @cached_property
    def number(self) -> str:
        """The application's id without its first word."""
        found = _NUMBER.match(self.text)
        return found[1].decode() if found else ""

    @cached_property
    def format(self) -> str:
        """The format of the aggregated files: tfile or ifile."""
        [data, *_] = self.nodes.values()
        return "tfile" if data.startswith(_TFILE_MAGIC) else "ifile"

    @cached_property
    def _unpacked(self) -> dict[str, bytes]:
        folder = resources.files(__package__).joinpath("logs", *self.name.split("/"))
        return {
            entry.name.removesuffix(".gz"): gzip.decompress(entry.read_bytes())
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        }


@lru_cache
def recording(name: str) -> Recording:
    """Return the recording of that name, unpacked once in a process."""
    return Recording(name)


def renumbered(data: bytes, numbers: Mapping[str, str]) -> bytes:
    """Replace applications' numbers by others of the same length: recorded lengths stay right."""
    replaced = {old.encode(): new.encode() for old, new in numbers.items()}
    replaced |= {_mark(old): _mark(new) for old, new in numbers.items()}
    pattern = b"|".join(re.escape(old) for old in replaced)
    return re.sub(pattern, lambda found: replaced[found[0]], data)


def timed(text: bytes, written_at: float) -> bytes:
    """Return the text that ``yarn logs`` prints of a TFile that was written at an instant."""
    day, month, number, clock, year = time.asctime(time.gmtime(written_at)).split()
    modified = f"{day} {month} {int(number):02d} {clock} +0000 {year}".encode()
    return re.sub(rb"(?m)^(LogLastModifiedTime:).*$", rb"\g<1>" + modified, text)


def _mark(number: str) -> bytes:
    """Return what an indexed file begins and ends with: a hash of its application's id."""
    return hashlib.sha256(f"application_{number}".encode()).digest()
