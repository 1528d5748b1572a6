"""Take a fresh credential from a user whose jobs wait for one: `/api/login`."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint
from pydantic import Field

from tracker_service.api import openapi
from tracker_service.api.auth import Credentials, current_caller
from tracker_service.api.schemas.base import Schema
from tracker_service.identities import Identities
from tracker_service.store.database import Store


class LoginAnswer(Schema):
    """The caller, and how many jobs go on with the new credential."""

    user: str
    kept: bool = Field(description="the credential is kept, because there is work for you")
    released: int = Field(description="jobs that waited for it and go on now")


def blueprint(credentials: Credentials, store: Store, identities: Identities) -> APIBlueprint:
    """Return the call that takes a fresh credential."""
    bp = openapi.blueprint("login", "Credentials for work in the background.", "/api", credentials)

    @bp.post("/login", responses=openapi.answers({200: LoginAnswer}))
    def login() -> Response:
        """Give the credential of this request to your jobs; those that wait for one go on at once.

        It is kept only if you track a job that has not ended. Repeating is harmless.
        """
        caller = current_caller()
        released = store.write(lambda connection: identities.keep(connection, caller))
        answer = LoginAnswer(
            user=caller.name, kept=released is not None, released=len(released or ())
        )
        return jsonify(answer.model_dump())

    return bp
