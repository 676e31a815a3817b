"""Errors of the service: a status, a code and one line."""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    400: "bad_request",
    401: "no_token",
    403: "foreign_origin",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "changed",
    413: "too_large",
    415: "not_a_form",
    421: "foreign_host",
    422: "bad_parameter",
    431: "head_too_large",
    500: "internal",
    501: "not_implemented",
    503: "busy",
    505: "other_http",
}


@dataclass(eq=False)  # not frozen: Python writes the traceback into it
class Declined(Exception):
    """A request that is declined, with the reason.

    Parameters
    ----------
    status : int
        Of HTTP.
    message : str
        One line for people; never a path of this machine, never a traceback.
    code : str
        For programs; of the status where it is empty.
    retry_after : int, optional
        Seconds after which it may go better.
    allowed : str, optional
        Methods that are.
    """

    status: int
    message: str
    code: str = ""
    retry_after: int | None = None
    allowed: str | None = None

    def body(self) -> dict[str, str]:
        """Return the JSON body of the error."""
        return {"error": self.message, "code": self.code or CODES.get(self.status, "declined")}

    def headers(self) -> dict[str, str]:
        """Return the headers of the error."""
        found = {"Retry-After": str(self.retry_after)} if self.retry_after is not None else {}
        return found | ({"Allow": self.allowed} if self.allowed else {})
