"""Describes files and directories with their permission bits, and how HDFS refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

SUPERUSER = "hdfs"
#: The group that the sandbox's users share; they are not in ``hadoop``, so logs stay private.
USERS_GROUP = "users"

READ, WRITE, EXECUTE = 4, 2, 1
_ACCESS = {READ: "READ", WRITE: "WRITE", EXECUTE: "EXECUTE", READ | EXECUTE: "READ_EXECUTE"}
_ACCESS[READ | WRITE | EXECUTE] = "ALL"


class HdfsError(Exception):
    """HDFS refuses an operation; the subclass names the Java exception."""

    status: ClassVar[int] = 403
    java_class: ClassVar[str] = "java.io.IOException"


class AccessControlError(HdfsError):
    """The caller lacks a permission."""

    java_class = "org.apache.hadoop.security.AccessControlException"


class NotFoundError(HdfsError):
    """The path does not exist."""

    status = 404
    java_class = "java.io.FileNotFoundException"


class AlreadyExistsError(HdfsError):
    """The path exists and may not be replaced."""

    java_class = "org.apache.hadoop.fs.FileAlreadyExistsException"


class ParentNotDirectoryError(HdfsError):
    """A file stands where a directory is needed."""

    java_class = "org.apache.hadoop.fs.ParentNotDirectoryException"


class NotEmptyError(HdfsError):
    """A directory with content is deleted without ``recursive``."""

    java_class = "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException"


class IllegalArgumentError(HdfsError):
    """A parameter makes no sense."""

    status = 400
    java_class = "java.lang.IllegalArgumentException"


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """One file (with content) or directory (with children)."""

    file_id: int
    owner: str
    group: str
    permission: int
    modified_ms: int
    length: int = 0
    content: Callable[[], bytes] | None = None
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        """Tell a directory from a file."""
        return self.content is None

    def child(self, name: str) -> Node | None:
        """Return the child of that name, if there is one."""
        return self.children.get(name)

    def allows(self, user: str, access: int) -> bool:
        """Tell whether the permission bits give *user* all of *access*."""
        if user == SUPERUSER:
            return True
        shift = 6 if user == self.owner else 3 if self.group == USERS_GROUP else 0
        return (self.permission >> shift) & access == access

    @property
    def described(self) -> str:
        """Owner, group and mode in the form of HDFS's messages."""
        bits = "".join(
            letter if self.permission & (0o400 >> place) else "-"
            for place, letter in enumerate("rwxrwxrwx")
        )
        if self.permission & 0o1000:
            bits = bits[:-1] + ("t" if bits.endswith("x") else "T")
        return f"{self.owner}:{self.group}:{'d' if self.is_directory else '-'}{bits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPath:
    """A path with the nodes that exist along it, the root first."""

    path: str
    names: tuple[str, ...]
    nodes: tuple[Node, ...]

    @property
    def target(self) -> Node | None:
        """The node at the path, if there is one."""
        return self.nodes[-1] if len(self.nodes) == len(self.names) + 1 else None

    @property
    def ancestors(self) -> tuple[Node, ...]:
        """The existing nodes above the path."""
        return self.nodes[: len(self.names)]

    def path_of(self, depth: int) -> str:
        """Return the path of the node at *depth*."""
        return "/" + "/".join(self.names[:depth])

    def require(self, user: str, depth: int, access: int) -> None:
        """Raise unless *user* has *access* to the existing node at *depth*."""
        node = self.nodes[depth]
        if not node.allows(user, access):
            raise AccessControlError(
                f"Permission denied: user={user}, access={_ACCESS[access]}, "
                f'inode="{self.path_of(depth)}":{node.described}'
            )

    def check_sticky(self, user: str) -> None:
        """Keep others from removing this entry of a directory with the sticky bit."""
        if not self.names:
            return
        parent, node = self.nodes[-2], self.nodes[-1]
        if not parent.permission & 0o1000 or user in (SUPERUSER, parent.owner, node.owner):
            return
        depth = len(self.names)
        raise AccessControlError(
            f'Permission denied by sticky bit: user={user}, path="{self.path}":{node.described}, '
            f'parent="{self.path_of(depth - 1)}":{parent.described}'
        )
