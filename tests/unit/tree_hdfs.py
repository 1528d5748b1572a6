"""A stand-in for HDFS with directories, also empty ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.fakes import FakeHdfs
from tracker_service.errors import PathNotFound
from tracker_service.sources.webhdfs import FileStatus


@dataclass
class TreeHdfs(FakeHdfs):
    """Files by their path, in directories that stay when they are empty."""

    there: set[str] = field(default_factory=set)  #: directories

    def put(self, path: str, content: bytes = b"x") -> None:
        """Write a file, and make the directories above it."""
        self.files[path] = content
        parts = path.split("/")
        self.there |= {"/".join(parts[:end]) for end in range(2, len(parts))}

    def list(self, path: str) -> list[FileStatus]:
        self._trouble_of(path)
        if path not in self.there:
            raise PathNotFound(path)
        found = []
        for each in sorted([*self.files, *self.there]):
            above, _, name = each.rpartition("/")
            if above == path:
                found.append(
                    FileStatus(
                        name=name,
                        is_directory=each in self.there,
                        length=len(self.files.get(each, b"")),
                        owner=self.name,
                        permission="600",
                        modified_ms=1,
                    )
                )
        return found

    def delete(self, path: str) -> bool:
        was_there = path in self.there
        self.there -= {each for each in self.there if f"{each}/".startswith(f"{path}/")}
        return super().delete(path) or was_there

    def delete_if_empty(self, path: str) -> bool:
        self._trouble_of(path)
        return path in self.there and not self.list(path) and self.delete(path)
