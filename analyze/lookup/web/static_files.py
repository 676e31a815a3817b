"""What pages are styled and moved by: files that are addressed by their content."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from analyze import presentation
from analyze.lookup.http.errors import Declined

FOLDERS = (Path(__file__).parent / "static", Path(str(presentation.__file__)).parent / "web")
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
DAY = "public, max-age=86400"


@cache
def _static(name: str) -> tuple[bytes, str]:
    """Read one of them; the names are those of the folders."""
    files = {
        path.name: path for folder in FOLDERS for path in folder.iterdir() if path.suffix in MEDIA
    }
    if name not in files:
        raise Declined(404, "there is nothing here")
    return files[name].read_bytes(), MEDIA[files[name].suffix]


@cache
def static_address(name: str) -> str:
    """Spell where a file is found; another content, of a later version, has another address."""
    return f"/static/{name}?{hashlib.sha256(_static(name)[0]).hexdigest()[:12]}"


def routes() -> APIRouter:
    """Make their routes."""
    router = APIRouter(include_in_schema=False)
    reading = ["GET", "HEAD"]

    @router.api_route("/static/{name}", methods=reading)
    async def static(name: str) -> Response:
        content, kind = _static(name)
        return Response(content, media_type=kind, headers={"cache-control": DAY})

    @router.api_route("/favicon.ico", methods=reading)
    async def icon() -> Response:
        content, kind = _static("icon.svg")
        return Response(content, media_type=kind, headers={"cache-control": DAY})

    return router
