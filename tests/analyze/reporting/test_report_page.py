"""The report in a browser, as people use it: by mouse, by keys, on a phone, in the dark, on paper.

Needs Chromium; where there is none these tests are skipped.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.path import Path as Polygon
from playwright.sync_api import Browser, Page, expect, sync_playwright

from analyze import interactive_map
from extract.ids import shown

CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, CHROMIUMS)), None)
QUIET = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --num-raster-threads=1 --renderer-process-limit=1"
).split()
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


class Opened:
    """A page of a report, and what it did that it may not."""

    def __init__(self, browser: Browser, path: Path, **how: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **how)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda sent: self.requests.append(sent.url))
        self.page.on("console", lambda each: self._hear(each.type, each.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        expect(self.page.locator("html.ready")).to_have_count(1)
        self.own = path.as_uri()

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "willReadFrequently" not in text:  # these tests read
            self.complaints.append(text)

    def left(self) -> list[str]:
        """Give the requests for anything but the page and what is inside of it."""
        return [url for url in self.requests if url != self.own and not url.startswith("data:")]

    def lit(self) -> list[int]:
        """Count the pixels drawn over each map."""
        script = """() => maps.map((map) => map.over.getContext("2d")
          .getImageData(0, 0, map.over.width, map.over.height).data
          .filter((byte, i) => i % 4 === 3 && byte > 0).length)"""
        found: list[int] = self.page.evaluate(script)
        return found

    def place(self, number: int, row: int) -> tuple[float, float]:
        """Say where on the screen a row of a map is."""
        script = """([number, row]) => {
          const map = maps[number], box = map.frame.getBoundingClientRect();
          const { per, left, top } = map.transform(), ratio = map.canvas.width / box.width;
          return [box.left + (left + map.points[2 * row] * per) / ratio,
            box.top + (top + map.points[2 * row + 1] * per) / ratio];
        }"""
        x, y = self.page.evaluate(script, [number, row])
        return x, y


@pytest.fixture(scope="module")
def opened(browser: Browser, reported: Path, page_of: Callable[[Path], Path]) -> Iterator[Opened]:
    """One page for all tests that only look or put things back."""
    found = Opened(browser, page_of(reported), viewport=WIDE)
    found.page.wait_for_function("maps.every((map) => map.frames > 0)")
    yield found
    assert found.left() == []
    assert found.complaints == []
    found.context.close()


def serious_faults(page: Page) -> list[Any]:
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (each["id"], [node["html"] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_a_picture_that_is_pointed_at_is_lit_in_all_maps(opened: Opened) -> None:
    page = opened.page
    page.locator("#maps").scroll_into_view_if_needed()
    assert opened.lit() == [0, 0, 0]
    page.mouse.move(*opened.place(1, 5))
    assert all(opened.lit())
    peek = page.locator("#peek")
    expect(peek).to_be_visible()
    row = page.evaluate("state.lit")
    expect(peek).to_contain_text(page.evaluate("data.ids[state.lit]"))
    assert page.evaluate("maps[1].nearest([maps[1].points[10], maps[1].points[11]], 12)") == row
    expect(peek.locator("img")).to_have_js_property("complete", True)
    assert peek.locator("img").evaluate("(image) => image.naturalWidth") > 20
    page.mouse.move(2, 2)
    expect(peek).to_be_hidden()
    assert opened.lit() == [0, 0, 0]


def test_the_lasso_gives_a_list_that_is_saved_as_csv(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Lasso").click()
    box = page.locator(".map-frame").first.bounding_box()
    assert box is not None
    wide, high = box["width"], box["height"]
    corners = [
        (2, 2),
        (0.8 * wide, 0.1 * high),
        (0.45 * wide, 0.5 * high),
        (0.6 * wide, 0.97 * high),
    ]
    places = [(box["x"] + x, box["y"] + y) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()
    rows = page.evaluate("[...state.chosen]")
    there = [opened.place(0, row) for row in range(page.evaluate("data.n"))]
    inside = Polygon(places).contains_points(there)
    assert rows == np.flatnonzero(inside).tolist()
    assert 0 < len(rows) < len(there)
    expect(page.locator("#chosen-pictures li")).to_have_count(len(rows))
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save as CSV").click()
    saved = Path(waiting.value.path()).read_text()
    table = list(csv.DictReader(io.StringIO(saved)))
    assert [each["id"] for each in table] == page.evaluate(
        "[...state.chosen].map((r) => data.ids[r])"
    )
    assert all(each["leaf"] for each in table)
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Lasso").click()
    expect(page.locator("#chosen-pictures li")).to_have_count(0)


def test_a_confusion_cell_opens_to_its_pictures(opened: Opened) -> None:
    page = opened.page
    cell = page.locator(".matrix td button").first
    n = int(cell.inner_text())
    cell.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("li")).to_have_count(n)
    names = dialog.locator("li p").all_inner_texts()
    label = page.evaluate("columns[0].categories[data.classes[0]]")
    assert all(name.split("-")[0] in label for name in names)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    total = sum(int(each) for each in page.locator(".matrix td button").all_inner_texts())
    assert total == 2 * page.evaluate("data.n"), "of each of two backbones, every picture once"


def test_colors_come_from_any_column_and_the_legend_picks_out(opened: Opened) -> None:
    page = opened.page
    options = page.locator("#color-by option").all_inner_texts()
    assert options[0] == "leaf"
    assert {"family", "clusters of backbone0"} <= {*options}
    page.locator("#color-by").select_option(label="family")
    entries = page.locator("#legend button")
    expect(entries).to_have_count(2)
    entries.first.click()
    assert page.evaluate("[...state.kept]") == [0]
    entries.first.click()
    page.locator("#color-by").select_option("0")
    expect(entries).to_have_count(4)


def test_a_map_is_moved_by_keys_and_the_wheel(opened: Opened) -> None:
    page = opened.page
    page.locator(".map").first.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    view = page.evaluate("maps[0].view")
    assert view["scale"] > 1
    assert view["x"] < 0.5
    page.keyboard.press("0")
    x, y = opened.place(0, 3)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -200)
    page.wait_for_function("maps[0].view.scale > 1")
    assert opened.place(0, 3) == pytest.approx((x, y), abs=8), "what is pointed at stays"
    page.get_by_role("button", name="Show all").click()
    assert page.evaluate("maps[0].view.scale") == 1


def test_a_picture_is_found_by_its_name(opened: Opened) -> None:
    page = opened.page
    page.get_by_label("Find a picture").fill(page.evaluate("data.ids[7]").upper())
    assert page.evaluate("state.lit") == 7
    assert all(opened.lit())
    page.get_by_label("Find a picture").fill("")
    assert page.evaluate("state.lit") == -1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_is_cut_and_axe_finds_no_serious_fault(
    browser: Browser, reported: Path, page_of: Callable[[Path], Path], scheme: Any, size: Any
) -> None:
    found = Opened(browser, page_of(reported), viewport=size, color_scheme=scheme)
    page = found.page
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert serious_faults(page) == []
    sheet = page.evaluate("theme.sheet")
    assert sheet == {"light": "#fdfdfb", "dark": "#1b1a21"}[scheme]
    page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    page.wait_for_function("(before) => theme.sheet !== before", arg=sheet)
    assert found.left() == found.complaints == []
    found.context.close()


def test_it_prints_whole_on_paper(opened: Opened) -> None:
    page = opened.page
    page.emulate_media(media="print", color_scheme="dark")
    for selector in (".top", ".tools", ".choices"):
        expect(page.locator(selector).first).to_be_hidden()
    style = "getComputedStyle(document.body)"
    colors = page.evaluate(f"[{style}.color, {style}.backgroundColor]")
    assert colors == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"], "dark ink on white paper"
    printed = page.pdf(format="A4", print_background=True)
    n_pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 2 <= n_pages <= 15
    assert page.evaluate("[...document.querySelectorAll('details')].every((each) => each.open)")
    page.emulate_media(media="screen", color_scheme="light")


def test_without_pictures_names_are_listed_and_beyond_twenty_classes_are_gray(
    browser: Browser, tmp_path: Path
) -> None:
    codes = np.repeat(np.arange(30), np.where(np.arange(30) < 10, 2, 4))
    points = np.random.default_rng(0).normal(size=(len(codes), 2))
    drawn = interactive_map(points, [f"kind {c:02}" for c in codes])
    found = Opened(browser, *drawn.save(tmp_path / "map.html"), viewport=WIDE)
    page = found.page
    listed = page.locator("#legend button .word").all_inner_texts()
    assert listed == [f"kind {c:02}" for c in range(10, 30)], "the largest"
    assert page.locator("#legend").inner_text().endswith("gray: 10 more")
    looks = page.evaluate("columns[0].categories.map((_, k) => look(columns[0], k).color)")
    assert looks[:10] == [page.evaluate("theme.none")] * 10
    assert len({*looks[10:]}) == 20
    page.evaluate("choose([0, 5])")
    assert page.locator("#chosen-pictures li").all_inner_texts() == ["0", "5"]
    expect(page.locator("#chosen-pictures .frame")).to_have_count(0)
    assert serious_faults(page) == []
    assert found.left() == found.complaints == []
    found.context.close()


def test_hostile_names_and_labels_never_run(
    browser: Browser, hostile_report: Path, page_of: Callable[[Path], Path]
) -> None:
    found = Opened(browser, page_of(hostile_report), viewport=WIDE)
    page = found.page
    page.locator(".matrix td button").first.click()
    page.keyboard.press("Escape")
    page.mouse.move(*found.place(0, 0))
    page.evaluate("choose([0, 1, 2])")
    assert page.evaluate("window.ran") is None
    table = list(csv.reader(io.StringIO(page.evaluate("csvOf([...Array(data.n).keys()])"))))
    assert not [cell for row in table for cell in row if cell.startswith("=")]
    name = shown(page.evaluate("data.ids[0]"))
    assert name in page.locator("#chosen-pictures").inner_text()
    added = "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 9';"
    page.evaluate(added + " document.body.append(s); }")
    assert page.evaluate("window.ran") is None, "the policy lets no other script run"
    assert found.left() == []
    found.context.close()
