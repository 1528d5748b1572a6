"""Reads the parameters of a request to Oozie, and refuses with Oozie's codes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from werkzeug.wrappers import Request, Response

from tracker_service.sandbox.answers import empty_answer, json_answer


class OozieError(Exception):
    """Oozie refuses a request with one of its codes."""

    def __init__(self, code: str, message: str, *, is_named: bool = True) -> None:
        super().__init__(f"{code}: {message}" if is_named else message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request with the caller's name."""

    request: Request
    user: str

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter; the default for what is missing or empty."""
        return self.request.args.get(name) or default

    def number(self, name: str, default: int) -> int:
        """Return a whole number; the default for what is missing or below one."""
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError as exc:
            raise OozieError("E1603", f'For input string: "{value}"', is_named=False) from exc
        return number if number > 0 else default


def refusal(error: OozieError, *, with_body: bool) -> Response:
    """Answer with an error: in the headers, and in the body unless the request changes a job."""
    message = str(error)
    headers = {"oozie-error-code": error.code, "oozie-error-message": message.replace("\n", " ")}
    if not with_body:
        return empty_answer(400, headers)
    body: dict[str, object] = {"errorMessage": escape(message), "httpStatusCode": 400}
    return json_answer(body, 400, headers)
