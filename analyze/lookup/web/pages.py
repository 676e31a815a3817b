"""The pages: plain HTML that works without scripts; every name is only ever text in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.parameters import (
    Asked,
    Pairs,
    address,
    check_names,
    pairs_of,
    read_asked,
    whole_number,
)
from analyze.lookup.service.served_catalog import Looked, Shelf, rows_named
from analyze.lookup.service.service import SIZES, Service
from analyze.lookup.service.stored_map import StoredMap
from analyze.lookup.web.error_words import advice, heading
from analyze.lookup.web.filters import filters
from analyze.lookup.web.map_view import DrawnMap, draw_map
from analyze.lookup.web.rest import PARAMETERS, read_form
from analyze.lookup.web.static_files import static_address
from analyze.lookup.web.titles import Titles
from analyze.lookup.web.view_models import (
    LONGEST_NAME,
    Product,
    hits_shown,
    how_searched,
    kept_choices,
    product_shown,
    sight,
)
from analyze.neighbors.similar_result import similar_table
from extract.ids import shown
from extract.tables import csv_bytes

HERE = Path(__file__).parent
SHOWN = (*PARAMETERS, "seen")
PER_PAGE = 48
TOP_ON_PAGE = 12
TABLE = "similar.csv"
FOREVER = "private, max-age=31536000, immutable"


class Pages:
    """Draws the pages of a service.

    Parameters
    ----------
    service : Service
    titles : Titles, optional
        What levels are called.
    """

    def __init__(self, service: Service, titles: Titles | None = None) -> None:
        self.service, self._titles = service, titles or Titles()
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # a version that is installed meanwhile has templates of its own
        )
        self._templates.globals["static"] = static_address
        self._templates.globals["titled"] = self._titles.of

    async def catalogue(self, pairs: Pairs) -> Response:
        """Show the catalogue, or what of it is searched for."""
        # a form that could have sent a picture leaves its name behind
        asked = read_asked(pairs, ("model", "where", "q", "page", "diverse", "seen", "image"))
        given = dict(pairs)
        text = given.get("q", "").strip()
        shelf = self.service.shelf(asked.model)

        def draw() -> Response:
            inside = shelf.inside(asked.where)
            rows: Sequence[int] | np.ndarray = range(len(shelf.embeddings))
            if text:
                rows = rows_named(shelf, text, inside)
            elif inside is not None:
                rows = inside.rows
            return self._catalogue(given, text, Looked(shelf, asked, inside), rows)

        heavy = text or asked.where
        return await (self.service.apart(draw) if heavy else self.service.drawn(draw))

    def _catalogue(
        self, given: Mapping[str, str], text: str, looked: Looked, rows: Sequence[int] | np.ndarray
    ) -> Response:
        shelf, asked = looked.shelf, looked.asked
        n_pages = max(1, -(-len(rows) // PER_PAGE))
        page = whole_number(given.get("page") or None, "page", 1, n_pages)
        some = list(map(int, rows[(page - 1) * PER_PAGE : page * PER_PAGE]))

        def turned(to: int) -> str | None:
            parameters = [
                ("q", text or None),
                *kept_choices(asked),
                ("page", to if to > 1 else None),
            ]
            return address("/", parameters) if 1 <= to <= n_pages else None

        return self._page(
            "catalogue.html",
            asked,
            shelf,
            text=shown(text),
            inside=self._titles.inside(looked.inside),
            pictures_here=shelf.pictures.root is not None,
            products=[product_shown(shelf, row, asked) for row in some],
            n_found=len(rows),
            page=page,
            n_pages=n_pages,
            previous=turned(page - 1),
            following=turned(page + 1),
        )

    async def product(self, pairs: Pairs) -> Response:
        """Show a product and what looks like it."""
        asked = _one_id(read_asked(pairs, ("id", *SHOWN), top=TOP_ON_PAGE))
        return await self.service.look_up(asked, self._product)

    def _product(self, looked: Looked) -> Response:
        shelf, asked, (answer,) = looked.shelf, looked.asked, looked.answers
        row = shelf.row(asked.ids[0])
        columns = {
            shown(name)[:LONGEST_NAME]: shown(values[row])[:1000]
            for name, values in shelf.embeddings.columns.items()
            if values[row] and name != shelf.names
        }
        labels = [
            (level.name, shown(level.value(row) or "")[:LONGEST_NAME])
            for level in shelf.embeddings.levels
            if level.value(row)
        ]
        return self._page(
            "product.html",
            asked,
            shelf,
            product=product_shown(shelf, row, asked),
            labels=labels,
            columns=columns,
            own_copies=[product_shown(shelf, each, asked) for each in answer.left_out],
            hits=hits_shown(shelf, answer, asked),
            how=how_searched(shelf, asked),
            inside=self._titles.inside(looked.inside),
            link_id=asked.ids[0],
            map_link=address("/map", [("id", asked.ids[0]), *kept_choices(asked)]),
            table=address(
                "/similar.csv", [("id", asked.ids[0]), ("top", asked.top), *kept_choices(asked)]
            ),
        )

    async def table(self, pairs: Pairs) -> Response:
        """Answer with the table of hits that a product's page shows."""
        asked = _one_id(read_asked(pairs, ("id", *SHOWN), top=TOP_ON_PAGE))

        def spell(looked: Looked) -> Response:
            headers = {"content-disposition": f'attachment; filename="{TABLE}"'}
            return Response(_table(looked), media_type="text/csv", headers=headers)

        return await self.service.look_up(asked, spell)

    async def picture(self, request: Request) -> Response:
        """Show what looks like a picture that was sent."""
        content, pairs = await read_form(request)
        asked = read_asked(pairs, (*SHOWN, "q"), top=TOP_ON_PAGE)
        return await self.service.look_up_picture(content, asked, self._picture)

    def _picture(self, looked: Looked) -> Response:
        shelf, asked, (answer,) = looked.shelf, looked.asked, looked.answers
        lit = [("hit", shelf.embeddings.ids[hit.row]) for hit in answer.hits]
        return self._page(
            "picture.html",
            asked,
            shelf,
            sent=_in_page("image/jpeg", looked.picture),
            hits=hits_shown(shelf, answer, asked),
            how=how_searched(shelf, asked),
            inside=self._titles.inside(looked.inside),
            map_link=address("/map", [*lit, ("model", asked.model), *sight(asked)]),
            table=_in_page("text/csv", _table(looked)),
        )

    async def map(self, pairs: Pairs) -> Response:
        """Show the stored map, in which a query and its hits light up."""
        check_names(pairs, ("id", "hit", "map", *SHOWN))
        named = [value for name, value in pairs if name == "hit"]
        rest = [(name, value) for name, value in pairs if name not in ("hit", "map")]
        asked = read_asked(rest, ("id", *SHOWN), top=TOP_ON_PAGE)
        shelf = self.service.shelf(asked.model)
        lit = [shelf.row(each) for each in named if each]

        def draw(looked: Looked) -> Response:
            shelf, query, hits, drawn = looked.shelf, None, lit, None
            for answer in looked.answers:
                query, hits = shelf.row(asked.ids[0]), [hit.row for hit in answer.hits]
            maps = shelf.maps
            stored = _map_named(maps, dict(pairs).get("map"))
            if stored is not None:
                drawn = draw_map(shelf, stored, query=query, hits=hits, inside=looked.inside)
            return self._page(
                "map.html",
                asked,
                shelf,
                drawn=drawn,
                maps=[(each.name, f"{each.method} · {each.name}") for each in maps],
                products=_lit_products(shelf, drawn, asked),
                link_id=asked.ids[0] if asked.ids else None,
                link_hits=named,
            )

        if asked.ids:
            return await self.service.look_up(_one_id(asked), draw)
        return await self.service.apart(
            lambda: draw(Looked(shelf, asked, shelf.inside(asked.where)))
        )

    def error(self, declined: Declined) -> Response:
        """Show an error to a person."""
        text = self._templates.get_template("error.html").render(
            declined=declined, heading=heading(declined), advice=advice(declined), **_links(None)
        )
        return _html(text, declined.status, declined.headers())

    def _page(self, template: str, asked: Asked, shelf: Shelf, **shows: Any) -> Response:
        key = self.service.key(asked.model)
        text = self._templates.get_template(template).render(
            asked=asked,
            shelf=shelf,
            keys=self.service.keys,
            key=key,
            n_images=len(shelf.embeddings),
            standing=self.service.standing_on_page(shelf),
            filters=filters(shelf, asked),
            random=shelf.embeddings.provenance.weights == "random",
            **shows,
            **_links(asked),
        )
        return _html(text)


def _html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a page; names may hold bytes that are no text."""
    return HTMLResponse(text.encode("utf-8", "surrogateescape"), status, headers)


def _links(asked: Asked | None) -> dict[str, Any]:
    """Give the links that stand on every page."""
    kept = [("model", asked.model), *sight(asked)] if asked else []
    return {
        "home": address("/", kept),
        "map_tab": address("/map", kept),
        "seen": bool(asked and asked.seen),
        "kept": [(name, value) for name, value in kept if value is not None],
    }


def _in_page(kind: str, content: bytes) -> str:
    """Spell content as an address of its own: nobody asks the service for it again."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _table(looked: Looked) -> bytes:
    """Spell the hits as the CSV that ``python -m analyze similar`` writes."""
    return csv_bytes(similar_table(looked.json(), looked.shelf.embeddings))


def _one_id(asked: Asked) -> Asked:
    if len(asked.ids) != 1:
        raise Declined(422, "name one product, by its id")
    return asked


def _map_named(maps: Sequence[StoredMap], name: str | None) -> StoredMap | None:
    """Find the map that is asked for; None where none is stored.

    Raises
    ------
    Declined
    """
    if not name or not maps:
        return maps[0] if maps else None
    found = next((each for each in maps if each.name == name), None)
    if found is None:
        have = ", ".join(each.name for each in maps)
        raise Declined(404, f"no map {shown(name)[:100]!r} is stored: there are {have}")
    return found


def _lit_products(shelf: Shelf, drawn: DrawnMap | None, asked: Asked) -> dict[int, Product]:
    """Show what is lit on a map, by row."""
    if drawn is None:
        return {}
    lit = [*drawn.lit, *([drawn.query] if drawn.query else [])]
    return {point.row: product_shown(shelf, point.row, asked) for point in lit}


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


def routes(pages: Pages) -> APIRouter:
    """Make the routes of the pages and of pictures."""
    router = APIRouter(include_in_schema=False)
    reading = ["GET", "HEAD"]

    @router.api_route("/", methods=reading)
    async def catalogue(request: Request) -> Response:
        return await pages.catalogue(pairs_of(request.scope["query_string"]))

    @router.api_route("/product", methods=reading)
    async def product(request: Request) -> Response:
        return await pages.product(pairs_of(request.scope["query_string"]))

    @router.api_route(f"/{TABLE}", methods=reading)
    async def table(request: Request) -> Response:
        return await pages.table(pairs_of(request.scope["query_string"]))

    @router.post("/similar")
    async def similar(request: Request) -> Response:
        return await pages.picture(request)

    @router.api_route("/map", methods=reading)
    async def drawn_map(request: Request) -> Response:
        return await pages.map(pairs_of(request.scope["query_string"]))

    @router.api_route("/picture/{version}/{row}", methods=reading)
    async def picture(request: Request, version: str, row: str) -> Response:
        pairs = pairs_of(request.scope["query_string"])
        asked = read_asked(pairs, ("model", "size", "seen"))
        shelf = pages.service.shelf(asked.model)
        found = _row_of(shelf, version, row)
        size = dict(pairs).get("size", str(SIZES[0]))
        if size not in map(str, SIZES):
            raise Declined(422, f"size is one of {', '.join(map(str, SIZES))}")
        content = await pages.service.thumbnail(shelf, found, int(size), seen=asked.seen)
        return Response(content, media_type="image/jpeg", headers={"cache-control": FOREVER})

    @router.api_route("/row/{version}/{row}", methods=reading)
    async def row_of(request: Request, version: str, row: str) -> Response:
        asked = read_asked(pairs_of(request.scope["query_string"]), ("model", "seen"))
        shelf = pages.service.shelf(asked.model)
        found = _row_of(shelf, version, row)
        kept = [("model", asked.model), *sight(asked)]
        link = address("/product", [("id", shelf.embeddings.ids[found]), *kept])
        return RedirectResponse(link, 303)

    return router
