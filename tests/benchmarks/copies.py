"""Are copies told from variants? Pairs that are made, and what a folder of photographs holds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from analyze.pictures.duplicates import (
    LEAST_ALIKE,
    LEAST_SIMILARITY,
    MOST_MOVED,
    Fingerprint,
    Relation,
    fingerprint,
    place,
    relation,
    share_of_limits,
)
from analyze.pictures.image_differences import difference, same_shape
from extract.backbones.registry import Backbone, load_backbone
from tests.benchmarks.copied_pictures import Pair, copied_pairs, other_pairs

CHOSEN, REPORTED = 0, 1000
"""Number of the first pair of those on which limits were chosen, and of those that judge them."""

PACKS = ("pack size",)
WIDTHS = (1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 8, 1 / 10, 1 / 15)
"""Of printed texts, of the picture's width."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A pair, and what is said of it.

    Parameters
    ----------
    source, how : str
    copy : bool
    said : Relation or None
        Where the vectors leave it open.
    apart : float
        The largest difference, in shares of its limit, where the one lies best on the other.
    similarity : float
        Cosine of the vectors; 1 without a backbone.
    """

    source: str
    how: str
    copy: bool
    said: Relation | None
    apart: float
    similarity: float = 1.0


def measure(images: Path | None, pairs: int, model: str | None) -> None:
    """Print precision and recall on made pairs, and the relatives among photographs."""
    backbone = load_backbone(model) if model else None
    for name, first in (("chosen on", CHOSEN), ("reported on", REPORTED)):
        n_each = pairs // (2 if images else 1)
        judged = [
            _judged(pair, backbone)
            for folder in (None, images)
            if folder is None or images
            for pair in _pairs(range(first, first + n_each), folder)
        ]
        print("\n".join(lines_of(name, judged)), flush=True)
    print("\n".join(_by_width(range(REPORTED, REPORTED + pairs // 8), images)))
    if images is not None:
        print("\n".join(_natural(images)))


def _pairs(numbers: Sequence[int], images: Path | None) -> Iterator[Pair]:
    yield from copied_pairs(numbers, images)
    yield from other_pairs(numbers, images)
    yield from other_pairs(numbers[: len(numbers) // 4], images, PACKS)


def judge(pair: Pair, similarity: float = 1.0) -> Judged:
    """Say what a pair is, and by how much it differs."""
    known = fingerprint(pair.one), fingerprint(pair.other)
    one, other = (each.planes for each in known)
    placement = place(one, other)
    found = [difference(one, other)]
    if placement.most_moved <= MOST_MOVED:
        found.append(difference(one, other, placement))
    apart = min(share_of_limits(each) for each in found)
    return Judged(pair.source, pair.how, pair.copy, relation(*known, similarity), apart, similarity)


def _judged(pair: Pair, backbone: Backbone | None) -> Judged:
    """Judge a pair; with a backbone, also say how near their vectors are."""
    if backbone is None:
        return judge(pair)
    one, other = backbone.embed_pictures([pair.one, pair.other])
    return judge(pair, float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)))


def scores(judged: Iterable[Judged]) -> tuple[float, float]:
    """Give precision and recall of copies."""
    said = [each for each in judged if each.said is Relation.COPY]
    right = sum(each.copy for each in said)
    return right / max(1, len(said)), right / max(1, sum(each.copy for each in judged))


def lines_of(name: str, judged: Sequence[Judged]) -> list[str]:
    """Spell precision, recall and margins, and what was said by kind."""
    made = [each for each in judged if each.how not in PACKS]
    precision, recall = scores(made)
    copies = sorted(each.apart for each in made if each.copy)
    others = sorted(each.apart for each in made if not each.copy)
    lines = [
        f"{name} {len(copies)} copies, {len(others)} others: precision {precision:.4f}, recall "
        f"{recall:.4f}; differences in shares of their limits: copies up to {copies[-1]:.2f} (all "
        f"but 1 %: {np.quantile(copies, 0.99):.2f}), others from {others[0]:.2f} (all but 1 %: "
        f"{np.quantile(others, 0.01):.2f})"
    ]
    for kind in dict.fromkeys((each.copy, each.source, each.how) for each in judged):
        these = [each for each in judged if (each.copy, each.source, each.how) == kind]
        counts = [sum(each.said is what for each in these) for what in (*Relation, None)]
        apart = [each.apart for each in these]
        lines.append(
            f"  {'copies' if kind[0] else 'others'}, {kind[1]}, {kind[2]}: {counts[0]} copies, "
            f"{counts[1]} variants, {counts[2]} neither; {min(apart):.2f} to {max(apart):.2f} of "
            f"the limits; cosine from {min(each.similarity for each in these):.3f}, "
            f"{sum(each.similarity < LEAST_SIMILARITY for each in these)} below {LEAST_SIMILARITY}"
        )
    return lines


def _by_width(numbers: Sequence[int], images: Path | None) -> Iterator[str]:
    """Say how often another text is told, by its width."""
    for width in WIDTHS:
        told = [
            judge(pair).said is not Relation.COPY
            for folder in dict.fromkeys((None, images))
            for pair in other_pairs(numbers, folder, ("text", *PACKS), width)
        ]
        yield f"another text, {width:.3f} of the width: {sum(told)} of {len(told)} no copies"


def _natural(images: Path) -> Iterator[str]:
    """Name the pairs of a folder that are copies or variants, and say what looking cost."""
    files = sorted(path for path in images.rglob("*") if path.is_file())
    seconds = {"decoding": 0.0, "fingerprint": 0.0}
    prints: list[Fingerprint] = []
    for path in files:
        begun = time.process_time()
        picture = Image.open(path).convert("RGB")
        decoded = time.process_time()
        prints.append(fingerprint(picture))
        seconds["decoding"] += decoded - begun
        seconds["fingerprint"] += time.process_time() - decoded
    alike = [
        (i, j)
        for i, j in combinations(range(len(files)), 2)
        if same_shape(prints[i].edges, prints[j].edges) >= LEAST_ALIKE
    ]
    begun = time.process_time()
    found = [(relation(prints[i], prints[j], 1.0), i, j) for i, j in alike]
    compared = time.process_time() - begun
    for what in Relation:
        pairs = [f"{files[i].name} {files[j].name}" for said, i, j in found if said is what]
        yield f"{what.value}: {len(pairs)} pairs of {len(files)} photographs"
        yield from (f"  {pair}" for pair in pairs)
    spent = ", ".join(f"{name} {1000 * s / len(files):.2f}" for name, s in seconds.items())
    yield f"CPU ms a picture: {spent}; a pair compared: {1000 * compared / max(1, len(alike)):.2f}"
