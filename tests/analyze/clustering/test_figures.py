"""Figures: what they show, inspected in the finished drawing, and that no name breaks them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from color_vision import VISIONS, apart, least_apart
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from PIL import Image

from analyze.measures.agreement import Agreement, agree
from analyze.measures.confusion_figure import confusion_chart
from analyze.measures.contingency_metrics import NOISE
from analyze.measures.levels import parents_of_classes
from analyze.presentation.figure_style import axis_labels, figure_text, save
from analyze.presentation.palette import (
    CLASS_COLORS,
    MUTED,
    UNMATCHED,
    class_style,
    colored_places,
    styles_of,
)
from analyze.reduction import map_figure
from analyze.reduction.map_figure import Plane, class_panel, cluster_panel, matched_panel
from extract.catalog.catalog import Level

LABELS = np.repeat([0, 1, 2], [6, 5, 4])
ASSIGNMENTS = np.array([3, 3, 3, 3, 0, 1, 2, 2, 2, 2, 4, 0, 0, 0, 1])
NAMES = ("cups", "hats", "rugs")

HOSTILE = [
    "$x_1^$",
    "$$",
    r"\$\frac{1}$",
    "two\nlines\r\tand \x00\x1b[31m",
    "long " * 40,
    "カーテン 窗帘 커튼",
    "ستارة",
    "🧦",
    "_hidden",
    "",
    "\n",
    "<script>&amp;\"'",
    "stray \udc80 byte",
    "%s {0} {}",
]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def compared(labels: Any, names: Sequence[str], assignments: Any, n_clusters: int) -> Agreement:
    """Compare clusters with classes that are given as codes, -1 where a row has none."""
    level = Level("kind", tuple(names), np.asarray(labels, np.int32))
    return agree(level, np.asarray(assignments), n_clusters)


def agreement_of(names: tuple[str, ...] = NAMES) -> Agreement:
    return compared(LABELS, names, ASSIGNMENTS, 5)


def draw_map(
    points: np.ndarray,
    axis_names: tuple[str, str],
    *,
    labels: Sequence[str | None] | None,
    categories: Sequence[str],
    assignments: np.ndarray,
    cluster_to_class: dict[int, str],
    **headings: str,
) -> Any:
    """Draw the map of an analysis: by class and by cluster where there are labels."""
    panels = [cluster_panel(assignments)]
    if labels is not None:
        codes = np.array([-1 if each is None else categories.index(each) for each in labels])
        classes = class_panel(codes, categories)
        panels = [classes, matched_panel(assignments, cluster_to_class, classes)]
    return map_figure.draw_map(Plane(points, axis_names), panels, **headings)


def draw_confusion(agreement: Agreement, **how: Any) -> Any:
    return confusion_chart(agreement, **how).figure()


def mapped(names: tuple[str, ...] = NAMES, labelled: bool = True, **changes: Any) -> Any:
    points = np.random.default_rng(0).normal(size=(len(LABELS), 2))
    arguments: dict[str, Any] = {
        "labels": [names[i] for i in LABELS] if labelled else None,
        "categories": names,
        "assignments": ASSIGNMENTS,
        "cluster_to_class": dict(agreement_of(names).cluster_to_class) if labelled else {},
        "title": names[0],
        "subtitle": names[-1],
    }
    return draw_map(points, ("t-SNE 1", "t-SNE 2"), **{**arguments, **changes})


def drawn_groups(axes: Any) -> dict[str, Any]:
    """Give the points of each group by its name."""
    return {str(group.get_label()): group for group in axes.collections}


def color_of(group: Any) -> str:
    (color,) = {tuple(color) for color in group.get_facecolor()}
    return to_hex(color).upper()


def legend_of(figure: Any) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Curtains >> Sheer", "Curtains >> Sheer"),
        ("$x_1^$", r"\$x_1^\$"),
        ("a\nb\tc\x00\x1b\x7f\u202e\u200b", "abc"),
        ("stray \udc80 byte", "stray  byte"),
        ("カーテン é", "カーテン é"),
        ("", ""),
    ],
)
def test_text_is_made_safe(text: str, safe: str) -> None:
    assert figure_text(text) == safe


def test_text_is_cut_at_sixty() -> None:
    assert figure_text("a" * 60) == "a" * 60
    assert figure_text("a" * 61) == "a" * 59 + "…"
    assert figure_text("\n" * 100 + "a" * 60) == "a" * 60


def test_the_cut_never_parts_an_escape() -> None:
    assert figure_text("$" * 61) == r"\$" * 59 + "…"


# palette


def test_twenty_classes_have_twenty_colors() -> None:
    assert len({class_style(i)[0] for i in range(20)}) == len(CLASS_COLORS) == 20
    assert UNMATCHED not in CLASS_COLORS


def test_twenty_classes_are_distinct_also_to_the_color_blind() -> None:
    """By color as those of a published scheme are; where colors look alike, by marker too."""
    styles = [class_style(i) for i in range(20)]
    usual = VISIONS["all colors"]
    assert least_apart(CLASS_COLORS, usual) >= least_apart(MUTED, usual)
    for (color, marker), (other, others) in itertools.combinations(styles, 2):
        least = min(apart(color, other, vision) for vision in VISIONS.values())
        assert least >= (0.2 if marker == others else 0.04), (color, other)


def test_color_and_marker_tell_many_classes_apart() -> None:
    assert len({class_style(i) for i in range(60)}) == 60


def test_colors_stay_as_they_are_known() -> None:
    assert [class_style(i)[0] for i in (0, 1, 8)] == ["#332288", "#CC6677", "#999933"]
    assert [class_style(i)[0] for i in range(20, 40)] == [class_style(i)[0] for i in range(20)]


def test_a_class_is_styled_by_its_place_and_of_many_the_largest_alone() -> None:
    few = Level("kind", NAMES, np.array([2, 2, 0], np.int32))
    assert styles_of(few) == {name: class_style(i) for i, name in enumerate(NAMES)}
    assert styles_of(None) == {}
    codes = np.repeat(np.arange(30), [9 if i % 3 else 1 for i in range(30)])
    many = styles_of(Level("kind", tuple(map(str, range(30))), codes.astype(np.int32)))
    gray = [name for name, style in many.items() if style == (UNMATCHED, "o")]
    assert gray == [str(i) for i in range(0, 30, 3)]
    drawn = [color for color, _ in many.values() if color != UNMATCHED]
    assert drawn == list(CLASS_COLORS), "each once, in the order of the classes"
    assert colored_places([0] * 21) == [-1] * 21


# the map


def test_a_class_has_one_color_in_both_panels() -> None:
    by_class, by_cluster = map(drawn_groups, mapped().axes)
    matched = agreement_of().cluster_to_class
    assert set(matched.values()) == set(NAMES)
    for cluster, name in matched.items():
        color = MUTED[NAMES.index(name)]
        assert color_of(by_class[name]) == color_of(by_cluster[f"cluster {cluster}"]) == color


def test_unmatched_clusters_are_gray_and_said() -> None:
    axes = mapped().axes[1]
    matched = agreement_of().cluster_to_class
    for cluster in set(range(5)) - set(matched):
        assert color_of(drawn_groups(axes)[f"cluster {cluster}"]) == UNMATCHED
    assert [text for text in axes.texts if "gray" in text.get_text()]


def test_matched_clusters_alone_say_nothing_of_gray() -> None:
    figure = mapped(assignments=LABELS, cluster_to_class=dict(enumerate(NAMES)))
    assert list(figure.axes[1].texts) == []


def test_every_row_is_drawn_once_in_each_panel_where_it_lies() -> None:
    points = np.random.default_rng(0).normal(size=(len(LABELS), 2))
    by_class, by_cluster = map(drawn_groups, mapped().axes)
    for group, members in [
        *((by_class[name], np.equal(LABELS, i)) for i, name in enumerate(NAMES)),
        *((by_cluster[f"cluster {c}"], np.equal(ASSIGNMENTS, c)) for c in range(5)),
    ]:
        np.testing.assert_array_equal(group.get_offsets(), points[members])
    for groups in (by_class, by_cluster):
        assert sum(len(group.get_offsets()) for group in groups.values()) == len(points)


def test_rows_without_a_label_are_gray_and_named() -> None:
    labels = [None if i % 5 == 0 else NAMES[c] for i, c in enumerate(LABELS)]
    figure = mapped(labels=labels)
    unlabelled = drawn_groups(figure.axes[0])["no label"]
    assert color_of(unlabelled) == UNMATCHED
    assert len(unlabelled.get_offsets()) == 3
    assert legend_of(figure) == [*NAMES, "no label"]


def test_a_class_keeps_its_color_where_others_have_no_row() -> None:
    few = [i for i, c in enumerate(LABELS) if c != 1]
    figure = draw_map(
        np.zeros((len(few), 2)),
        ("x", "y"),
        labels=[NAMES[LABELS[i]] for i in few],
        categories=NAMES,
        assignments=ASSIGNMENTS[few],
        cluster_to_class={},
        title="",
        subtitle="",
    )
    groups = drawn_groups(figure.axes[0])
    assert set(groups) == {"cups", "rugs"}
    assert color_of(groups["rugs"]) == MUTED[2]


def test_without_labels_each_cluster_has_a_color_of_its_own() -> None:
    figure = mapped(labelled=False)
    (axes,) = figure.axes
    groups = drawn_groups(axes)
    assert set(groups) == {f"cluster {c}" for c in range(5)}
    colors = {color_of(group) for group in groups.values()}
    assert len(colors) == 5
    assert UNMATCHED not in colors
    assert legend_of(figure) == list(groups)


def test_noise_is_gray_and_called_noise() -> None:
    noisy = np.where(ASSIGNMENTS == 0, NOISE, ASSIGNMENTS)
    for figure, panel in (
        (mapped(assignments=noisy, cluster_to_class={}), 1),
        (
            mapped(assignments=noisy, labelled=False),
            0,
        ),
    ):
        groups = drawn_groups(figure.axes[panel])
        assert set(groups) == {"noise", *(f"cluster {c}" for c in range(1, 5))}
        assert color_of(groups["noise"]) == UNMATCHED
    (said,) = (
        mapped(assignments=noisy, cluster_to_class=dict.fromkeys(range(1, 5), "cups")).axes[1].texts
    )
    assert said.get_text() == "gray: noise"
    agreement = compared(np.array(LABELS), NAMES, noisy, 5)
    last = confusion_axes(agreement).get_xticklabels()[-1]
    assert last.get_text() == "noise"


def test_the_axes_are_named_and_equally_scaled() -> None:
    for axes in mapped().axes:
        assert axes.get_aspect() == 1
        assert axes.get_xlabel() == "t-SNE 1"
    assert mapped().axes[0].get_ylabel() == "t-SNE 2"


@pytest.mark.parametrize("names", [("_a", "hats", "rugs"), ("_a", "_b", "_c")])
def test_the_legend_names_every_class(names: tuple[str, ...]) -> None:
    texts = legend_of(mapped(names))
    assert len(texts) == 3
    assert all(text.endswith(name) for text, name in zip(texts, names, strict=True))


def test_a_long_legend_ends_in_a_count() -> None:
    names = tuple(f"class {i:02}" for i in range(30))
    figure = draw_map(
        np.random.default_rng(0).normal(size=(60, 2)),
        ("x", "y"),
        labels=names * 2,
        categories=names,
        assignments=np.arange(60) % 30,
        cluster_to_class=dict(enumerate(names)),
        title="",
        subtitle="",
    )
    texts = legend_of(figure)
    assert texts[:20] == list(names[:20])
    assert texts[20:] == ["and 10 smaller classes"]


def test_a_long_legend_names_the_largest_and_those_without_label() -> None:
    names = tuple(f"class {i:02}" for i in range(30))
    labels = [*names, *["class 27"] * 9, None]
    figure = draw_map(
        np.random.default_rng(0).normal(size=(40, 2)),
        ("x", "y"),
        labels=labels,
        categories=names,
        assignments=np.zeros(40, int),
        cluster_to_class={0: "class 27"},
        title="",
        subtitle="",
    )
    texts = legend_of(figure)
    assert {"class 27", "no label"} <= set(texts)
    assert texts[-1] == "and 10 smaller classes"


def planted_map(n_classes: int, **changes: Any) -> Any:
    """Draw classes that lie apart on a grid, each of one picture less than the last."""
    names = [f"Home >> class {i:02}" for i in range(n_classes)]
    codes = np.repeat(np.arange(n_classes), np.arange(n_classes, 0, -1))
    middles = np.stack(np.divmod(np.arange(n_classes), 6), axis=1)[:, ::-1] * 10.0
    points = middles[codes] + np.random.default_rng(0).normal(size=(len(codes), 2))
    given: dict[str, Any] = {
        "labels": [names[c] for c in codes],
        "categories": names,
        "assignments": codes,
        "cluster_to_class": dict(enumerate(names)),
        "title": "",
        "subtitle": "",
    }
    return draw_map(points, ("x", "y"), **{**given, **changes})


def test_what_the_legend_does_not_list_is_gray_and_reported() -> None:
    figure = planted_map(30)
    groups = drawn_groups(figure.axes[0])
    gray = {name for name, group in groups.items() if color_of(group) == UNMATCHED}
    assert gray == {f"Home >> class {i:02}" for i in range(20, 30)}
    clusters = drawn_groups(figure.axes[1])
    assert {n for n, g in clusters.items() if color_of(g) == UNMATCHED} == {
        f"cluster {i}" for i in range(20, 30)
    }
    (note,) = [text.get_text() for text in figure.axes[1].texts]
    assert note == "gray: clusters of smaller classes"


def test_names_stand_at_groups_that_lie_together_and_never_over_each_other() -> None:
    figure = planted_map(12)
    texts = figure.axes[0].texts
    assert {text.get_text() for text in texts} == {f"class {i:02}" for i in range(12)}
    places = [text.get_window_extent(figure.canvas.get_renderer()) for text in texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(places, 2))
    drawn = {
        name: figure.axes[0].transData.transform(np.asarray(group.get_offsets()))
        for name, group in drawn_groups(figure.axes[0]).items()
    }
    middles = {name: np.median(group, axis=0) for name, group in drawn.items()}
    for text, place in zip(texts, places, strict=True):
        hidden = sum(place.count_contains(group) for group in drawn.values())
        assert hidden == 0, "names stand next to their points"
        own = np.array([place.x0 + place.x1, place.y0 + place.y1]) / 2
        nearest = min(middles, key=lambda name: float(np.hypot(*(middles[name] - own))))
        assert nearest.endswith(text.get_text())
    codes = np.repeat(np.arange(3), 40)
    scattered = draw_map(
        np.random.default_rng(0).uniform(size=(120, 2)),
        ("x", "y"),
        labels=[NAMES[c] for c in codes],
        categories=NAMES,
        assignments=codes,
        cluster_to_class={},
        title="",
        subtitle="",
    )
    assert not [*scattered.axes[0].texts], "they lie nowhere"


def test_axis_labels_stay_different_when_they_are_cut() -> None:
    names = [f"a long name of class {i} that goes on and on for ever" for i in range(12)]
    short = axis_labels(names, 20)
    assert len(set(short)) == 12
    assert max(map(len, short)) < len(names[0])
    assert axis_labels(["Home >> Furnishing >> Curtains"], 20)[0].endswith("Curtains")
    assert axis_labels(["$x$"], 20) == [r"\$x\$"]
    assert axis_labels(["a" * 20, "b" * 21], 20) == ["a" * 20, f"{'b' * 6}…{'b' * 13}"]


# the confusion matrix


def confusion_axes(agreement: Agreement) -> Any:
    return draw_confusion(agreement, title="t", subtitle="s").axes[0]


def test_the_counts_are_written_into_the_cells() -> None:
    agreement = agreement_of()
    axes = confusion_axes(agreement)
    cells = [text for text in axes.texts if not isinstance(text, Annotation)]
    written = np.full(agreement.confusion.shape, -1)
    for text in cells:
        x, y = text.get_position()
        written[int(y), int(x)] = int(text.get_text())
    np.testing.assert_array_equal(written, agreement.confusion)


def test_the_color_is_the_share_of_the_class() -> None:
    agreement = agreement_of()
    mesh = confusion_axes(agreement).collections[0]
    share = agreement.confusion / agreement.confusion.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.get_array().reshape(share.shape), share)
    assert mesh.get_clim() == (0, 1)


def test_clusters_are_labelled_with_their_class() -> None:
    agreement = agreement_of()
    axes = confusion_axes(agreement)
    assert [text.get_text() for text in axes.get_yticklabels()] == list(NAMES)
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        f"{c} · {agreement.cluster_to_class.get(c, 'unmatched')}" for c in agreement.clusters
    ]


def test_boxes_of_parents_hold_their_classes_and_as_many_clusters_as_are_matched() -> None:
    """Two of three clusters are of the first parent's classes, and none of the third's."""
    names = [f"class {i:02}" for i in range(30)]
    parents = {name: "abc"[i // 10] for i, name in enumerate(names)}
    labels = np.repeat(np.arange(30), 3)
    assignments = np.where(labels < 5, 0, np.where(labels < 10, 1, 2))
    axes = draw_confusion(
        compared(labels, names, assignments, 3), title="t", subtitle="s", parents=parents
    ).axes[0]
    boxes = [each for each in axes.patches if isinstance(each, Rectangle)]
    assert [(b.get_x(), b.get_y(), b.get_width(), b.get_height()) for b in boxes] == [
        (0, 0, 2, 10),
        (2, 10, 1, 10),
        (3, 20, 0, 10),
    ]


def test_a_large_matrix_is_drawn_without_numbers() -> None:
    labels = np.arange(60) % 30
    agreement = compared(labels, [f"class {i}" for i in range(30)], labels[::-1], 30)
    axes = confusion_axes(agreement)
    assert [text for text in axes.texts if not isinstance(text, Annotation)] == []
    assert len(axes.get_yticklabels()) == 30


def test_a_large_matrix_is_grouped_by_the_level_above() -> None:
    """Classes of one parent come together with their clusters, in a box; no count is lost."""
    names = [f"{'ABC'[i % 3]} >> {i:02}" for i in range(30)]
    labels = np.arange(60) % 30
    assignments = (labels + 7) % 30
    levels = [
        Level.from_values("top", [names[i][0] for i in labels]),
        Level("leaf", tuple(names), labels.astype(np.int32)),
    ]
    parents = parents_of_classes(levels, levels[1])
    assert parents == {name: name[0] for name in names}
    assert parents_of_classes(levels, levels[0]) == {}
    agreement = agree(levels[1], assignments, 30)
    axes = draw_confusion(agreement, title="", subtitle="", parents=parents).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == sorted(names)
    share = axes.collections[0].get_array().reshape(30, 30)
    np.testing.assert_array_equal(share, np.eye(30), "matched clusters are on the diagonal")
    boxes = [(b.get_y(), b.get_height()) for b in axes.patches]
    assert boxes == [(0, 10), (10, 10), (20, 10)]


# files


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_a_figure(name: str, tmp_path: Path) -> None:
    names = (name, "hats", "rugs")
    confusion = draw_confusion(agreement_of(names), title=name, subtitle=name)
    written = save(confusion, tmp_path, "confusion") + save(mapped(names), tmp_path, "map")
    for png in written:
        with Image.open(png) as picture:
            assert min(picture.size) * 160 / 40 > 300


def test_names_stay_text_in_svg(tmp_path: Path) -> None:
    names = ("<script>&amp;\"'", "]]><b>", "--><!--")
    confusion = draw_confusion(agreement_of(names), title=names[0], subtitle=names[1])
    for figure in (confusion, mapped(names)):
        _, svg = save(figure, tmp_path, "figure", svg=True)
        tags = {element.tag.rsplit("}")[-1] for element in ElementTree.parse(svg).iter()}
        assert not tags & {"script", "b"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "draw", [mapped, lambda names: draw_confusion(agreement_of(names), title="", subtitle="")]
)
def test_names_that_the_font_lacks_give_no_warning(
    draw: Callable[[tuple[str, ...]], Any], tmp_path: Path
) -> None:
    save(draw(("カーテン", "窗帘", "커튼")), tmp_path, "figure")


@pytest.mark.usefixtures("fine_figures")
@pytest.mark.parametrize("svg", [False, True])
def test_save_writes_what_was_asked_for_and_closes(svg: bool, tmp_path: Path) -> None:
    paths = save(mapped(), tmp_path, "map", svg=svg)
    assert [path.name for path in paths] == (["map.png", "map.svg"] if svg else ["map.png"])
    assert sorted(tmp_path.iterdir()) == paths
    assert plt.get_fignums() == []
    with Image.open(paths[0]) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    if svg:
        assert ElementTree.parse(paths[1]).getroot().tag.endswith("svg")


def test_the_same_numbers_give_the_same_picture(tmp_path: Path) -> None:
    first, second = (save(mapped(), tmp_path, name)[0] for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_gray_is_what_it_is_called() -> None:
    red, green, blue, _ = to_rgba(UNMATCHED)
    assert red == green == blue
