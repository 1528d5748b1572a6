"""Build the API and the worker from the settings; every part gets what it needs by constructor."""

from tracker_service.bootstrap.service import Service, build_service
from tracker_service.bootstrap.worker import build_worker

__all__ = ["Service", "build_service", "build_worker"]
