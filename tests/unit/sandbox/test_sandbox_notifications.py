"""The sandbox calls the URL that a job names, as Oozie does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Clock

from tests.waiting import until
from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.server import SandboxServer

sys.path.append(str(Path(__file__).parents[1]))
