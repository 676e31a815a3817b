"""Scores of a recipe computed here, next to those published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analyze.clustering.runs import KeptResults, Run
from analyze.comparison.scores import ComparisonCell
from analyze.presentation import wording
from extract.recipe import Recipe
from extract.storage.embeddings import EmbeddingSet


@dataclass(frozen=True)
class Reproduction:
    """A recipe's scores here, and those that others published.

    Parameters
    ----------
    recipe : Recipe
    cells : tuple of ComparisonCell
        The ARI of each embedding.
    components : tuple of int or None
        Principal components of each embedding; None where the recipe takes none.
    """

    recipe: Recipe
    cells: tuple[ComparisonCell, ...]
    components: tuple[int | None, ...]

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        cells: Sequence[ComparisonCell],
        embedding_sets: Sequence[EmbeddingSet],
        seed: int,
        kept: KeptResults,
    ) -> Reproduction:
        """Count the components that the recipe's reduction takes of each embedding."""
        steps = recipe.analyze.reduce.split(",")
        at = next((i for i, step in enumerate(steps) if step.startswith("pca")), None)
        if at is None:
            return cls(recipe, tuple(cells), (None,) * len(embedding_sets))
        until = ",".join(steps[: at + 1])
        found = (kept.reduce(Run(each, until, 1, seed)) for each in embedding_sets)
        return cls(recipe, tuple(cells), tuple(int(each.coordinates.shape[1]) for each in found))

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        found = [
            {
                **cell.model.key,
                "ari": cell.mean,
                "low": cell.low,
                "high": cell.high,
                "components": n,
            }
            | cell.model.made
            for cell, n in zip(self.cells, self.components, strict=True)
        ]
        published = {**vars(self.recipe.published), "ari": list(self.recipe.published.ari)}
        described = {"name": self.recipe.name, "about": self.recipe.about}
        return {**described, "published": published, "found": found}

    def lines(self) -> list[str]:
        """Spell it for people."""
        lines = [f"recipe {self.recipe.name}: {self.recipe.about}"]
        lines += [
            f"{cell.model.model}: ARI {wording.score_or_dash(cell.mean)}"
            + (f", {n} components" if n else "")
            for cell, n in zip(self.cells, self.components, strict=True)
        ]
        published = self.recipe.published
        if published.ari:
            low, high = (wording.score(f(published.ari)) for f in (min, max))
            line = f"published: ARI {low}" + (f" to {high}" if high != low else "")
            line += f", {published.components} components" if published.components else ""
            lines.append(line + (f" ({published.note})" if published.note else ""))
        return lines
