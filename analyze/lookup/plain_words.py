"""What is said to a person whose request cannot be answered: what it was, and what to do."""

from __future__ import annotations

from analyze.lookup.declined import Declined

HEADINGS = {
    400: "The request was not whole",
    401: "This service has a token",
    403: "Not from there",
    404: "Not here",
    408: "That took too long to come",
    409: "The catalogue has just changed",
    413: "That is too large",
    421: "Another address",
    422: "This cannot be looked up",
    500: "Something went wrong here",
    503: "Busy",
}
ADVICE_BY_STATUS = {
    404: "It may have another name now, or have left the catalogue.",
    409: "What you look at is from before: load the page again.",
    413: "Send a smaller picture: most are well under 20 MB.",
    503: "Many ask at once, or a backbone is missing: try again in a moment.",
}
ADVICE = {
    "unidentified": "It is no picture of a kind that is read: save it as JPEG or PNG.",
    "unsupported": "It is no picture of a kind that is read: save it as JPEG or PNG.",
    "truncated": "The file ends too early: copy or save it again.",
    "corrupt": "The file is damaged: save it again from where it came.",
    "too_large": "It has too many pixels: make it smaller, 50 megapixels at most.",
    "aspect": "It is far longer than wide: cut out what matters.",
    "no_picture": "Choose a picture first, then ask.",
}


def heading(declined: Declined) -> str:
    """Give the head line of an error's page."""
    return HEADINGS.get(declined.status, "This cannot be shown")


def advice(declined: Declined) -> str:
    """Say what to do next; empty where there is nothing to say."""
    return ADVICE.get(declined.code) or ADVICE_BY_STATUS.get(declined.status, "")
