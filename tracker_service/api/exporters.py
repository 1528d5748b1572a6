"""Show what the exporters have scraped: `/metrics/teraslice`."""

from __future__ import annotations

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from tracker_service.api import openapi
from tracker_service.api.schemas.queries import TeraslicePageQuery
from tracker_service.exporters.exposition import CONTENT_TYPE
from tracker_service.exporters.lookup import TeraslicePages

_TAG = Tag(name="exporters", description="Metrics of other systems, for Prometheus.")


def blueprint(pages: TeraslicePages) -> APIBlueprint:
    """Return the pages of the exporters; like `/metrics`, they need no credentials."""
    bp = APIBlueprint("exporters", __name__, abp_tags=[_TAG])

    @bp.get(
        "/metrics/teraslice",
        responses=openapi.answers(
            {200: openapi.text("Prometheus' text format.", CONTENT_TYPE)}, 404, 503
        ),
    )
    def teraslice(query: TeraslicePageQuery) -> Response:
        """Return the series of the Teraslice masters, as a worker has scraped them last."""
        return Response(pages.page(query.cluster), content_type=CONTENT_TYPE)

    return bp
