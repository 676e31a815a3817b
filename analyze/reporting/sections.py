"""What other commands found: the table and figures of a run, as the page shows them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyze.reporting.messages import FINDINGS, Words
from analyze.reporting.reasons import reason_of
from analyze.reporting.run_folders import StoredRun

MOST_WIDE = 1400
MOST_PIXELS = 60_000_000
MOST_ROWS = 200
MOST_OF_GROUP = 60
MOST_EVIDENCE = 5
QUALITY = 80

HARDLY = 0.01
"""Share of the pictures: a backbone that loses less by a corruption loses hardly anything."""

Row = Sequence[Any]


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Rows of one finding.

    Parameters
    ----------
    title, about : str
        Of the finding, and what it means.
    n : int
        How many there are.
    rows : tuple of tuple
        Of them the first.
    """

    title: str
    about: str
    n: int
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, eq=False)
class Section:
    """One run of a command.

    Parameters
    ----------
    kind : str
        The command.
    run : StoredRun
    header : tuple of str
    rows : tuple of tuple
        Cells as text; of a picture its row, of several a list of them, where ``pictured``.
    figures : tuple of (str, str)
        Names, and WebP as data URLs.
    pictured : bool
        Whether the first cell is the row of a picture.
    n_more : int
        Rows that are not shown.
    groups : tuple of RowGroup
        All rows by what they find, where they are shown so.
    sentences : tuple of str
        What the rows say.
    """

    kind: str
    run: StoredRun
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    figures: tuple[tuple[str, str], ...] = ()
    pictured: bool = False
    n_more: int = 0
    groups: tuple[RowGroup, ...] = ()
    sentences: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {
            "kind": self.kind,
            "results": self.run.folder.name,
            "command": self.run.command,
            "n_rows": len(self.rows) + self.n_more,
            "figures": [name for name, _ in self.figures],
        }


def section_of(run: StoredRun, words: Words, place: Mapping[str, int]) -> Section:
    """Show a run.

    Parameters
    ----------
    run : StoredRun
        Of a command of :data:`SECTIONS`.
    words : Words
    place : mapping of str to int
        The row of each picture by its id.
    """
    spec = SECTIONS[run.kind]
    header, rows = spec.table(run, words, place)
    kept = tuple(map(tuple, rows[:MOST_ROWS]))
    groups = spec.group(rows, words) if spec.group else ()
    figures = tuple(
        (path.stem, url) for path in run.figures(spec.figures) if (url := figure_url(path))
    )[: spec.most_figures]
    more = max(0, len(rows) - MOST_ROWS)
    own = spec.sentences(run, words) if spec.sentences else ()
    return Section(run.kind, run, tuple(header), kept, figures, spec.pictured, more, groups, own)


def figure_url(path: Path) -> str | None:
    """Give a figure as WebP in a data URL; None where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return None
            picture = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    if picture.width > MOST_WIDE:
        height = round(picture.height * MOST_WIDE / picture.width)
        picture = picture.resize((MOST_WIDE, height), reducing_gap=3.0)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


Found = tuple[Sequence[str], list[Row]]
Tabulate = Callable[[StoredRun, Words, Mapping[str, int]], Found]


@dataclass(frozen=True)
class SectionSpec:
    """How runs of a command are shown.

    Parameters
    ----------
    table : callable
        (run, words, row by id) -> header and rows.
    figures : tuple of str
        Names, without ``.png``; pages of one have numbers behind.
    most_figures : int
    pictured : bool
        As of :class:`Section`.
    group : callable, optional
        (rows, words) -> the rows by what they find.
    sentences : callable, optional
        (run, words) -> what the rows say.
    """

    table: Tabulate
    figures: tuple[str, ...] = ()
    most_figures: int = 4
    pictured: bool = False
    group: Callable[[list[Row], Words], tuple[RowGroup, ...]] | None = None
    sentences: Callable[[StoredRun, Words], tuple[str, ...]] | None = None


def _interval(row: Mapping[str, Any], words: Words) -> str:
    low, high = number_of(row.get("low")), number_of(row.get("high"))
    return "-" if low is None or high is None else f"{words.number(low)} – {words.number(high)}"


def number_of(value: Any) -> float | None:
    """Take a number of a record; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    with suppress(OverflowError):  # a whole number of some hundred digits
        return float(value)
    return None


def _records(run: StoredRun, key: str) -> list[Mapping[str, Any]]:
    found = run.record.get(key)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _made(row: Mapping[str, Any]) -> str:
    parts = [str(row.get("model", "")), str(row.get("resize", ""))]
    return " ".join(part for part in parts if part and part != "unknown")


def _compare(run: StoredRun, words: Words, _place: Mapping[str, int]) -> Found:
    cells = [row for row in _records(run, "cells") if row.get("metric") == "ari"]
    settings = list(dict.fromkeys(_setting(row) for row in cells))
    names = list(dict.fromkeys((_made(row), str(row.get("identity"))) for row in cells))
    one_nn = {str(m.get("identity")): m.get("one_nn_accuracy") for m in _records(run, "models")}
    found = {(str(row.get("identity")), _setting(row)): row for row in cells}
    rows: list[Row] = []
    for name, identity in names:
        spelled = [_cell(found.get((identity, each)), words) for each in settings]
        rows.append([name, words.number(number_of(one_nn.get(identity))), *spelled])
    return [words("backbone"), words("one_nn_accuracy"), *settings], rows


def _setting(row: Mapping[str, Any]) -> str:
    return f"{row.get('reduction')} · {row.get('clustering')}"


def _cell(row: Mapping[str, Any] | None, words: Words) -> str:
    if row is None:
        return "-"
    std, spelled = number_of(row.get("std")), words.number(number_of(row.get("mean")))
    spelled += "" if std is None else f" ± {words.number(std)}"
    interval = _interval(row, words)
    return spelled if interval == "-" else f"{spelled} ({interval})"


def _rank(run: StoredRun, words: Words, _place: Mapping[str, int]) -> Found:
    rows = [((str(row.get("metric")),), row) for row in _records(run, "rows")]
    return _by_backbone([words("metric")], rows, words)


def _retrieval(run: StoredRun, words: Words, _place: Mapping[str, int]) -> Found:
    rows = []
    for row in _records(run, "rows"):
        metric = f"{row.get('metric')}" + (f" @ {row['k']}" if row.get("k") is not None else "")
        rows.append(((metric, str(row.get("level"))), row))
    return _by_backbone([words("metric"), words("level")], rows, words)


def _by_backbone(
    header: Sequence[str], rows: Sequence[tuple[tuple[str, ...], Mapping[str, Any]]], words: Words
) -> Found:
    """Put values with their intervals into a column a backbone, a row each of what leads them."""
    names = {str(row.get("identity")): _made(row) for _, row in rows}
    cells = {(lead, str(row.get("identity"))): _value(row, words) for lead, row in rows}
    leads = dict.fromkeys(lead for lead, _ in rows)
    return [*header, *names.values()], [
        [*lead, *(cells.get((lead, identity), "-") for identity in names)] for lead in leads
    ]


def _value(row: Mapping[str, Any], words: Words) -> str:
    value, interval = words.number(number_of(row.get("value"))), _interval(row, words)
    return value if interval == "-" else f"{value} ({interval})"


def _head(run: StoredRun, words: Words, _place: Mapping[str, int]) -> Found:
    header = [words(key) for key in ("what", "accuracy", "interval")]
    own = run.record.get("accuracy")
    rows: list[Row] = []
    if isinstance(own, Mapping):
        mean = words.number(number_of(own.get("mean")))
        rows.append([f"head · {_made(run.record)}", mean, _interval(own, words)])
    baselines = run.record.get("baselines")
    for name, each in baselines.items() if isinstance(baselines, Mapping) else ():
        if isinstance(each, Mapping):
            mean = words.number(number_of(each.get("accuracy")))
            rows.append([str(name).replace("_", " "), mean, _interval(each, words)])
    return header, rows


def _robustness(run: StoredRun, words: Words, _place: Mapping[str, int]) -> Found:
    """Put families below each other, the costliest first and the mean of all last."""
    rows = [row for row in _records(run, "families") if row.get("metric") == "recall_at_1"]
    worst: dict[str, float] = {}
    for row in rows:
        family = str(row.get("family"))
        worst[family] = max(worst.get(family, -1.0), number_of(row.get("loss")) or 0.0)
    rows.sort(key=lambda row: (row.get("family") == "all", -worst[str(row.get("family"))]))
    leads = [((words.named("family", str(row.get("family"))),), row) for row in rows]
    return _by_backbone([words("corruption")], leads, words)


def _loses_most(run: StoredRun, words: Words) -> tuple[str, ...]:
    """Say of each backbone by which family it loses most, and how much."""
    most: dict[str, tuple[float, Mapping[str, Any]]] = {}
    for row in _records(run, "families"):
        loss, identity = number_of(row.get("loss")), str(row.get("identity"))
        if row.get("metric") != "recall_at_1" or row.get("family") == "all" or loss is None:
            continue
        if identity not in most or loss > most[identity][0]:
            most[identity] = loss, row
    return tuple(
        words(
            "loses_most" if loss >= HARDLY else "loses_hardly",
            model=_made(row),
            family=words.named("family", str(row.get("family"))),
            value=_value(row, words),
        )
        for loss, row in most.values()
    )


def _explain(run: StoredRun, words: Words, place: Mapping[str, int]) -> Found:
    header = [words("picture"), "class", "method", words("value")]
    rows: list[Row] = []
    for item in _records(run, "items"):
        value = words.number(number_of(item.get("probability")))
        name = str(item.get("id"))
        rows.append([place.get(name, name), item.get("class"), item.get("method"), value])
    return header, rows


def _audit(run: StoredRun, words: Words, place: Mapping[str, int]) -> Found:
    keys = ("picture", "finding", "score", "evidence", "action", "reason")
    rows: list[Row] = []
    for row in run.rows("audit"):
        name = row.get("id", "")
        evidence = (row.get("evidence") or row.get("evidence_ids") or "").split(" | ")
        shown = [place.get(each, each) for each in evidence[:MOST_EVIDENCE]]
        action = words.named("action", row.get("suggested_action") or row.get("action") or "")
        action += f" → {row['suggested_label']}" if row.get("suggested_label") else ""
        found = words.named("finding", row.get("finding", ""))
        score = _spelled(row.get("score", ""), words)
        rows.append([place.get(name, name), found, score, shown, action, reason_of(row, words)])
    return [words(key) for key in keys], rows


def _spelled(score: str, words: Words) -> str:
    """Spell a number of a table as the language does; anything else stays."""
    try:
        return words.number(float(score), 2)
    except ValueError:
        return score


def _by_finding(rows: list[Row], words: Words) -> tuple[RowGroup, ...]:
    of_finding: dict[str, list[Row]] = {}
    for row in rows:
        of_finding.setdefault(str(row[1]), []).append(row)
    meant = {words.named("finding", name): words.named("meaning", name, "") for name in FINDINGS}
    return tuple(
        RowGroup(title, meant.get(title, ""), len(own), tuple(map(tuple, own[:MOST_OF_GROUP])))
        for title, own in of_finding.items()
    )


SECTIONS: dict[str, SectionSpec] = {
    "compare": SectionSpec(_compare, ("ari",)),
    "rank": SectionSpec(_rank, ("rank",)),
    "retrieval": SectionSpec(_retrieval, ("retrieval", "retrieval-classes")),
    "head": SectionSpec(_head, ("confusion", "calibration", "class_f1", "classes", "levels")),
    "robustness": SectionSpec(_robustness, ("robustness",), sentences=_loses_most),
    "explain": SectionSpec(
        _explain, ("gradcam", "gradcam++", "hirescam", "shap", "superpixel_shap"), 3, pictured=True
    ),
    "audit": SectionSpec(_audit, pictured=True, group=_by_finding),
}
"""In the order of the page, by command."""
