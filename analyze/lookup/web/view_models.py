"""Products and hits as a page shows them: words, colors and addresses, no bytes."""

from __future__ import annotations

from dataclasses import dataclass

from analyze.lookup.http.parameters import Asked, address
from analyze.lookup.service.served_catalog import Shelf
from analyze.lookup.service.service import SIZES
from analyze.neighbors.similar import Answer, Hit
from analyze.presentation.palette import MUTED
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
        """Whether it speaks of copies or variants."""
        found = self.copies or self.variants
        return bool(found or self.copy_of_query or self.variant_of_query)

    @property
    def shown(self) -> float:
        """What fills its bar: opposite directions are as empty as unrelated ones."""
        return max(0.0, self.similarity)


def color_name(code: int) -> str:
    """Name the style of a class's color, -1 for no class; classes beyond the colors share."""
    return "c-none" if code < 0 else f"c{code % len(MUTED)}"


def how_searched(shelf: Shelf, asked: Asked) -> str:
    """Say how was searched."""
    exact = asked.where or shelf.opened.index is None
    n = f"{len(shelf.embeddings):,}"
    search = f"All {n} products compared"
    if asked.where:
        search = "All products there compared"
    elif not exact:
        search = f"A fast search of {n} products, which finds {shelf.opened.recall:.1%} of the ten"
        search += " most similar"
    return f"{search}; varied results" if asked.diverse is not None else search


def kept_choices(asked: Asked) -> list[tuple[str, object]]:
    """Give what is kept from page to page."""
    where = [("where", each) for each in asked.where]
    return [("model", asked.model), *where, ("diverse", asked.diverse), *sight(asked)]


def sight(asked: Asked) -> list[tuple[str, object]]:
    """Give the parameter by which pictures are shown as the model saw them, if they are."""
    return [("seen", 1)] if asked.seen else []


def product_shown(shelf: Shelf, row: int, asked: Asked) -> Product:
    """Show a row, with links that keep what is chosen."""
    embeddings = shelf.embeddings
    row_id = embeddings.ids[row]
    label = shelf.level.value(row) if shelf.level else None
    seen = sight(asked) if shelf.as_seen else []
    small, large = (
        address(f"/picture/{shelf.version}/{row}", [("model", asked.model), ("size", size), *seen])
        for size in (SIZES[-1:] * 2 if seen else SIZES)  # the model's own size is small enough
    )
    there = shelf.pictures.root is not None
    return Product(
        row,
        shown(row_id)[:LONGEST_NAME],
        name_shown(shelf, row),
        None if label is None else shown(label)[:LONGEST_NAME],
        color_name(int(shelf.level.codes[row]) if shelf.level else -1),
        address("/product", [("id", row_id), *kept_choices(asked)]),
        small if there else None,
        large if there else None,
        shelf.level.name if shelf.level else "",
    )


def name_shown(shelf: Shelf, row: int) -> str:
    """Give a product's name, or its id where it has none, as a page may show it."""
    name = shelf.embeddings.columns[shelf.names][row] if shelf.names else ""
    return shown(name or shelf.embeddings.ids[row])[:LONGEST_NAME]


def hits_shown(shelf: Shelf, answer: Answer, asked: Asked) -> list[Similar]:
    """Show the hits of a look-up, the most similar first, with their copies."""

    def spelled(rank: int, hit: Hit) -> Similar:
        def products(rows: tuple[int, ...]) -> tuple[Product, ...]:
            return tuple(product_shown(shelf, row, asked) for row in rows)

        return Similar(
            product_shown(shelf, hit.row, asked),
            rank,
            hit.similarity,
            products((*hit.equal_bytes, *hit.near_equal)),
            hit.copy_of_query,
            products(hit.variants),
            hit.variant_of_query,
        )

    return [spelled(rank, hit) for rank, hit in enumerate(answer.hits, start=1)]
