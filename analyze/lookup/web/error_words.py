"""Texts of the error page: what went wrong, and what to do next."""

from __future__ import annotations

from analyze.lookup.http.errors import Declined

HEADINGS = {
    400: "The request was incomplete",
    401: "This service needs a token",
    403: "Requests from other sites are refused",
    404: "Not found",
    408: "That took too long to send",
    409: "The catalogue has just changed",
    413: "Too large",
    421: "Wrong address",
    422: "This cannot be searched for",
    500: "Something went wrong",
    503: "Too busy right now",
}
ADVICE_BY_STATUS = {
    404: "It may have been renamed, or removed from the catalogue.",
    409: "This page is from before the change: reload it.",
    413: "Send a smaller picture: most are well under 20 MB.",
    503: "Many people are searching, or a model is missing: try again in a moment.",
}
ADVICE = {
    "unidentified": "This file is not a picture that can be read: save it as JPEG or PNG.",
    "unsupported": "This file is not a picture that can be read: save it as JPEG or PNG.",
    "truncated": "The file is incomplete: copy or save it again.",
    "corrupt": "The file is damaged: download or save it again.",
    "too_large": "It has too many pixels: make it smaller, 50 megapixels at most.",
    "aspect": "It is too long and narrow: crop it to the product.",
    "no_picture": "Choose a picture first, then search.",
}


def heading(declined: Declined) -> str:
    """Return the heading of an error page."""
    return HEADINGS.get(declined.status, "This cannot be shown")


def advice(declined: Declined) -> str:
    """Return what to do next; empty where there is no advice."""
    return ADVICE.get(declined.code) or ADVICE_BY_STATUS.get(declined.status, "")
