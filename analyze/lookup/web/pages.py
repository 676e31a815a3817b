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
    Pairs,
    SearchRequest,
    address,
    check_names,
    pairs_of,
    read_search,
    whole_number,
)
from analyze.lookup.service.served_catalog import SearchResult, ServedCatalog, rows_named
from analyze.lookup.service.service import SIZES, Service
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
from analyze.reduction.stored_maps import StoredMap
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
        Titles of the levels.
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
        """Show the catalogue, or the part that is searched for."""
        # a form that could have sent a picture leaves its name behind
        search = read_search(pairs, ("model", "where", "q", "page", "diverse", "seen", "image"))
        given = dict(pairs)
        text = given.get("q", "").strip()
        catalog = self.service.catalog(search.model)

        def draw() -> Response:
            inside = catalog.inside(search.where)
            rows: Sequence[int] | np.ndarray = range(len(catalog.embeddings))
            if text:
                rows = rows_named(catalog, text, inside)
            elif inside is not None:
                rows = inside.rows
            return self._catalogue(given, text, SearchResult(catalog, search, inside), rows)

        heavy = text or search.where
        return await (self.service.run_heavy(draw) if heavy else self.service.run_light(draw))

    def _catalogue(
        self,
        given: Mapping[str, str],
        text: str,
        result: SearchResult,
        rows: Sequence[int] | np.ndarray,
    ) -> Response:
        catalog, search = result.catalog, result.search
        n_pages = max(1, -(-len(rows) // PER_PAGE))
        page = whole_number(given.get("page") or None, "page", 1, n_pages)
        some = list(map(int, rows[(page - 1) * PER_PAGE : page * PER_PAGE]))

        def turned(to: int) -> str | None:
            parameters = [
                ("q", text or None),
                *kept_choices(search),
                ("page", to if to > 1 else None),
            ]
            return address("/", parameters) if 1 <= to <= n_pages else None

        return self._page(
            "catalogue.html",
            search,
            catalog,
            text=shown(text),
            inside=self._titles.inside(result.inside),
            pictures_here=catalog.pictures.root is not None,
            products=[product_shown(catalog, row, search) for row in some],
            n_found=len(rows),
            page=page,
            n_pages=n_pages,
            previous=turned(page - 1),
            following=turned(page + 1),
        )

    async def product(self, pairs: Pairs) -> Response:
        """Show a product and what looks like it."""
        search = _one_id(read_search(pairs, ("id", *SHOWN), top=TOP_ON_PAGE))
        return await self.service.look_up(search, self._product)

    def _product(self, result: SearchResult) -> Response:
        catalog, search, (answer,) = result.catalog, result.search, result.answers
        row = catalog.row(search.ids[0])
        columns = {
            shown(name)[:LONGEST_NAME]: shown(values[row])[:1000]
            for name, values in catalog.embeddings.columns.items()
            if values[row] and name != catalog.names
        }
        labels = [
            (level.name, shown(level.value(row) or "")[:LONGEST_NAME])
            for level in catalog.embeddings.levels
            if level.value(row)
        ]
        return self._page(
            "product.html",
            search,
            catalog,
            product=product_shown(catalog, row, search),
            labels=labels,
            columns=columns,
            own_copies=[product_shown(catalog, each, search) for each in answer.left_out],
            hits=hits_shown(catalog, answer, search),
            how=how_searched(catalog, search),
            inside=self._titles.inside(result.inside),
            link_id=search.ids[0],
            map_link=address("/map", [("id", search.ids[0]), *kept_choices(search)]),
            table=address(
                "/similar.csv", [("id", search.ids[0]), ("top", search.top), *kept_choices(search)]
            ),
        )

    async def table(self, pairs: Pairs) -> Response:
        """Answer with the table of hits that a product's page shows."""
        search = _one_id(read_search(pairs, ("id", *SHOWN), top=TOP_ON_PAGE))

        def spell(result: SearchResult) -> Response:
            headers = {"content-disposition": f'attachment; filename="{TABLE}"'}
            return Response(_table(result), media_type="text/csv", headers=headers)

        return await self.service.look_up(search, spell)

    async def picture(self, request: Request) -> Response:
        """Show what looks like a picture that was sent."""
        content, pairs = await read_form(request)
        search = read_search(pairs, (*SHOWN, "q"), top=TOP_ON_PAGE)
        return await self.service.look_up_picture(content, search, self._picture)

    def _picture(self, result: SearchResult) -> Response:
        catalog, search, (answer,) = result.catalog, result.search, result.answers
        lit = [("hit", catalog.embeddings.ids[hit.row]) for hit in answer.hits]
        return self._page(
            "picture.html",
            search,
            catalog,
            sent=_in_page("image/jpeg", result.picture),
            hits=hits_shown(catalog, answer, search),
            how=how_searched(catalog, search),
            inside=self._titles.inside(result.inside),
            map_link=address("/map", [*lit, ("model", search.model), *sight(search)]),
            table=_in_page("text/csv", _table(result)),
        )

    async def map(self, pairs: Pairs) -> Response:
        """Show the stored map, with a query and its hits highlighted."""
        check_names(pairs, ("id", "hit", "map", *SHOWN))
        named = [value for name, value in pairs if name == "hit"]
        rest = [(name, value) for name, value in pairs if name not in ("hit", "map")]
        search = read_search(rest, ("id", *SHOWN), top=TOP_ON_PAGE)
        catalog = self.service.catalog(search.model)
        lit = [catalog.row(each) for each in named if each]

        def draw(result: SearchResult) -> Response:
            catalog, query, hits, drawn = result.catalog, None, lit, None
            for answer in result.answers:
                query, hits = catalog.row(search.ids[0]), [hit.row for hit in answer.hits]
            maps = catalog.maps
            stored = _map_named(maps, dict(pairs).get("map"))
            if stored is not None:
                drawn = draw_map(catalog, stored, query=query, hits=hits, inside=result.inside)
            return self._page(
                "map.html",
                search,
                catalog,
                drawn=drawn,
                maps=[(each.name, f"{each.method} · {each.name}") for each in maps],
                products=_lit_products(catalog, drawn, search),
                link_id=search.ids[0] if search.ids else None,
                link_hits=named,
            )

        if search.ids:
            return await self.service.look_up(_one_id(search), draw)
        return await self.service.run_heavy(
            lambda: draw(SearchResult(catalog, search, catalog.inside(search.where)))
        )

    def error(self, declined: Declined) -> Response:
        """Show an error to a person."""
        text = self._templates.get_template("error.html").render(
            declined=declined, heading=heading(declined), advice=advice(declined), **_links(None)
        )
        return _html(text, declined.status, declined.headers())

    def _page(
        self, template: str, search: SearchRequest, catalog: ServedCatalog, **shows: Any
    ) -> Response:
        key = self.service.key(search.model)
        text = self._templates.get_template(template).render(
            search=search,
            catalog=catalog,
            keys=self.service.keys,
            key=key,
            n_images=len(catalog.embeddings),
            status=self.service.status_on_page(catalog),
            filters=filters(catalog, search),
            random=catalog.embeddings.provenance.weights == "random",
            **shows,
            **_links(search),
        )
        return _html(text)


def _html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a page; names may hold bytes that are no text."""
    return HTMLResponse(text.encode("utf-8", "surrogateescape"), status, headers)


def _links(search: SearchRequest | None) -> dict[str, Any]:
    """Give the links that stand on every page."""
    kept = [("model", search.model), *sight(search)] if search else []
    return {
        "home": address("/", kept),
        "map_tab": address("/map", kept),
        "seen": bool(search and search.seen),
        "kept": [(name, value) for name, value in kept if value is not None],
    }


def _in_page(kind: str, content: bytes) -> str:
    """Return content as a data URL: the service is not requested again."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _table(result: SearchResult) -> bytes:
    """Spell the hits as the CSV that ``python -m analyze similar`` writes."""
    return csv_bytes(similar_table(result.json(), result.catalog.embeddings))


def _one_id(search: SearchRequest) -> SearchRequest:
    if len(search.ids) != 1:
        raise Declined(422, "name one product, by its id")
    return search


def _map_named(maps: Sequence[StoredMap], name: str | None) -> StoredMap | None:
    """Return the map of this name; None where none is stored.

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


def _lit_products(
    catalog: ServedCatalog, drawn: DrawnMap | None, search: SearchRequest
) -> dict[int, Product]:
    """Return the highlighted products of a map, by row."""
    if drawn is None:
        return {}
    lit = [*drawn.lit, *([drawn.query] if drawn.query else [])]
    return {point.row: product_shown(catalog, point.row, search) for point in lit}


def _row_of(catalog: ServedCatalog, version: str, row: str) -> int:
    """Read a row's number, of the very rows that a page showed.

    Raises
    ------
    Declined
    """
    if version != catalog.version:
        raise Declined(409, "the embeddings changed: load the page again")
    if not (
        row.isascii() and row.isdigit() and len(row) < 12 and int(row) < len(catalog.embeddings)
    ):
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
        search = read_search(pairs, ("model", "size", "seen"))
        catalog = pages.service.catalog(search.model)
        found = _row_of(catalog, version, row)
        size = dict(pairs).get("size", str(SIZES[0]))
        if size not in map(str, SIZES):
            raise Declined(422, f"size is one of {', '.join(map(str, SIZES))}")
        content = await pages.service.thumbnail(catalog, found, int(size), seen=search.seen)
        return Response(content, media_type="image/jpeg", headers={"cache-control": FOREVER})

    @router.api_route("/row/{version}/{row}", methods=reading)
    async def row_of(request: Request, version: str, row: str) -> Response:
        search = read_search(pairs_of(request.scope["query_string"]), ("model", "seen"))
        catalog = pages.service.catalog(search.model)
        found = _row_of(catalog, version, row)
        kept = [("model", search.model), *sight(search)]
        link = address("/product", [("id", catalog.embeddings.ids[found]), *kept])
        return RedirectResponse(link, 303)

    return router
