"""Sheets of pictures: what they show, inspected in the finished drawing, whatever the texts."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

from analyze.neighbors.query import Query
from analyze.neighbors.similar import Answer, Hit
from analyze.neighbors.similar_sheet import draw_answer
from analyze.pictures.catalog_sheet import draw_glance, glance_at
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation import figure_style
from analyze.presentation.contact_sheet import (
    ABSENT,
    COLUMNS,
    HEAD_INCHES,
    TILE_INCHES,
    ClassRow,
    Tile,
    draw_classes,
    draw_sheet,
)
from analyze.presentation.figure_style import FAINT, INK, drawing, save
from analyze.presentation.palette import MUTED, UNMATCHED, class_style
from extract.storage.embeddings import EmbeddingSet

pytestmark = pytest.mark.slow

Embed = Callable[..., EmbeddingSet]

RED, BLUE = ((200, 30, 30), (30, 30, 200))

HOSTILE = {
    "dollars": "$" * 200,
    "mathematics": r"$\frac{1}$ $x_1^$ $$",
    "dollar at the cut": "a" * 24 + "$b$" + "c" * 30 + "$",
    "newlines": "two\nlines\r\nand\n\n\nmore\n" * 5,
    "long": "a long name that goes on " * 40,
    "one word": "W" * 500,
    "right to left": "ستارة \u202eעברית\u202c",
    "wide": "カーテン窗帘커튼" * 20,
    "control": "a\x00b\x1b[31mc\td\x7f\u200b",
    "stray": "stray \udc80 byte",
    "nothing": "",
    "white": " \n ",
    "backslash": "\\" * 90,
}


def plain(color: tuple[int, int, int] = RED, size: tuple[int, int] = (40, 40)) -> Image.Image:
    return Image.new("RGB", size, color)


def texts_of(figure: Any) -> list[str]:
    """Give what is written anywhere in a figure."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def frame_of(axes: Any) -> tuple[str, float]:
    """Give color and width of the frame about a tile."""
    frames = {
        (to_hex(spine.get_edgecolor()).upper(), spine.get_linewidth())
        for spine in axes.spines.values()
        if spine.get_visible()
    }
    (frame,) = frames
    return frame


def below(axes: Any) -> list[str]:
    """Give the lines below a tile."""
    (note,) = [text for text in axes.texts if text.get_text() != "not shown"]
    return str(note.get_text()).split("\n")


def is_absent(axes: Any) -> bool:
    said = [text for text in axes.texts if text.get_text() == "not shown"]
    assert bool(said) is not bool(axes.images)
    return bool(said)


def color_in(axes: Any) -> tuple[int, ...]:
    """Give the color in the middle of the picture that a tile shows."""
    (image,) = axes.images
    pixels = np.asarray(image.get_array())
    return tuple(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].tolist())


def boxes_of(figure: Any) -> np.ndarray:
    """Measure all axes in inches: left, bottom, width, height."""
    across, down = figure.get_size_inches()
    bounds = np.array([axes.get_position().bounds for axes in figure.axes])
    return bounds * np.array([across, down, across, down])


def overlap(boxes: np.ndarray) -> bool:
    left, bottom = boxes[:, 0], boxes[:, 1]
    right, top = left + boxes[:, 2], bottom + boxes[:, 3]
    meet = (left[:, None] < right) & (left < right[:, None])
    meet &= (bottom[:, None] < top) & (bottom < top[:, None])
    return bool(meet.sum() > len(boxes))


# a sheet


def sheet_of(n_tiles: int, text: str = "a name", **changes: Any) -> Any:
    tiles = [Tile(plain(), f"{i}", [text, text], MUTED[i % 9]) for i in range(n_tiles)]
    return draw_sheet(tiles, **{"title": "title", "subtitle": "subtitle", **changes})


@cache
def calm_boxes() -> np.ndarray:
    return boxes_of(sheet_of(7))


@pytest.mark.parametrize("n_tiles", [1, 2, 3, 5, 6, 7, 12, 13, 40])
def test_tiles_stand_in_rows_of_six_and_never_meet(n_tiles: int) -> None:
    figure = sheet_of(n_tiles)
    boxes = boxes_of(figure)
    assert len(boxes) == n_tiles
    np.testing.assert_allclose(boxes[:, 2:], TILE_INCHES)
    assert not overlap(boxes)
    across, down = figure.get_size_inches()
    assert (boxes[:, :2] > 0).all()
    assert (boxes[:, 0] + TILE_INCHES < across).all()
    assert (boxes[:, 1] + TILE_INCHES < down - HEAD_INCHES).all()
    rows = np.unique(boxes[:, 1].round(6))
    assert len(rows) == -(-n_tiles // COLUMNS)
    order = np.lexsort((boxes[:, 0], -boxes[:, 1].round(6)))
    assert order.tolist() == list(range(n_tiles)), "read from left to right, then down"


def test_each_tile_shows_its_own_picture_heading_and_lines() -> None:
    tiles = [Tile(plain((20 * i, 0, 0)), f"no {i}", [f"name {i}", "kind"]) for i in range(9)]
    for i, axes in enumerate(draw_sheet(tiles, title="t", subtitle="s").axes):
        assert color_in(axes) == (20 * i, 0, 0)
        assert axes.get_title(loc="left") == f"no {i}"
        assert below(axes) == [f"name {i}", "kind"]


@pytest.mark.parametrize("size", [(200, 20), (20, 200), (1, 1), (1000, 1000)])
def test_a_picture_is_shown_whole_on_white(size: tuple[int, int]) -> None:
    (axes,) = draw_sheet([Tile(plain(RED, size), "")], title="", subtitle="").axes
    pixels = np.asarray(axes.images[0].get_array()).astype(int)
    assert pixels.shape[0] == pixels.shape[1]
    red = np.abs(pixels - RED).max(axis=2) < 3
    share = min(size) / max(size)
    assert red.mean() == pytest.approx(share, abs=0.02)
    assert (pixels[~red].reshape(-1, 3) == 255).all()


def test_a_missing_picture_is_said_in_its_place() -> None:
    figure = draw_sheet(
        [Tile(None, "1"), Tile(plain(), "2"), Tile(None, "3")], title="t", subtitle="s"
    )
    assert [is_absent(axes) for axes in figure.axes] == [True, False, True]
    assert to_hex(figure.axes[0].get_facecolor()).upper() == ABSENT


def test_frames_have_the_color_that_is_given_and_the_query_is_dark() -> None:
    tiles = [
        Tile(plain(), "query", is_query=True),
        Tile(plain(), "query of a class", color=MUTED[3], is_query=True),
        Tile(plain(), "1", color=MUTED[3]),
        Tile(plain(), "2"),
        Tile(None, "3", color=MUTED[4]),
    ]
    frames = [frame_of(axes) for axes in draw_sheet(tiles, title="", subtitle="").axes]
    assert [color for color, _ in frames] == [INK, INK, MUTED[3], FAINT, MUTED[4]]
    wide = [width for _, width in frames]
    assert wide[0] == wide[1] == wide[2] == wide[4] > 2 * wide[3]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_breaks_a_sheet(name: str, tmp_path: Path) -> None:
    text = HOSTILE[name]
    figure = sheet_of(7, text, title=text, subtitle=text)
    assert not [t for t in texts_of(figure) if is_math_text(t)], "a price is no formula"
    (png,) = save(figure, tmp_path, "sheet")
    boxes = boxes_of(figure)
    np.testing.assert_allclose(boxes[:, 2:], TILE_INCHES)
    np.testing.assert_allclose(boxes[:, 0], calm_boxes()[:, 0])
    assert not overlap(boxes)
    for axes in figure.axes:
        assert len(below(axes)) <= 4, "two lines each, cut where more is left"
    with drawing():
        figure.draw_without_rendering()
    floor = [boxes[6, 1] + TILE_INCHES + 0.2, 0]  # the second row's heading, and the paper's edge
    for i, axes in enumerate(figure.axes[:2]):
        (note,) = axes.texts
        drawn = note.get_window_extent()
        assert drawn.y0 / figure.dpi > floor[0]
        assert drawn.x1 / figure.dpi < boxes[i + 1, 0], "it runs into the next"
    with Image.open(png) as picture:
        assert picture.width < 1.35 * figure_style.PNG_DOTS_PER_INCH * figure.get_size_inches()[0]


def test_of_a_long_line_the_middle_is_left_out_and_of_a_short_one_nothing() -> None:
    """The end of a path tells two classes apart, that of a reason has its number."""
    path = "Home Furnishing >> Curtains & Accessories >> Blankets, Quilts & Dohars"
    tiles = [Tile(plain(), "", [path]), Tile(plain(), "", ["a name"])]
    first, second = draw_sheet(tiles, title="", subtitle="").axes
    start, end = below(first)
    assert start == "Home Furnishing >>"
    assert end[0] == "…"
    assert path.endswith(end[1:])
    assert len(end) > 20
    assert below(second) == ["a name"]


def test_a_subtitle_goes_on_in_a_second_line() -> None:
    subtitle = "what is not drawn stands last, " * 5 + "and 33 more are not drawn"
    figure = sheet_of(6, "a name", subtitle=subtitle)
    written = figure.texts[1].get_text()
    assert written.count("\n") == 1
    assert written.replace("\n", " ") == subtitle


def test_rows_of_classes_keep_the_end_of_a_long_path() -> None:
    start = "Home Decor & Festive Needs >> Curtains & Accessories >> All of them >> "
    rows = [ClassRow(start + name, 1, MUTED[0], [plain()]) for name in ("Bath", "Linen")]
    bath, _, linen, *_ = [t.get_text() for t in draw_classes(rows, title="", subtitle="").texts]
    assert bath.endswith("Bath")
    assert linen.endswith("Linen")


def test_dollars_are_written_as_they_are() -> None:
    figure = sheet_of(1, "$" * 60)
    written = "".join(below(figure.axes[0]))
    assert written.replace(r"\$", "") == "…" * 2
    assert written.count(r"\$") == 2 * 49


# an answer


def answered(
    embeddings_of: Embed, labels: list[str | None] | None = None, **others: Any
) -> tuple[EmbeddingSet, Answer]:
    vectors = np.random.default_rng(0).normal(size=(8, 4))
    levels = [] if labels is None else [labels]
    products = embeddings_of(vectors, *levels, **others)
    hits = (
        Hit(3, 0.987654, equal_bytes=(4, 5), near_equal=(6,), copy_of_query=True),
        Hit(1, 0.5, near_equal=(7,), variant_of_query=True),
        Hit(2, -0.25),
    )
    return products, Answer(Query("0000.png", products.vectors[0], 0), hits, left_out=())


LABELS = ["rugs", "cups", None, "hats", "hats", "hats", "hats", "cups"]


def draw(products: EmbeddingSet, answer: Answer, names: str | None = None) -> Any:
    level = products.levels[0] if products.levels else None
    return draw_answer(products, answer, PictureFolder(products, None), level, names)


def test_the_query_is_first_and_hits_follow_by_rank(embeddings_of: Embed) -> None:
    products, answer = answered(embeddings_of, LABELS)
    axes = draw(products, answer).axes
    headings = [each.get_title(loc="left") for each in axes]
    assert headings == ["query", "1 · 0.988 · copy", "2 · 0.500 · variant", "3 · -0.250"]
    assert [below(each) for each in axes] == [
        ["0000.png", "rugs"],
        ["+ 3 copies", "0003.png", "hats"],
        ["+ 1 copy", "0001.png", "cups"],
        ["0002.png"],
    ]
    assert all(is_absent(each) for each in axes)


def test_frames_are_in_the_color_of_the_class_of_each_hit(embeddings_of: Embed) -> None:
    products, answer = answered(embeddings_of, LABELS)
    categories = products.levels[0].categories
    colors = [frame_of(axes)[0] for axes in draw(products, answer).axes]
    by_class = [class_style(categories.index(name))[0] for name in ("hats", "cups")]
    assert len(set(by_class)) == 2
    assert colors == [INK, *by_class, FAINT]


def test_without_labels_no_frame_means_a_class(embeddings_of: Embed) -> None:
    products, answer = answered(embeddings_of)
    figure = draw(products, answer)
    assert [frame_of(axes)[0] for axes in figure.axes] == [INK, FAINT, FAINT, FAINT]
    assert not any("frames" in text for text in texts_of(figure))
    labelled = draw(*answered(embeddings_of, LABELS))
    assert any("frames: class" in text for text in texts_of(labelled))


def test_names_stand_for_ids_where_there_are_some(embeddings_of: Embed) -> None:
    names = ("a rug", "a cup", "", "a hat", "", "", "", "")
    products, answer = answered(embeddings_of, columns={"name": names})
    lines = [below(axes)[-1] for axes in draw(products, answer, "name").axes]
    assert lines == ["a rug", "a hat", "a cup", "0002.png"]


def test_a_new_picture_is_shown_as_the_query(embeddings_of: Embed) -> None:
    products, answer = answered(embeddings_of)
    query = Query("some/where/new.png", products.vectors[0], None, plain(BLUE))
    figure = draw(products, Answer(query, answer.hits))
    assert color_in(figure.axes[0]) == BLUE
    assert below(figure.axes[0]) == ["new.png"]
    assert frame_of(figure.axes[0])[0] == INK
    assert "Similar to some/where/new.png" in texts_of(figure)


def test_random_weights_are_said_on_the_sheet(embeddings_of: Embed) -> None:
    assert any("random weights" in text for text in texts_of(draw(*answered(embeddings_of))))


def test_an_answer_without_hits_is_the_query_alone(embeddings_of: Embed, tmp_path: Path) -> None:
    products, answer = answered(embeddings_of)
    figure = draw(products, Answer(answer.query, ()))
    assert len(figure.axes) == 1
    save(figure, tmp_path, "alone")


# a catalogue


def counted(figure: Any) -> list[str]:
    """Give what is written beside the rows, names and counts, from top to bottom."""
    title, subtitle = figure.texts[-2:]
    assert title.get_position()[1] > subtitle.get_position()[1]
    return [text.get_text() for text in figure.texts[:-2]]


@pytest.mark.parametrize("n_classes", [1, 2, 20])
def test_each_class_is_a_row_with_its_count_as_a_bar(n_classes: int) -> None:
    counts = [(7 * i) % 23 + 1 for i in range(n_classes)]
    rows = [
        ClassRow(f"class {i}", n, MUTED[i % 9], [plain(), None, plain()][: n % 3 + 1])
        for i, n in enumerate(counts)
    ]
    figure = draw_classes(rows, title="t", subtitle="s")
    assert counted(figure) == [x for i, n in enumerate(counts) for x in (f"class {i}", str(n))]
    bars = [i for i, axes in enumerate(figure.axes) if not (axes.images or axes.texts)]
    assert len(bars) == n_classes
    boxes = boxes_of(figure)
    assert not overlap(boxes)
    for bar, row in zip(bars, rows, strict=True):
        assert to_hex(figure.axes[bar].get_facecolor()).upper() == row.color
    lengths = boxes[bars, 2]
    np.testing.assert_allclose(lengths / max(lengths), np.array(counts) / max(counts), atol=0.03)
    assert len(figure.axes) == n_classes + sum(len(row.pictures) for row in rows)


@cache
def boxes_of_calm_classes() -> np.ndarray:
    rows = [ClassRow("a", 1_234_567, "k", [plain()]), ClassRow("b", 1, MUTED[1], [None])]
    return boxes_of(draw_classes(rows, title="", subtitle=""))


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_breaks_a_catalogue(name: str, tmp_path: Path) -> None:
    text = HOSTILE[name]
    rows = [ClassRow(text, 1_234_567, MUTED[0], [plain()]), ClassRow("b", 1, MUTED[1], [None])]
    figure = draw_classes(rows, title=text, subtitle=text)
    assert not [t for t in texts_of(figure) if is_math_text(t)]
    save(figure, tmp_path, "catalog")
    np.testing.assert_allclose(boxes_of(figure), boxes_of_calm_classes())
    with drawing():
        figure.draw_without_rendering()
    for written in figure.texts[:-2:2]:
        drawn = written.get_window_extent()
        assert drawn.x1 / figure.dpi < min(boxes_of(figure)[:, 0]), "it runs into its bar"


def labelled(embeddings_of: Embed, labels: list[str | None], **others: Any) -> EmbeddingSet:
    return embeddings_of(np.ones((len(labels), 3)), labels, **others)


def glanced(products: EmbeddingSet, n_examples: int = 3, seed: int = 0) -> Any:
    level = products.levels[0] if products.levels else None
    pictures = PictureFolder(products, None)
    return draw_glance(glance_at(products, level), pictures, n_examples=n_examples, seed=seed)


def test_classes_are_counted_and_rows_without_label_come_last(embeddings_of: Embed) -> None:
    labels = [None, "hats", "cups", None, "hats", "rugs", "hats"]
    products = labelled(embeddings_of, labels)
    glance = glance_at(products, products.levels[0])
    found = {name: rows.tolist() for name, rows in glance.classes}
    assert found == {"cups": [2], "hats": [1, 4, 6], "rugs": [5], "no label": [0, 3]}
    assert [name for name, _ in glance.classes][-1] == "no label"
    said = glance.to_json()
    assert said["n_images"] == 7
    assert sum(each["n_images"] for each in said["classes"]) == 7
    figure = glanced(products)
    assert counted(figure) == ["cups", "1", "hats", "3", "rugs", "1", "no label", "2"]
    assert any(text.startswith("7 pictures, 3 classes") for text in texts_of(figure))


def test_classes_of_which_no_row_is_there_are_not_drawn(embeddings_of: Embed) -> None:
    products = labelled(embeddings_of, ["cups", "hats", "rugs"]).take(np.array([0, 2]))
    figure = glanced(products)
    assert counted(figure) == ["cups", "1", "rugs", "1"]
    colors = [to_hex(a.get_facecolor()).upper() for a in figure.axes if not a.texts]
    assert colors == [MUTED[0], MUTED[2]], "rugs keep their color"


def test_without_labels_all_pictures_are_one_gray_row(embeddings_of: Embed) -> None:
    figure = glanced(embeddings_of(np.ones((9, 3))))
    assert counted(figure) == ["all pictures", "9"]
    assert to_hex(figure.axes[0].get_facecolor()).upper() == UNMATCHED
    assert len(figure.axes) == 1 + 3
    assert any("9 pictures without labels" in text for text in texts_of(figure))


def test_of_many_classes_the_largest_are_drawn_and_the_rest_said(embeddings_of: Embed) -> None:
    labels = [f"class {i:02}" for i in range(30) for _ in range(1 + (i * 7) % 30)]
    figure = glanced(labelled(embeddings_of, list(labels)), n_examples=1)
    written = counted(figure)
    assert len(written) == 2 * 20
    largest = sorted(set(labels), key=lambda name: -labels.count(name))[:20]
    assert written[::2] == sorted(largest)
    assert written[1::2] == [str(labels.count(name)) for name in sorted(largest)]
    assert any("10 smaller classes are not drawn" in text for text in texts_of(figure))
    few = glanced(labelled(embeddings_of, ["a", "b"]))
    assert not any("not drawn" in text for text in texts_of(few))


def test_equal_files_are_listed_by_group(embeddings_of: Embed) -> None:
    hashes = np.zeros((7, 32), dtype=np.uint8)
    hashes[:, 0] = [9, 5, 9, 0, 5, 0, 5]
    products = embeddings_of(np.ones((7, 3)), content_sha256=hashes, left_out={"to_do": 2})
    said = glance_at(products, None).to_json()
    assert said["equal_bytes"] == [
        ["0000.png", "0002.png"],
        ["0001.png", "0004.png", "0006.png"],
    ]
    assert said["left_out"] == 2


@pytest.fixture
def shop(tmp_path: Path, embeddings_of: Embed) -> tuple[EmbeddingSet, Path]:
    """Twenty pictures of two classes, each of a color that tells its row."""
    for row in range(20):
        plain((6 * row, 100, 50)).save(tmp_path / f"{row:04}.png")
    return embeddings_of(np.ones((20, 3)), ["cups", "hats"] * 10), tmp_path


def examples_of(shop: tuple[EmbeddingSet, Path], n_examples: int, seed: int) -> list[list[int]]:
    """Give the rows that are shown, class by class."""
    products, folder = shop
    glance = glance_at(products, products.levels[0])
    figure = draw_glance(glance, PictureFolder(products, folder), n_examples=n_examples, seed=seed)
    by_class: list[list[int]] = []
    for axes in figure.axes:
        if axes.images:
            by_class[-1].append(color_in(axes)[0] // 6)
        else:
            by_class.append([])
    return by_class


def test_examples_are_of_their_class_each_once_and_drawn_by_the_seed(
    shop: tuple[EmbeddingSet, Path],
) -> None:
    cups, hats = examples_of(shop, 4, 0)
    assert len(set(cups)) == len(set(hats)) == 4
    assert all(row % 2 == 0 for row in cups)
    assert all(row % 2 == 1 for row in hats)
    assert [cups, hats] == examples_of(shop, 4, 0)
    assert [cups, hats] != examples_of(shop, 4, 1)
    seen = {row for seed in range(6) for rows in examples_of(shop, 6, seed) for row in rows}
    assert len(seen) == 20, "every picture has its chance"
    assert [len(rows) for rows in examples_of(shop, 20, 0)] == [10, 10]


def test_the_same_seed_gives_the_same_file(shop: tuple[EmbeddingSet, Path], tmp_path: Path) -> None:
    products, folder = shop
    written = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        figure = draw_glance(
            glance_at(products, products.levels[0]),
            PictureFolder(products, folder),
            n_examples=4,
            seed=seed,
        )
        written.append(save(figure, tmp_path, name)[0].read_bytes())
    assert written[0] == written[1] != written[2]
    tiles = [Tile(plain((random.Random(i).randrange(256), 0, 0)), "a", ["b"]) for i in range(3)]
    first, second = (
        save(draw_sheet(tiles, title="t", subtitle="s"), tmp_path, name)[0].read_bytes()
        for name in "de"
    )
    assert first == second
