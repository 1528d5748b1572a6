"""Keeps a small HDFS in memory and refuses what the real one refuses."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Callable, Iterator
from typing import Self

from tracker_service.sandbox.inodes import (
    EXECUTE,
    READ,
    SUPERUSER,
    USERS_GROUP,
    WRITE,
    AccessControlError,
    AlreadyExistsError,
    HdfsError,
    IllegalArgumentError,
    Node,
    NotEmptyError,
    NotFoundError,
    ParentNotDirectoryError,
    ResolvedPath,
)


class Hdfs:
    """A file system with owners and permission bits; callers hold the cluster's lock.

    Follows the HDFS Permissions Guide of Hadoop 3.3.6.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ids = itertools.count(16385)
        self._root = self._node(SUPERUSER, "supergroup", 0o755)

    @classmethod
    def with_homes(
        cls, clock: Callable[[], float], users: tuple[str, ...], homes: str = "/user"
    ) -> Self:
        """Make the directories that a fresh cluster has, and a home for each user."""
        hdfs = cls(clock)
        for path, owner, group, permission in (
            ("/tmp", SUPERUSER, "hadoop", 0o1777),  # noqa: S108 - a path in HDFS
            ("/app-logs", "yarn", "hadoop", 0o1777),
            ("/user", SUPERUSER, "hadoop", 0o755),
            *(((homes, SUPERUSER, "hadoop", 0o755),) if homes != "/user" else ()),
            *((f"{homes}/{user}", user, USERS_GROUP, 0o755) for user in users),
        ):
            hdfs.place_directory(path, owner=owner, group=group, permission=permission)
        return hdfs

    def status(self, path: str, user: str) -> Node:
        """Return the node at *path*."""
        resolved = self._resolve(path)
        self._traverse(resolved, user)
        if resolved.target is None:
            raise NotFoundError(f"File does not exist: {resolved.path}")
        return resolved.target

    def list(self, path: str, user: str) -> Iterator[tuple[str, Node]]:
        """Return the entries of a directory by name; a file gives itself with an empty name."""
        resolved = self._resolve(path)
        self._traverse(resolved, user)
        node = resolved.target
        if node is None:
            raise NotFoundError(f"File {resolved.path} does not exist.")
        if not node.is_directory:
            return iter([("", node)])
        resolved.require(user, -1 % len(resolved.nodes), READ | EXECUTE)
        return iter(sorted(node.children.items()))

    def check_readable(self, path: str, user: str) -> Node:
        """Return the node at *path*; a file must be readable, a directory need not be."""
        resolved = self._resolve(path)
        self._traverse(resolved, user)
        if resolved.target is None:
            raise NotFoundError(f"File {resolved.path} not found.")
        if not resolved.target.is_directory:
            resolved.require(user, len(resolved.names), READ)
        return resolved.target

    def read(self, path: str, user: str) -> bytes:
        """Return the bytes of the file at *path*."""
        node = self.check_readable(path, user)
        if node.content is None:
            raise NotFoundError(f"Path is not a file: {path}")
        return node.content()

    def create(
        self,
        path: str,
        user: str,
        data: bytes,
        *,
        overwrite: bool = False,
        permission: int = 0o644,
    ) -> None:
        """Write a file, with its missing parents."""
        resolved = self._resolve(path)
        self._traverse(resolved, user, ParentNotDirectoryError)
        self._require_parent_write(resolved, user)
        if (existing := resolved.target) is not None:
            if existing.is_directory:
                raise AlreadyExistsError(f"{resolved.path} already exists as a directory")
            if not overwrite:
                raise AlreadyExistsError(f"{resolved.path} for client 127.0.0.1 already exists")
            resolved.require(user, len(resolved.names), WRITE)
        parent = self._make_parents(resolved, user)
        self._attach(parent, resolved.names[-1], self._file(user, parent.group, permission, data))

    def mkdirs(self, path: str, user: str, *, permission: int = 0o755) -> None:
        """Make a directory and its missing parents; an existing one stays as it is."""
        resolved = self._resolve(path)
        self._traverse(resolved, user, ParentNotDirectoryError)
        if (existing := resolved.target) is not None:
            if not existing.is_directory:
                raise AlreadyExistsError(f"Path is not a directory: {resolved.path}")
            return
        self._require_parent_write(resolved, user)
        parent = self._make_parents(resolved, user)
        self._attach(parent, resolved.names[-1], self._node(user, parent.group, permission))

    def rename(self, source: str, destination: str, user: str) -> bool:
        """Rename unless the destination exists; into it where that is a directory."""
        old, new = self._resolve(source), self._resolve(destination)
        if old.names and old.target and new.target is not None and new.target.is_directory:
            new = self._resolve(posixpath.join(new.path, old.names[-1]))
        self._check_rename(old, new, user)
        if old.target is None or len(new.ancestors) < len(new.names):
            return False
        if old.path == new.path:
            return not old.target.is_directory
        if new.target is not None or _is_below(new.path, old.path):
            return False
        self._move(old, new, old.target)
        return True

    def replace(self, source: str, destination: str, user: str, *, overwrite: bool = True) -> None:
        """Rename in one step over an existing file or empty directory."""
        old, new = self._resolve(source), self._resolve(destination)
        self._check_rename(old, new, user)
        if old.target is None:
            raise NotFoundError(f"rename source {old.path} is not found.")
        if old.path == new.path:
            raise AlreadyExistsError(
                f"The source {old.path} and destination {new.path} are the same"
            )
        if _is_below(new.path, old.path):
            raise HdfsError(
                f"Rename destination {new.path} is a directory or file under {old.path}"
            )
        if len(new.ancestors) < len(new.names):
            raise NotFoundError(f"rename destination parent {new.path} not found.")
        if new.target is not None:
            _check_replaceable(old, new, overwrite)
        self._move(old, new, old.target)

    def delete(self, path: str, user: str, *, recursive: bool = False) -> bool:
        """Delete; False where there is nothing."""
        resolved = self._resolve(path)
        self._traverse(resolved, user)
        node = resolved.target
        if not resolved.names:
            resolved.require(user, 0, READ | WRITE | EXECUTE)
        if node is None or not resolved.names:
            return False
        resolved.require(user, len(resolved.names) - 1, WRITE)
        resolved.check_sticky(user)
        if node.children and not recursive:
            raise NotEmptyError(f"`{resolved.path} is non empty': Directory is not empty")
        parent = resolved.nodes[-2]
        del parent.children[resolved.names[-1]]
        parent.modified_ms = self._now_ms()
        return True

    def set_permission(self, path: str, user: str, permission: int) -> None:
        """Change the permission bits; only the owner may."""
        resolved = self._resolve(path)
        self._traverse(resolved, user)
        if resolved.target is None:
            raise NotFoundError(f"Directory/File does not exist {resolved.path}")
        if user not in (resolved.target.owner, SUPERUSER):
            raise AccessControlError(
                f"Permission denied. user={user} is not the owner of inode={resolved.path}"
            )
        resolved.target.permission = permission

    def place_directory(self, path: str, *, owner: str, group: str, permission: int) -> None:
        """Make a directory (not its parents) as the cluster itself does, if it is missing."""
        self._place(path, self._node(owner, group, permission))

    def place_file(
        self,
        path: str,
        length: int,
        content: Callable[[], bytes],
        *,
        owner: str,
        group: str,
        written_at: float,
        permission: int = 0o640,
    ) -> None:
        """Put a file whose bytes are made when they are read into an existing directory."""
        node = self._node(owner, group, permission)
        node.length, node.content = length, content
        node.modified_ms = int(written_at * 1000)
        self._place(path, node)

    def _place(self, path: str, node: Node) -> None:
        resolved = self._resolve(path)
        if resolved.target is None:
            self._attach(resolved.ancestors[-1], resolved.names[-1], node)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _node(self, owner: str, group: str, permission: int) -> Node:
        return Node(
            file_id=next(self._ids),
            owner=owner,
            group=group,
            permission=permission,
            modified_ms=self._now_ms(),
        )

    def _file(self, owner: str, group: str, permission: int, data: bytes) -> Node:
        node = self._node(owner, group, permission)
        node.length, node.content = len(data), lambda: data
        return node

    def _attach(self, parent: Node, name: str, node: Node) -> None:
        parent.children[name] = node
        parent.modified_ms = self._now_ms()

    def _resolve(self, path: str) -> ResolvedPath:
        names = tuple(name for name in path.split("/") if name)
        nodes = [self._root]
        for name in names:
            found = nodes[-1].child(name)
            if found is None:
                break
            nodes.append(found)
        return ResolvedPath(path="/" + "/".join(names), names=names, nodes=tuple(nodes))

    def _traverse(
        self, resolved: ResolvedPath, user: str, not_directory: type[HdfsError] = AccessControlError
    ) -> None:
        """Check that each existing ancestor is a directory that *user* may enter."""
        for depth, node in enumerate(resolved.ancestors):
            if not node.is_directory:
                raise not_directory(f"{resolved.path_of(depth)} (is not a directory)")
            resolved.require(user, depth, EXECUTE)

    def _require_parent_write(self, resolved: ResolvedPath, user: str) -> None:
        if {".", ".."} & set(resolved.names):
            raise IllegalArgumentError(f"Invalid path name {resolved.path}")
        resolved.require(user, len(resolved.ancestors) - 1 if resolved.names else 0, WRITE)

    def _make_parents(self, resolved: ResolvedPath, user: str) -> Node:
        parent = resolved.ancestors[-1]
        for name in resolved.names[len(resolved.ancestors) - 1 : -1]:
            directory = self._node(user, parent.group, 0o755)
            self._attach(parent, name, directory)
            parent = directory
        return parent

    def _check_rename(self, old: ResolvedPath, new: ResolvedPath, user: str) -> None:
        self._traverse(old, user)
        self._traverse(new, user, ParentNotDirectoryError)
        if not old.names or not new.names:
            raise HdfsError("The root cannot be renamed")
        if len(old.ancestors) == len(old.names):
            old.require(user, len(old.names) - 1, WRITE)
        if old.target is not None:
            old.check_sticky(user)
        self._require_parent_write(new, user)

    def _move(self, old: ResolvedPath, new: ResolvedPath, node: Node) -> None:
        del old.nodes[-2].children[old.names[-1]]
        old.nodes[-2].modified_ms = self._now_ms()
        self._attach(new.ancestors[-1], new.names[-1], node)


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def _check_replaceable(old: ResolvedPath, new: ResolvedPath, overwrite: bool) -> None:
    source, target = old.nodes[-1], new.nodes[-1]
    if not overwrite:
        raise AlreadyExistsError(f"rename destination {new.path} already exists")
    if source.is_directory != target.is_directory:
        raise HdfsError(f"Source {old.path} and destination {new.path} must both be directories")
    if target.children:
        raise HdfsError(f"rename destination directory is not empty: {new.path}")
