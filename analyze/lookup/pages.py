"""The pages: plain HTML that works without scripts; every name is only ever text in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analyze.categories import Inside
from analyze.lookup.asking import (
    Asked,
    Pairs,
    address,
    check_names,
    pairs_of,
    read_asked,
    whole_number,
)
from analyze.lookup.declined import Declined
from analyze.lookup.rest import PARAMETERS, read_form
from analyze.lookup.service import SIZES, Service, confined
from analyze.lookup.shelf import Shelf, rows_named
from analyze.palette import MUTED
from analyze.similar import Answer, Hit
from extract.catalog import shown

HERE = Path(__file__).parent
PER_PAGE = 48
TOP_ON_PAGE = 12
MOST_VALUES = 1_000
"""Of a level, to choose from."""

MAP_SIDE, MAP_MARGIN = 1000.0, 24.0
LONGEST_NAME = 200
MOST_COLORS = 24
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
    409: "It is being read again: load this page again in a moment.",
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
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
DAY = "public, max-age=86400"
FOREVER = "private, max-age=31536000, immutable"


@dataclass(frozen=True)
class Product:
    """One product as a page shows it.

    Parameters
    ----------
    row : int
    id, name : str
        Control characters escaped.
    label : str or None
        Of the level that colors it.
    color : int or None
        Its class's place among the colors.
    link, picture, large : str
        URLs; of the picture None where pictures are not here.
    """

    row: int
    id: str
    name: str
    label: str | None
    color: int | None
    link: str
    picture: str | None
    large: str | None


@dataclass(frozen=True)
class Similar:
    """One hit as a page shows it."""

    product: Product
    rank: int
    similarity: float
    copies: tuple[Product, ...]
    copy_of_query: bool

    @property
    def shown(self) -> float:
        """What fills its bar: opposite directions are as empty as unrelated ones."""
        return max(0.0, self.similarity)


@dataclass(frozen=True)
class Filter:
    """One level to choose a category of.

    Parameters
    ----------
    name : str
    values : tuple of (str, str, int, bool)
        The parameter, what is shown, how many pictures, whether it is chosen.
    n_more : int
        Values that are too many to show.
    """

    name: str
    values: tuple[tuple[str, str, int, bool], ...]
    n_more: int


class Pages:
    """Draws the pages of a service.

    Parameters
    ----------
    service : Service
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def catalogue(self, pairs: Pairs) -> Response:
        """Show the catalogue, or what of it is searched for."""
        # a form that could have sent a picture leaves its name behind
        asked = read_asked(pairs, ("model", "where", "q", "page", "diverse", "image"))
        given = dict(pairs)
        text = given.get("q", "").strip()
        shelf = self.service.shelf(asked.model)
        inside = confined(shelf, asked)
        rows = _rows(shelf, text, inside)
        n_pages = max(1, -(-len(rows) // PER_PAGE))
        page = whole_number(given.get("page") or None, "page", 1, n_pages)
        some = rows[(page - 1) * PER_PAGE : page * PER_PAGE].tolist()

        def turned(to: int) -> str | None:
            parameters = [("q", text or None), *_kept(asked), ("page", to if to > 1 else None)]
            return address("/", parameters) if 1 <= to <= n_pages else None

        return self._page(
            "catalogue.html",
            asked,
            shelf,
            text=shown(text),
            inside=_said(inside),
            pictures_here=shelf.pictures.root is not None,
            products=[_product(shelf, row, asked) for row in some],
            n_found=len(rows),
            page=page,
            n_pages=n_pages,
            previous=turned(page - 1),
            following=turned(page + 1),
        )

    async def product(self, pairs: Pairs) -> Response:
        """Show a product and what looks like it."""
        asked = _one_id(read_asked(pairs, ("id", *PARAMETERS), top=TOP_ON_PAGE))
        shelf, (answer,) = await self.service.look_up(asked)
        row = shelf.row(asked.ids[0])
        columns = {
            shown(name)[:LONGEST_NAME]: shown(values[row])[:1000]
            for name, values in shelf.embeddings.columns.items()
            if values[row] and name != shelf.names
        }
        labels = {
            shown(level.name)[:LONGEST_NAME]: shown(level.value(row) or "")[:LONGEST_NAME]
            for level in shelf.embeddings.levels
            if level.value(row)
        }
        return self._page(
            "product.html",
            asked,
            shelf,
            product=_product(shelf, row, asked),
            labels=labels,
            columns=columns,
            own_copies=[_product(shelf, each, asked) for each in answer.left_out],
            hits=_hits(shelf, answer, asked),
            how=_how(shelf, asked),
            inside=_said(confined(shelf, asked)),
            link_id=asked.ids[0],
            map_link=address("/map", [("id", asked.ids[0]), *_kept(asked)]),
        )

    async def picture(self, request: Request) -> Response:
        """Show what looks like a picture that was sent."""
        content, pairs = await read_form(request)
        asked = read_asked(pairs, (*PARAMETERS, "q"), top=TOP_ON_PAGE)
        shelf, small, (answer,) = await self.service.look_up_picture(content, asked)
        lit = [("hit", shelf.embeddings.ids[hit.row]) for hit in answer.hits]
        return self._page(
            "picture.html",
            asked,
            shelf,
            sent="data:image/jpeg;base64," + base64.b64encode(small).decode(),
            hits=_hits(shelf, answer, asked),
            how=_how(shelf, asked),
            inside=_said(confined(shelf, asked)),
            map_link=address("/map", [*lit, ("model", asked.model)]),
        )

    async def map(self, pairs: Pairs) -> Response:
        """Show the stored map, in which a query and its hits light up."""
        check_names(pairs, ("id", "hit", "map", *PARAMETERS))
        named = [value for name, value in pairs if name == "hit"]
        rest = [(name, value) for name, value in pairs if name not in ("hit", "map")]
        asked = read_asked(rest, ("id", *PARAMETERS), top=TOP_ON_PAGE)
        shelf = self.service.shelf(asked.model)
        query: int | None = None
        hits = [shelf.row(each) for each in named if each]
        if asked.ids:
            shelf, (answer,) = await self.service.look_up(_one_id(asked))
            query, hits = shelf.row(asked.ids[0]), [hit.row for hit in answer.hits]
        inside = confined(shelf, asked)
        drawn = _drawn(shelf, dict(pairs).get("map"), query, hits, inside, asked)
        link_id = asked.ids[0] if asked.ids else None
        return self._page("map.html", asked, shelf, link_id=link_id, link_hits=named, **drawn)

    def error(self, declined: Declined) -> Response:
        """Show an error to a person."""
        heading = HEADINGS.get(declined.status, "This cannot be shown")
        advice = ADVICE.get(declined.code) or ADVICE_BY_STATUS.get(declined.status, "")
        text = self._templates.get_template("error.html").render(
            declined=declined, heading=heading, advice=advice, **_links(None)
        )
        return _html(text, declined.status, declined.headers())

    def _page(self, template: str, asked: Asked, shelf: Shelf, **shows: Any) -> Response:
        text = self._templates.get_template(template).render(
            asked=asked,
            shelf=shelf,
            keys=self.service.keys,
            key=asked.model or self.service.keys[0],
            n_images=len(shelf.embeddings),
            uploads=self.service.uploads(asked.model or self.service.keys[0]),
            filters=_filters(shelf, asked),
            random=shelf.embeddings.provenance.weights == "random",
            **shows,
            **_links(asked),
        )
        return _html(text)


def _html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a page; names may hold bytes that are no text."""
    return HTMLResponse(text.encode("utf-8", "surrogateescape"), status, headers)


def _links(asked: Asked | None) -> dict[str, str | None]:
    """Give the links that stand on every page."""
    model = asked.model if asked else None
    return {
        "home": address("/", [("model", model)]),
        "map_tab": address("/map", [("model", model)]),
        "model_kept": model,
    }


def _said(inside: Inside | None) -> str:
    return inside.said[:LONGEST_NAME] if inside is not None else ""


def _how(shelf: Shelf, asked: Asked) -> str:
    """Say how was searched."""
    exact = asked.where or shelf.opened.index is None
    search = "all compared" if exact else f"{shelf.opened.recall:.1%} of the true ten found"
    return f"{search}, unlike each other" if asked.diverse is not None else search


def _rows(shelf: Shelf, text: str, inside: Inside | None) -> np.ndarray:
    if text:
        return rows_named(shelf, text, inside)
    return np.arange(len(shelf.embeddings)) if inside is None else inside.rows


def _one_id(asked: Asked) -> Asked:
    if len(asked.ids) != 1:
        raise Declined(422, "name one product, by its id")
    return asked


def _kept(asked: Asked) -> list[tuple[str, object]]:
    """Give what is kept from page to page."""
    where = [("where", each) for each in asked.where]
    return [("model", asked.model), *where, ("diverse", asked.diverse)]


def _product(shelf: Shelf, row: int, asked: Asked) -> Product:
    embeddings = shelf.embeddings
    row_id = embeddings.ids[row]
    label = shelf.level.value(row) if shelf.level else None
    small, large = (
        address(f"/picture/{shelf.version}/{row}", [("model", asked.model), ("size", size)])
        for size in SIZES
    )
    there = shelf.pictures.root is not None
    return Product(
        row,
        shown(row_id)[:LONGEST_NAME],
        _name(shelf, row),
        None if label is None else shown(label)[:LONGEST_NAME],
        int(shelf.level.codes[row]) % len(MUTED) if shelf.level and label is not None else None,
        address("/product", [("id", row_id), *_kept(asked)]),
        small if there else None,
        large if there else None,
    )


def _name(shelf: Shelf, row: int) -> str:
    """Give a product's name, or its id where it has none, as a page may show it."""
    name = shelf.embeddings.columns[shelf.names][row] if shelf.names else ""
    return shown(name or shelf.embeddings.ids[row])[:LONGEST_NAME]


def _hits(shelf: Shelf, answer: Answer, asked: Asked) -> list[Similar]:
    def spelled(rank: int, hit: Hit) -> Similar:
        copies = (*hit.equal_bytes, *hit.near_equal)
        return Similar(
            _product(shelf, hit.row, asked),
            rank,
            hit.similarity,
            tuple(_product(shelf, row, asked) for row in copies),
            hit.copy_of_query,
        )

    return [spelled(rank, hit) for rank, hit in enumerate(answer.hits, start=1)]


def _filters(shelf: Shelf, asked: Asked) -> list[Filter]:
    """List the categories of each level, inside of what is chosen of the levels above."""
    found = []
    there_at_all = np.ones(len(shelf.embeddings), bool)
    for level in shelf.embeddings.levels:
        codes = level.codes[there_at_all & (level.codes >= 0)]
        counts = np.bincount(codes, minlength=len(level.categories))
        chosen = [i for i, c in enumerate(level.categories) if f"{level.name}={c}" in asked.where]
        if chosen:
            there_at_all &= np.isin(level.codes, chosen)
        there = [i for i, n in enumerate(counts.tolist()) if n or i in chosen]
        values = tuple(
            (
                f"{level.name}={level.categories[i]}",
                shown(level.categories[i])[:LONGEST_NAME],
                int(counts[i]),
                f"{level.name}={level.categories[i]}" in asked.where,
            )
            for i in there[:MOST_VALUES]
        )
        found.append(
            Filter(shown(level.name)[:LONGEST_NAME], values, max(0, len(there) - MOST_VALUES))
        )
    return found


def _colors(shelf: Shelf) -> dict[str, Any]:
    """Give the colors of the classes there are, for a legend: code, color, word, pictures."""
    level = shelf.level
    if level is None:
        return {"colors": [], "n_more_colors": 0, "level_name": ""}
    there, counts = np.unique(level.codes[level.codes >= 0], return_counts=True)
    some = zip(there[:MOST_COLORS].tolist(), counts[:MOST_COLORS].tolist(), strict=True)
    return {
        "colors": [
            (code, code % len(MUTED), shown(level.categories[code])[:60], n) for code, n in some
        ],
        "n_more_colors": max(0, len(there) - MOST_COLORS),
        "level_name": shown(level.name)[:60],
    }


def _drawn(
    shelf: Shelf,
    name: str | None,
    query: int | None,
    hits: Sequence[int],
    inside: Inside | None,
    asked: Asked,
) -> dict[str, Any]:
    """Place the rows of a stored map, each with its color, what is lit last."""
    maps = shelf.maps
    none: dict[str, Any] = {"map": None, "maps": [], "points": [], "lit": [], "query": None}
    none |= {"n_left_out": 0, "names": {}, **_colors(shelf)}
    if not maps:
        return none
    chosen = maps[0] if not name else next((each for each in maps if each.name == name), None)
    if chosen is None:
        have = ", ".join(each.name for each in maps)
        raise Declined(404, f"no map {shown(name or '')[:100]!r} is stored: there are {have}")
    lit = [row for row in hits if row != query]
    light = {row: rank for rank, row in enumerate(lit, start=1)}
    places = chosen.within(MAP_SIDE, MAP_MARGIN)
    codes = shelf.level.codes if shelf.level else np.full(len(shelf.embeddings), -1)
    rows = chosen.rows_drawn(np.array([*lit, *([query] if query is not None else [])], int))
    if inside is not None:
        rows = np.intersect1d(rows, inside.rows)

    def at(row: int) -> dict[str, Any]:
        code = int(codes[row])
        return {
            "row": row,
            "x": f"{places[row, 0]:.1f}",
            "y": f"{places[row, 1]:.1f}",
            "color": code % len(MUTED) if code >= 0 else None,
            "code": code,
        }

    special = {*lit, query}
    drawn = [*rows.tolist(), *lit, *([query] if query is not None else [])]
    return {
        **_colors(shelf),
        "names": {row: _name(shelf, row)[:80] for row in drawn},
        "map": chosen,
        "maps": [(each.name, f"{each.method} · {each.name}") for each in maps],
        "points": [at(row) for row in rows.tolist() if row not in special],
        "lit": [
            {**at(row), "rank": light[row], "product": _product(shelf, row, asked)} for row in lit
        ],
        "query": None if query is None else {**at(query), "product": _product(shelf, query, asked)},
        "n_left_out": len(shelf.embeddings) - len(rows) if inside is None else 0,
    }


def _row_of(shelf: Shelf, version: str, row: str) -> int:
    """Read a row's number, of the very rows that a page showed.

    Raises
    ------
    Declined
    """
    if version != shelf.version:
        raise Declined(409, "the embeddings changed: load the page again")
    if not (row.isascii() and row.isdigit() and len(row) < 12 and int(row) < len(shelf.embeddings)):
        raise Declined(404, "there is no such row")
    return int(row)


@cache
def _static(name: str) -> tuple[bytes, str]:
    """Read what pages are styled and moved by; the names are those of the folder."""
    files = {path.name: path for path in (HERE / "static").iterdir() if path.suffix in MEDIA}
    if name not in files:
        raise Declined(404, "there is nothing here")
    return files[name].read_bytes(), MEDIA[files[name].suffix]


def routes(pages: Pages) -> APIRouter:
    """Make the routes of the pages, of pictures, and of what pages are styled by."""
    router = APIRouter(include_in_schema=False)
    reading = ["GET", "HEAD"]

    @router.api_route("/", methods=reading)
    async def catalogue(request: Request) -> Response:
        return pages.catalogue(pairs_of(request.scope["query_string"]))

    @router.api_route("/product", methods=reading)
    async def product(request: Request) -> Response:
        return await pages.product(pairs_of(request.scope["query_string"]))

    @router.post("/similar")
    async def similar(request: Request) -> Response:
        return await pages.picture(request)

    @router.api_route("/map", methods=reading)
    async def drawn_map(request: Request) -> Response:
        return await pages.map(pairs_of(request.scope["query_string"]))

    @router.api_route("/picture/{version}/{row}", methods=reading)
    async def picture(request: Request, version: str, row: str) -> Response:
        pairs = pairs_of(request.scope["query_string"])
        asked = read_asked(pairs, ("model", "size"))
        shelf = pages.service.shelf(asked.model)
        found = _row_of(shelf, version, row)
        size = dict(pairs).get("size", str(SIZES[0]))
        if size not in map(str, SIZES):
            raise Declined(422, f"size is one of {', '.join(map(str, SIZES))}")
        content = await pages.service.thumbnail(shelf, found, int(size))
        return Response(content, media_type="image/jpeg", headers={"cache-control": FOREVER})

    @router.api_route("/row/{version}/{row}", methods=reading)
    async def row_of(request: Request, version: str, row: str) -> Response:
        asked = read_asked(pairs_of(request.scope["query_string"]), ("model",))
        shelf = pages.service.shelf(asked.model)
        found = _row_of(shelf, version, row)
        link = address("/product", [("id", shelf.embeddings.ids[found]), ("model", asked.model)])
        return RedirectResponse(link, 303)

    @router.api_route("/static/{name}", methods=reading)
    async def static(name: str) -> Response:
        content, kind = _static(name)
        return Response(content, media_type=kind, headers={"cache-control": DAY})

    @router.api_route("/favicon.ico", methods=reading)
    async def icon() -> Response:
        content, kind = _static("icon.svg")
        return Response(content, media_type=kind, headers={"cache-control": DAY})

    return router
