"""Products and hits as a page shows them: words, colors and addresses, no bytes."""

from __future__ import annotations

from dataclasses import dataclass

from analyze.lookup.http.parameters import SearchRequest, address
from analyze.lookup.service.served_catalog import ServedCatalog
from analyze.lookup.service.service import SIZES
from analyze.neighbors.similar import Answer, Hit
from extract.ids import shown

LONGEST_NAME = 200
"""Letters of a name or id."""


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
    color : str
        Its class's class of style.
    link, picture, large : str
        URLs; of the picture None where pictures are not here.
    level : str
        The one that colors it; empty without one.
    """

    row: int
    id: str
    name: str
    label: str | None
    color: str
    link: str
    picture: str | None
    large: str | None
    level: str = ""


@dataclass(frozen=True)
class Similar:
    """One hit as a page shows it."""

    product: Product
    rank: int
    similarity: float
    copies: tuple[Product, ...]
    copy_of_query: bool
    variants: tuple[Product, ...]
    variant_of_query: bool

    @property
    def folds(self) -> bool:
        """Whether it has copies or variants, or is one."""
        found = self.copies or self.variants
        return bool(found or self.copy_of_query or self.variant_of_query)

    @property
    def shown(self) -> float:
        """What fills its bar: opposite directions are as empty as unrelated ones."""
        return max(0.0, self.similarity)


def color_name(catalog: ServedCatalog, code: int) -> str:
    """Name the style of a class's color; of no class, and beyond the 20 largest, it is gray."""
    place = -1 if code < 0 else catalog.places[code]
    return "c-none" if place < 0 else f"c{place}"


def how_searched(catalog: ServedCatalog, search: SearchRequest) -> str:
    """Describe the search in one line."""
    exact = search.where or catalog.opened.index is None
    n = f"{len(catalog.embeddings):,}"
    text = f"All {n} products compared"
    if search.where:
        text = "All products there compared"
    elif not exact:
        text = f"A fast search of {n} products, which finds {catalog.opened.recall:.1%} of the ten"
        text += " most similar"
    return f"{text}; varied results" if search.diverse is not None else text


def kept_choices(search: SearchRequest) -> list[tuple[str, object]]:
    """Give what is kept from page to page."""
    where = [("where", each) for each in search.where]
    return [("model", search.model), *where, ("diverse", search.diverse), *sight(search)]


def sight(search: SearchRequest) -> list[tuple[str, object]]:
    """Give the parameter by which pictures are shown as the model saw them, if they are."""
    return [("seen", 1)] if search.seen else []


def product_shown(catalog: ServedCatalog, row: int, search: SearchRequest) -> Product:
    """Show a row, with links that keep what is chosen."""
    embeddings = catalog.embeddings
    row_id = embeddings.ids[row]
    label = catalog.level.value(row) if catalog.level else None
    seen = sight(search) if catalog.as_seen else []
    small, large = (
        address(
            f"/picture/{catalog.version}/{row}", [("model", search.model), ("size", size), *seen]
        )
        for size in (SIZES[-1:] * 2 if seen else SIZES)  # the model's own size is small enough
    )
    there = catalog.pictures.root is not None
    return Product(
        row,
        shown(row_id)[:LONGEST_NAME],
        name_shown(catalog, row),
        None if label is None else shown(label)[:LONGEST_NAME],
        color_name(catalog, int(catalog.level.codes[row]) if catalog.level else -1),
        address("/product", [("id", row_id), *kept_choices(search)]),
        small if there else None,
        large if there else None,
        catalog.level.name if catalog.level else "",
    )


def name_shown(catalog: ServedCatalog, row: int) -> str:
    """Give a product's name, or its id where it has none, as a page may show it."""
    name = catalog.embeddings.columns[catalog.names][row] if catalog.names else ""
    return shown(name or catalog.embeddings.ids[row])[:LONGEST_NAME]


def hits_shown(catalog: ServedCatalog, answer: Answer, search: SearchRequest) -> list[Similar]:
    """Show the hits of a look-up, the most similar first, with their copies."""

    def spelled(rank: int, hit: Hit) -> Similar:
        def products(rows: tuple[int, ...]) -> tuple[Product, ...]:
            return tuple(product_shown(catalog, row, search) for row in rows)

        return Similar(
            product_shown(catalog, hit.row, search),
            rank,
            hit.similarity,
            products((*hit.equal_bytes, *hit.near_equal)),
            hit.copy_of_query,
            products(hit.variants),
            hit.variant_of_query,
        )

    return [spelled(rank, hit) for rank, hit in enumerate(answer.hits, start=1)]
