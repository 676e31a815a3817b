"""The look-alike page in a browser, as people use it: by mouse, by keys, by touch, without scripts.

Needs Chromium; where there is none these tests are skipped. Screenshots go to ``results/page``.
"""

from __future__ import annotations

import base64
import csv
import io
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from color_vision import VISIONS, contrast, least_apart
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)
from served import Served, serving
from small_catalogs import PROJECT, draw, run_in

from analyze.presentation.palette import CLASS_COLORS, MUTED
from extract.catalog.demo import KINDS as DRAWN
from extract.catalog.demo import draw_picture
from extract.images.decoding import FORMATS
from tests.faults.warm_server import WarmServer

Once = Callable[[str, Callable[[Path], None]], Path]

KINDS = tuple(DRAWN)
EACH = 4
CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "chrome")
"""The first draws no window about its pages, which takes two fifths of the time."""

CHROMIUM = next(filter(None, map(shutil.which, CHROMIUMS)), None)
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --num-raster-threads=1 "
    # pages of one visitor share a process: each of its own takes a second of the processor
    "--renderer-process-limit=1 --disable-site-isolation-trials"
).split()
SHOTS = PROJECT / "results" / "page"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}
HOSTILE = (
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 2">',
    "</script><script>window.ran = 3</script>",
    "javascript:window.ran=4//' onmouseover='window.ran = 5",
    "<svg/onload=window.ran=6>{{ 7 * 7 }}",
)
ODD = {
    "tall": (60, 480),
    "wide": (480, 60),
    "tiny": (3, 2),
    "transparent": (120, 60),
    "lying": (100, 300),
}
"""Kinds of pictures that do not fill a square, by their upright sizes."""

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

expect.set_options(timeout=15_000)  # as actions have: others may be at work on this machine

pytestmark = [
    pytest.mark.browser,
    pytest.mark.service,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium: apt install chromium (or any package of it)"
    ),
]


@dataclass
class Watched:
    """What a browser did beside showing pages: its requests, and complaints not expected."""

    expected: tuple[str, ...] = ()
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self, context: BrowserContext) -> Iterator[None]:
        listeners: dict[Any, Callable[[Any], None]] = {
            "request": lambda sent: self.hosts.add(urlsplit(sent.url).netloc),
            "console": lambda said: self._complain(said.type, said.text),
            "weberror": lambda error: self._complain("error", str(error.error)),
            "dialog": lambda dialog: self._complain("error", f"dialog {dialog.message}"),
        }
        for event, listener in listeners.items():
            context.on(event, listener)
        yield
        for event, listener in listeners.items():
            context.remove_listener(event, listener)

    def _complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(each in text for each in self.expected):
            self.complaints.append(text)


def shelf_of(kind: str) -> str:
    """Say where a kind stands: every second is of one department."""
    return f"{'Table' if KINDS.index(kind) % 2 else 'Room'} >> {kind}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests here, and no longer: while it is there, asyncio takes its loop for ours."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Contexts:
    return Contexts(browser)


def embed_shelves(root: Path) -> None:
    """Embed some of each kind, in departments, by two backbones; map the first."""
    with (root / "shop.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(("id", "image", "name", "tree"))
        for kind in KINDS:
            for i in range(EACH):
                draw(root / "pictures" / kind / f"{i}.jpg", kind, i)
                name = f"{kind} number {i}"
                write.writerow((f"{kind}-{i}", f"{kind}/{i}.jpg", name, shelf_of(kind)))
        draw(root / "pictures" / "again.jpg", KINDS[0], 0)
        write.writerow(("again", "again.jpg", "The first once more", shelf_of(KINDS[0])))
    words = "--manifest shop.csv --image-column image --id-column id --label-column tree".split()
    words += ["--label-separator", " >> ", "--images-dir", "pictures", "--catalog", "shop"]
    models = ("--model", "efficientnet_lite0", "--model", "efficientnet_lite1")
    done = run_in(root, "extract", *words, *models, "--resize", "crop")
    assert done.returncode == 0, done.stderr
    lite0 = ("--model", "efficientnet_lite0", "--catalog", "shop")
    done = run_in(root, "analyze", *lite0, "--reduce", "tsne:8")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def served(once: Once, warm_server: WarmServer) -> Iterator[Served]:
    """Two backbones over some of each kind, in departments, and a map of the first."""
    root = once("browsed-shelves", embed_shelves)
    with serving(root, "--catalog", "shop", warm=warm_server) as found:
        found.wait_for_uploads()
        yield found


def save_odd(path: Path, number: int) -> None:
    """Draw a picture that is tall, wide, tiny, transparent or lying on its side, in turn."""
    kind = tuple(ODD)[number % len(ODD)]
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = draw_picture(KINDS[number % 3], random.Random(number)).resize(ODD[kind])
    lying = picture.getexif()
    if kind == "lying":
        picture = picture.transpose(Image.Transpose.ROTATE_90)
        lying[0x0112] = 6  # to be turned by a quarter
    elif kind == "transparent":
        picture.putalpha(Image.linear_gradient("L").resize(ODD[kind]))
    picture.save(path, "PNG" if kind == "transparent" else "JPEG", exif=lying)


def embed_hostile(root: Path) -> None:
    """Embed pictures of odd shapes whose names, ids, labels and columns want to run."""
    with (root / "shop.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(("id", "image", "name", "tree", HOSTILE[1]))
        for i, text in enumerate(HOSTILE * 2):
            save_odd(root / "pictures" / f"{i}.jpg", i)
            write.writerow((f"{i}{text}", f"{i}.jpg", f"{text} {i}", f"{text} >> {i}", text))
    words = "--manifest shop.csv --image-column image --id-column id --label-column tree".split()
    words += ["--label-separator", " >> ", "--images-dir", "pictures", "--catalog", "shop"]
    for command in (("extract", *words), ("analyze", "--reduce", "tsne:3")):
        done = run_in(root, *command)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def hostile(once: Once, warm_server: WarmServer) -> Iterator[Served]:
    """A catalogue whose names, ids, labels and columns want to run, of pictures of odd shapes."""
    titles = ("--level-title", f"tree_1={HOSTILE[1]}", "--level-title", "tree_2=Kind of = product")
    with serving(once("browsed-hostile", embed_hostile), *titles, warm=warm_server) as found:
        found.wait_for_uploads()
        yield found


class Visit:
    """One visitor of a service, with a browser of its own.

    Parameters
    ----------
    page : Page
    watched : Watched
    url : str
        Of the service.
    """

    def __init__(self, page: Page, watched: Watched, url: str) -> None:
        self.page, self.watched, self.url = page, watched, url

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def upload(self, content: bytes, name: str = "mine.jpg") -> None:
        sent = {"name": name, "mimeType": "image/jpeg", "buffer": content}
        self.page.set_input_files("#image", files=[sent])  # type: ignore[list-item]

    @property
    def hits(self) -> Locator:
        return self.page.locator(".hit")

    def names(self) -> list[str]:
        return [each.strip() for each in self.page.locator(".hit .name").all_inner_texts()]

    def labels(self) -> set[str]:
        return {each.strip() for each in self.page.locator(".hit .label").all_inner_texts()}

    def scores(self) -> list[str]:
        return self.page.locator(".hit .score").all_inner_texts()

    def problem(self) -> str:
        return self.page.locator(".problem").inner_text()


Enter = Callable[..., Visit]


class Contexts:
    """Visitors' contexts, kept with a page that keeps their process: to begin one takes seconds.

    What a page keeps for itself (``sessionStorage``, history, routes) goes with the page.
    """

    MOST = 3

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: dict[str, BrowserContext] = {}

    def of(self, how: Mapping[str, Any]) -> BrowserContext:
        """Give the context of some options, without cookies, online."""
        key = repr(sorted(how.items()))
        context = self._kept.pop(key, None) or self._new(how)
        self._kept[key] = context  # as the last that was used
        if len(self._kept) > self.MOST:
            self._kept.pop(next(iter(self._kept))).close()
        return context

    def _new(self, how: Mapping[str, Any]) -> BrowserContext:
        context = self._browser.new_context(**how)
        context.set_default_timeout(15_000)
        context.new_page()
        return context


@pytest.fixture
def enter(contexts: Contexts) -> Iterator[Enter]:
    """Come to a service; what was asked of other hosts, or complained of, fails the test."""
    visits: list[tuple[Visit, Served]] = []

    with ExitStack() as left:

        def come(served: Served, *, expected: tuple[str, ...] = (), **how: Any) -> Visit:
            context, watched = contexts.of(how), Watched(expected)
            left.enter_context(watched.watching(context))
            visit = Visit(context.new_page(), watched, served.url)
            left.callback(context.clear_cookies)
            left.callback(context.set_offline, False)
            left.callback(visit.page.close)
            visits.append((visit, served))
            return visit

        yield come
    for visit, served in visits:
        assert visit.watched.hosts <= {urlsplit(served.url).netloc, ""}  # "" of data: and blob:
        assert not visit.watched.complaints


@pytest.fixture
def visit(enter: Enter, served: Served) -> Visit:
    return enter(served)


def picture_of(kind: str, seed: int) -> bytes:
    file = io.BytesIO()
    draw_picture(kind, random.Random(seed)).save(file, "JPEG", quality=90)
    return file.getvalue()


def wide_picture() -> bytes:
    """Draw a picture four times as wide as high."""
    file = io.BytesIO()
    draw_picture(KINDS[2], random.Random(7)).resize((400, 100)).save(file, "JPEG", quality=90)
    return file.getvalue()


# a picture of one's own


def test_a_picture_that_is_chosen_finds_itself(visit: Visit) -> None:
    visit.go("/")
    visit.upload(picture_of(KINDS[2], 3))
    expect(visit.hits.first.locator(".name")).to_have_text(f"{KINDS[2]} number 3")
    expect(visit.hits.first.locator(".same")).to_have_text("copy")
    assert visit.hits.count() == 12
    expect(visit.page.locator("#announcement")).to_have_text("12 similar products found")
    expect(visit.page.locator("#main")).to_be_focused()
    expect(visit.page.locator(".query img")).to_have_js_property("complete", True)


def carried(kind: str) -> str:
    """Spell a script that makes an event which carries a file, as a drop or a paste does."""
    carrier = "dataTransfer" if kind == "drop" else "clipboardData"
    made = "DragEvent" if kind == "drop" else "ClipboardEvent"
    return f"""([content, name, type]) => {{
        const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        const carrier = new DataTransfer();
        carrier.items.add(new File([bytes], name, {{ type }}));
        const init = {{ {carrier}: carrier, bubbles: true, cancelable: true }};
        document.body.dispatchEvent(new {made}("{kind}", init));
    }}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
@pytest.mark.parametrize("path", ["/", f"/product?id={KINDS[1]}-1", "/map"])
def test_a_picture_is_dropped_or_pasted_anywhere(visit: Visit, way: str, path: str) -> None:
    visit.go(path)
    content = base64.b64encode(picture_of(KINDS[4], 1)).decode()
    visit.page.evaluate(carried(way), [content, "x.jpg", "image/jpeg"])
    expect(visit.page.locator("h1")).to_have_text("Your picture")
    expect(visit.hits.first.locator(".name")).to_have_text(f"{KINDS[4]} number 1")


def test_what_is_dropped_and_is_no_picture_is_said(visit: Visit) -> None:
    visit.go("/")
    visit.page.evaluate(carried("drop"), [base64.b64encode(b"a").decode(), "a.txt", "text/plain"])
    assert "not a picture" in visit.problem()
    assert visit.hits.count() == 0


def test_a_picture_that_is_refused_is_said_with_what_to_do(enter: Enter, served: Served) -> None:
    visit = enter(served, expected=("422",))
    visit.go("/")
    visit.upload(picture_of(KINDS[0], 0)[:400])
    expect(visit.page.locator(".problem")).to_contain_text("copy or save it again")
    expect(visit.page.locator(".card").first).to_be_visible()  # what was there stays
    visit.upload(b"GIF? no", "no.gif")
    expect(visit.page.locator(".problem")).to_contain_text("save it as JPEG or PNG")
    assert visit.page.locator(".problem").count() == 1
    visit.upload(picture_of(KINDS[0], 1))
    expect(visit.hits.first.locator(".name")).to_have_text(f"{KINDS[0]} number 1")
    assert visit.page.locator(".problem").count() == 0


def saved(picture: Image.Image, format_name: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_name)
    return file.getvalue()


def test_a_file_that_cannot_be_looked_up_is_refused_before_it_is_sent(visit: Visit) -> None:
    sent: list[str] = []
    visit.page.on("request", lambda each: sent.append(each.method))
    visit.go("/")
    for content, said in (
        (b"", "empty"),
        (b"%PDF-1.7 " + bytes(99), "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "not a picture"),
        (saved(Image.new("1", (10_000, 5_001)), "PNG"), "10000 × 5001 pixels"),
    ):
        visit.upload(content)
        expect(visit.page.locator(".problem")).to_contain_text(said)
        expect(visit.page.locator(".drop .mark")).to_be_visible()
    visit.page.evaluate("take(new File([new Uint8Array(20_000_001)], 'x.jpg'))")
    expect(visit.page.locator(".problem")).to_contain_text("21 MB, 20 MB at most")
    assert set(sent) == {"GET"}
    largest = saved(Image.new("1", (10_000, 5_000)), "PNG")
    script = """async ([bytes]) => {
        const file = new File([Uint8Array.from(bytes)], "x", { type: "image/png" });
        const image = await loaded(file);
        return [image.naturalWidth, await refusalOf(file, image)];
    }"""
    assert visit.page.evaluate(script, [list(largest)]) == [10_000, ""]


def test_no_format_that_is_read_is_refused_before_it_is_sent(visit: Visit) -> None:
    """What a browser cannot show itself is read by the service all the same."""
    visit.go("/")
    here = sorted(FORMATS & set(Image.SAVE))
    assert {"JPEG", "TIFF", "JPEG2000", "PPM", "DIB"} <= set(here)
    picture = draw_picture(KINDS[0], random.Random(0)).resize((32, 32))
    files = {name: saved(picture, name) for name in here}
    files["codestream"] = files["JPEG2000"][files["JPEG2000"].index(b"\xff\x4f\xff\x51") :]
    files["HEIC"] = b"\0\0\0\x18ftypheic"
    files["JPEG XL"], files["JPEG XL in a box"] = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
    for name, content in files.items():
        refusal = visit.page.evaluate(
            "([bytes]) => refusalOf(new File([Uint8Array.from(bytes)], 'x'), null)",
            [list(content[:100])],
        )
        assert refusal == "", name


class Loading:
    """A service whose backbone is still loading, as its page and ``/api/health`` tell it."""

    def __init__(self, visit: Visit) -> None:
        self.predictions: dict[str, str] = {"uploads": "loading"}
        visit.page.route("**/api/health", self.health)
        visit.page.route(re.compile(r"/(product.*|map)?$"), self.page)

    def health(self, route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        told["files"] = [{**each, **self.predictions} for each in told["files"]]
        route.fulfill(response=answer, json=told)

    def page(self, route: Route) -> None:
        answer = route.fetch()
        text = answer.text().replace('data-uploads="ready"', 'data-uploads="loading"')
        route.fulfill(response=answer, body=text)


@pytest.mark.parametrize("path", ["/", f"/product?id={KINDS[1]}-1"])
def test_a_picture_waits_for_a_backbone_that_loads(visit: Visit, path: str) -> None:
    service = Loading(visit)
    sent: list[str] = []
    visit.page.on("request", lambda each: sent.append(each.method))
    visit.go(path)
    if path == "/":
        expect(visit.page.locator(".when-loading")).to_contain_text("still loading")
        expect(visit.page.get_by_role("progressbar")).to_be_visible()
    content = base64.b64encode(picture_of(KINDS[4], 1)).decode()
    visit.page.evaluate(carried("drop"), [content, "x.jpg", "image/jpeg"])
    expect(visit.page.locator(".held")).to_contain_text("as soon as the model has loaded")
    visit.page.wait_for_timeout(700)
    assert "POST" not in sent
    service.predictions = {"uploads": "ready"}
    expect(visit.page.locator("h1")).to_have_text("Your picture")
    expect(visit.hits.first.locator(".name")).to_have_text(f"{KINDS[4]} number 1")
    expect(visit.page.locator(".held, .when-loading:visible")).to_have_count(0)


def test_a_backbone_that_does_not_load_is_said_until_it_does(visit: Visit) -> None:
    service = Loading(visit)
    service.predictions = {
        "uploads": "unavailable",
        "uploads_reason": "its weights are cut <b>off</b>",
    }
    visit.go("/")
    expect(visit.page.locator(".when-unavailable")).to_contain_text("weights are cut <b>off</b>")
    expect(visit.page.locator(".when-loading")).to_be_hidden()
    service.predictions = {"uploads": "ready"}
    expect(visit.page.locator(".when-unavailable")).to_be_hidden()
    visit.upload(picture_of(KINDS[4], 1))
    expect(visit.hits.first.locator(".name")).to_have_text(f"{KINDS[4]} number 1")


def test_choices_ask_again_about_the_picture_in_hand(visit: Visit) -> None:
    visit.go("/")
    visit.upload(picture_of(KINDS[2], 3))
    expect(visit.hits.first.locator(".same")).to_be_visible()
    visit.page.get_by_label("tree_2").select_option(f"tree_2={shelf_of(KINDS[3])}")
    expect(visit.page.locator(".how-found")).to_contain_text(KINDS[3])
    assert visit.labels() == {"Table"}
    assert all(name.startswith(KINDS[3]) for name in visit.names())
    visit.page.get_by_role("combobox", name="Model").select_option("efficientnet_lite1")
    expect(visit.page.locator("footer")).to_contain_text("efficientnet_lite1")
    assert all(name.startswith(KINDS[3]) for name in visit.names())
    visit.page.go_back()
    expect(visit.page.locator("h1")).to_contain_text("Catalogue")


def test_one_walks_on_from_ones_picture_and_comes_back_to_it(visit: Visit) -> None:
    visit.go("/")
    visit.upload(picture_of(KINDS[2], 3))
    expect(visit.hits.first.locator(".same")).to_be_visible()
    names = visit.names()
    visit.hits.nth(1).get_by_role("link").first.click()
    expect(visit.page.locator("h1")).to_have_text(names[1])
    visit.page.go_back()
    expect(visit.page.locator("h1")).to_have_text("Your picture")
    assert visit.names() == names
    visit.page.get_by_role("combobox", name="Model").select_option(
        "efficientnet_lite1"
    )  # still in hand
    expect(visit.page.locator("footer")).to_contain_text("efficientnet_lite1")
    expect(visit.hits.first.locator(".name")).to_have_text(f"{KINDS[2]} number 3")
    visit.go("/")
    expect(visit.page.locator("h1")).to_contain_text("Catalogue")
    visit.page.reload()
    expect(visit.page.locator("h1")).to_contain_text("Catalogue")


def test_its_look_alikes_are_lit_on_the_map(visit: Visit) -> None:
    visit.go("/")
    visit.upload(picture_of(KINDS[2], 3))
    visit.page.get_by_role("link", name="on the map").click()
    expect(visit.page.locator("h1")).to_contain_text("12 similar products highlighted")
    assert visit.page.locator("#map .lit").count() == 12


def test_a_service_that_has_gone_is_said(enter: Enter, served: Served) -> None:
    visit = enter(served, expected=("ERR_",))
    visit.go("/")
    visit.page.context.set_offline(True)
    visit.upload(picture_of(KINDS[2], 3))
    expect(visit.page.locator(".problem")).to_contain_text("Is it still running?")


# through the catalogue


def test_one_walks_from_product_to_look_alike_and_back(visit: Visit) -> None:
    visit.go("/")
    expect(visit.page.locator(".count")).to_have_text(f"{len(KINDS) * EACH + 1} products")
    visit.page.get_by_role("link", name=f"{KINDS[0]} number 0").click()
    expect(visit.page.locator("h1")).to_have_text(f"{KINDS[0]} number 0")
    expect(visit.page.get_by_role("link", name="again", exact=True)).to_be_visible()
    second = visit.names()[1]
    visit.hits.nth(1).get_by_role("link").first.click()
    expect(visit.page.locator("h1")).to_have_text(second)
    scores = [float(each.split()[1]) for each in visit.scores()]
    assert scores == sorted(scores, reverse=True)
    visit.page.go_back()
    expect(visit.page.locator("h1")).to_have_text(f"{KINDS[0]} number 0")
    visit.page.get_by_text("Product details").click()
    expect(visit.page.locator(".facts")).to_contain_text("tree_1")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_hits_that_are_shown_are_downloaded_as_csv(
    enter: Enter, served: Served, scripts: bool
) -> None:
    visit = enter(served, java_script_enabled=scripts)
    product = f"/product?id={KINDS[0]}-1"
    inside = f"{product}&where={quote(f'tree_2={shelf_of(KINDS[3])}')}"
    paths = (product, f"{product}&top=3", f"{product}&diverse=on", inside, "picture")
    shown = []
    for path in paths:
        visit.go(path if path != "picture" else "/")
        if path == "picture":
            visit.upload(picture_of(KINDS[2], 3))
            if not scripts:
                visit.page.get_by_role("button", name="Find similar products").click()
            expect(visit.hits.first).to_be_visible()
        with visit.page.expect_download() as found:
            visit.page.get_by_role("link", name="Download as CSV").click()
        assert found.value.suggested_filename == "similar.csv"
        with found.value.path().open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["name"] for row in rows] == visit.names(), path
        assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
        similarities = [f"{float(row['similarity']):.3f}" for row in rows]
        assert similarities == [each.split()[1] for each in visit.scores()]
        assert rows[0]["tree_1"] in ("Room", "Table")
        assert {row["query"] for row in rows} == {
            "picture" if path == "picture" else f"{KINDS[0]}-1"
        }
        shown.append(tuple(visit.names()))
    assert len(set(shown)) == len(paths), "each is another list"


def test_every_picture_of_a_page_is_shown(visit: Visit) -> None:
    visit.go(f"/product?id={KINDS[1]}-2")
    visit.page.wait_for_load_state("networkidle")
    widths = visit.page.locator("main img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert len(widths) == 13
    assert min(widths) > 0


def test_categories_are_chosen_each_inside_of_the_one_above(visit: Visit) -> None:
    visit.go("/")
    visit.page.get_by_label("tree_2").select_option(f"tree_2={shelf_of(KINDS[0])}")
    expect(visit.page.locator(".count")).to_have_text(f"{EACH + 1} products")
    visit.page.get_by_label("tree_1").select_option("tree_1=Table")  # lets go of what was below
    expect(visit.page.locator(".count")).to_have_text(f"{len(KINDS) // 2 * EACH} products")
    offered = visit.page.get_by_label("tree_2").locator("option").all_inner_texts()
    assert offered == ["all", *(f"{shelf_of(kind)} ({EACH})" for kind in sorted(KINDS[1::2]))]
    assert "image=" not in visit.page.url
    assert "tree_2" not in visit.page.url
    visit.page.locator(".card a").first.click()
    expect(visit.page.locator(".how-found")).to_contain_text("inside")
    assert visit.labels() == {"Table"}


def test_varied_results_are_others(visit: Visit) -> None:
    visit.go(f"/product?id={KINDS[0]}-1")
    plain = visit.names()
    visit.page.get_by_label("Varied results").check()
    expect(visit.page.locator(".how-found")).to_contain_text("varied results")
    assert visit.names() != plain
    assert visit.names()[0] == plain[0]  # the first is the most similar in either case


def test_another_backbone_is_asked_and_stays(visit: Visit) -> None:
    visit.go(f"/product?id={KINDS[0]}-1")
    visit.page.get_by_role("combobox", name="Model").select_option("efficientnet_lite1")
    expect(visit.page.locator("footer")).to_contain_text("efficientnet_lite1")
    visit.hits.first.get_by_role("link").first.click()
    expect(visit.page.locator("footer")).to_contain_text("efficientnet_lite1")
    visit.page.locator("nav").get_by_role("link", name="Map").click()
    expect(visit.page.locator(".empty")).to_contain_text("--reduce tsne")
    expect(visit.page.locator(".empty")).to_contain_text("efficientnet_lite1")


def test_what_the_model_sees_is_shown_from_page_to_page(visit: Visit) -> None:
    visit.go("/")
    visit.page.get_by_label("tree_1").select_option("tree_1=Table")
    toggle = visit.page.get_by_label("As the model sees them")
    toggle.focus()
    visit.page.keyboard.press("Space")
    said = visit.page.locator(".how-seen")
    expect(said).to_have_text("Pictures as the model saw them: center cut out (crop), 224 px.")
    assert "where=tree_1%3DTable" in visit.page.url
    visit.page.locator(".card a").first.click()
    expect(visit.page.locator("h1")).to_contain_text(" number ")
    expect(said).to_be_visible()
    assert visit.labels() == {"Table"}
    visit.page.wait_for_load_state("networkidle")
    sizes = visit.page.locator("main img").evaluate_all(
        "all => all.map(i => [i.naturalWidth, i.naturalHeight].join())"
    )
    assert set(sizes) == {"224,224"}
    visit.hits.first.get_by_role("link").first.click()
    visit.page.get_by_role("link", name="Show on the map").click()
    expect(said).to_be_visible()
    visit.page.locator("#map .lit").first.hover()
    expect(visit.page.locator("#peek img")).to_have_js_property("naturalWidth", 224)
    visit.page.locator("nav").get_by_role("link", name="Catalogue").click()
    visit.upload(wide_picture())
    expect(visit.page.locator(".query img")).to_have_js_property("naturalWidth", 224)
    toggle.uncheck()  # the picture in hand is asked about again
    expect(visit.page.locator(".query img")).to_have_js_property("naturalHeight", 100)
    expect(said).to_have_count(0)


def test_what_is_searched_for_is_found_or_said(visit: Visit) -> None:
    visit.go("/")
    visit.page.get_by_label("Product name or id").fill("NUMBER 3")
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator(".count")).to_have_text(f"{len(KINDS)} products")
    visit.page.get_by_label("Product name or id").fill("none such")
    visit.page.get_by_role("button", name="Search").click()
    expect(visit.page.locator(".empty")).to_contain_text("No products found")
    visit.page.get_by_role("link", name="the whole catalogue").click()
    expect(visit.page.locator(".count")).to_have_text(f"{len(KINDS) * EACH + 1} products")


def test_what_is_not_there_leads_back(enter: Enter, served: Served) -> None:
    visit = enter(served, expected=("404",))
    visit.go("/product?id=nobody")
    expect(visit.page.locator("h1")).to_have_text("Not found")
    expect(visit.page.locator("main")).to_contain_text("'nobody'")
    visit.page.get_by_role("link", name="Back to the catalogue").click()
    expect(visit.page.locator("h1")).to_contain_text("Catalogue")


# keys


def test_keys_lead_through_the_catalogue(visit: Visit) -> None:
    visit.go("/")
    press = visit.page.keyboard.press
    press("?")
    expect(visit.page.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    press("Escape")
    expect(visit.page.get_by_role("heading", name="Keyboard shortcuts")).to_be_hidden()
    press("/")
    expect(visit.page.get_by_label("Product name or id")).to_be_focused()
    visit.page.keyboard.type("m/?u")  # while typing they are letters
    expect(visit.page.get_by_label("Product name or id")).to_have_value("m/?u")
    visit.go("/")
    cards = visit.page.locator(".card > a")
    press("ArrowRight")
    expect(cards.nth(0)).to_be_focused()
    press("ArrowRight")
    expect(cards.nth(1)).to_be_focused()
    press("ArrowDown")
    across = visit.page.evaluate(
        "getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length"
    )
    expect(cards.nth(1 + across)).to_be_focused()
    press("ArrowUp")
    expect(cards.nth(1)).to_be_focused()
    press("Enter")
    expect(visit.page.locator("h1")).to_contain_text(" number ")
    press("m")
    expect(visit.page.locator("nav [aria-current]")).to_have_text("Map")


def test_the_chooser_opens_by_a_key(visit: Visit) -> None:
    visit.page.on("filechooser", lambda _: None)  # listening from the press on comes late at times
    visit.go("/")
    with visit.page.expect_file_chooser():
        visit.page.keyboard.press("u")


def test_the_first_tab_skips_to_the_products(visit: Visit) -> None:
    visit.go("/")
    visit.page.keyboard.press("Tab")
    expect(visit.page.get_by_role("link", name="Skip to the main content")).to_be_focused()
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator("#main")).to_be_focused()


# the map


def test_a_point_shows_its_picture_and_leads_to_its_product(visit: Visit) -> None:
    visit.go("/map")
    points = visit.page.locator("#map .point")
    assert points.count() == len(KINDS) * EACH + 1
    points.nth(7).hover(force=True)
    peek = visit.page.locator("#peek")
    expect(peek).to_be_visible()
    name = peek.inner_text().strip()
    assert " number " in name
    expect(peek.locator("img")).not_to_have_js_property("naturalWidth", 0)
    visit.page.mouse.move(2, 2)
    expect(peek).to_be_hidden()
    points.nth(7).click(force=True)
    expect(visit.page.locator("h1")).to_have_text(name)


def test_a_query_and_its_hits_light_up(visit: Visit) -> None:
    visit.go(f"/product?id={KINDS[2]}-1")
    names = visit.names()
    visit.page.get_by_role("link", name="Show on the map").click()
    expect(visit.page.locator("h1")).to_contain_text(f"{KINDS[2]} number 1")
    expect(visit.page.locator("#map .query")).to_have_count(1)
    listed = visit.page.locator(".lit-list .word").all_inner_texts()
    assert listed == [f"{KINDS[2]} number 1", *names]
    fifth = visit.page.locator(".lit-list a").nth(5)
    fifth.hover()
    expect(visit.page.locator("#map .called")).to_have_count(1)
    expect(visit.page.locator("#peek")).to_contain_text(names[4])
    lit = visit.page.locator("#map a").filter(has_text="5")
    assert lit.first.get_attribute("aria-label") == f"5: {names[4]}"
    fifth.click()
    expect(visit.page.locator("h1")).to_have_text(names[4])


def test_the_map_is_drawn_near_and_whole_again(visit: Visit) -> None:
    visit.go("/map")
    view = visit.page.locator("#map")
    whole = [float(each) for each in (view.get_attribute("viewBox") or "").split()]
    assert whole[:3] == [0, 0, 1000]
    visit.page.get_by_role("button", name="Zoom in").click()
    near = [float(each) for each in (view.get_attribute("viewBox") or "").split()]
    assert near == pytest.approx([150, 0.15 * whole[3], 700, 0.7 * whole[3]])
    view.hover()
    visit.page.mouse.wheel(0, -120)
    nearer = [float(each) for each in (view.get_attribute("viewBox") or "").split()]
    assert nearer[2] < 700
    visit.page.get_by_role("button", name="Show all").click()
    expect(view).to_have_attribute("viewBox", f"0 0 1000 {whole[3]:g}")


def test_a_class_is_picked_out_of_the_map(visit: Visit) -> None:
    visit.go("/map")
    visit.page.get_by_role("button", name="Table").click()
    kept = visit.page.locator("#map .point.kept")
    assert kept.count() == len(KINDS) // 2 * EACH
    faint = visit.page.locator("#map .point:not(.kept)").first
    assert float(faint.evaluate("e => getComputedStyle(e).opacity")) < 0.2
    visit.page.get_by_role("button", name="Table").click()
    expect(visit.page.locator("#map .point.kept")).to_have_count(0)


# without scripts


def test_without_scripts_everything_is_there(enter: Enter, served: Served) -> None:
    visit = enter(served, expected=("422",), java_script_enabled=False)
    visit.go("/")
    visit.page.get_by_label("tree_1").select_option("tree_1=Room")
    visit.upload(picture_of(KINDS[2], 3))
    visit.page.get_by_role("button", name="Find similar products").click()
    assert visit.names()[0] == f"{KINDS[2]} number 3"
    assert visit.labels() == {"Room"}
    visit.page.get_by_label("As the model sees them").check()
    visit.upload(wide_picture())
    visit.page.get_by_role("button", name="Find similar products").click()
    assert "center cut out" in visit.page.locator(".how-seen").inner_text()
    assert visit.page.locator(".query img").evaluate("i => i.naturalHeight") == 224
    visit.page.get_by_label("As the model sees them").uncheck()
    visit.upload(picture_of(KINDS[2], 3))
    visit.page.get_by_role("button", name="Find similar products").click()
    visit.page.get_by_role("link", name="on the map").click()
    expect(visit.page.locator("#map .lit")).to_have_count(12)
    visit.go(f"/product?id={KINDS[1]}-1")
    visit.page.get_by_label("tree_2").select_option(f"tree_2={shelf_of(KINDS[3])}")
    visit.page.get_by_role("button", name="Apply filters").click()
    assert all(name.startswith(KINDS[3]) for name in visit.names())
    visit.go("/")
    visit.page.get_by_role("button", name="Find similar products").click()  # without a picture
    assert visit.page.locator("h1").inner_text() == "This cannot be searched for"
    assert "Choose a picture first" in visit.page.locator("main").inner_text()
    visit.go("/")
    visit.page.get_by_label("tree_2").select_option(f"tree_2={shelf_of(KINDS[3])}")
    visit.page.get_by_role("button", name="Filter the catalogue").click()
    assert visit.page.locator(".count").inner_text() == f"{EACH} products"


# names that want to run


def test_names_and_labels_are_only_ever_text(enter: Enter, hostile: Served) -> None:
    visit = enter(hostile)
    visit.go("/")
    for text in HOSTILE:
        assert text.split()[0] in visit.page.locator("body").inner_text()
    assert visit.page.evaluate("window.ran") is None
    for i, text in enumerate(HOSTILE):
        row_id = quote(f"{i}{text}")
        where = quote(f"tree_1={text}")
        for path in (
            f"/product?id={row_id}",
            f"/map?id={row_id}",
            f"/?where={where}",
            f"/?q={quote(text)}",
        ):
            visit.go(path)
            assert text.split()[0] in visit.page.locator("body").inner_text()
            assert visit.page.evaluate("window.ran") is None, path
    visit.go("/map")
    for point in visit.page.locator("#map .point").all()[:3]:
        point.hover(force=True)
    visit.go("/")
    visit.upload(picture_of(KINDS[0], 0))
    expect(visit.hits.first).to_be_visible()
    visit.hits.first.get_by_role("link").first.click()
    visit.page.get_by_text("Product details").click()
    assert visit.page.evaluate("window.ran") is None


def test_levels_are_called_by_their_titles_everywhere(enter: Enter, hostile: Served) -> None:
    """As typed with ``serve --level-title``; addresses and tables keep the names."""
    visit = enter(hostile)
    where = quote(f"tree_1={HOSTILE[0]}")
    visit.go(f"/product?id={quote(f'0{HOSTILE[0]}')}&where={where}")
    titles = (HOSTILE[1], "Kind of = product")
    for title in titles:
        expect(visit.page.get_by_role("combobox", name=title)).to_be_visible()
    expect(visit.page.locator(".how-found")).to_contain_text(f"inside {titles[0]}: {HOSTILE[0]}")
    label = visit.page.locator(".hit .label").first
    assert (label.get_attribute("title") or "").startswith(f"{titles[0]}: ")
    visit.page.get_by_text("Product details").click()
    facts = visit.page.locator(".facts dt").all_inner_texts()
    assert facts[:2] == list(titles)
    assert "tree_" not in visit.page.locator("body").inner_text()
    visit.go("/map")
    expect(visit.page.get_by_role("list", name=titles[0])).to_be_visible()
    assert "tree_" not in visit.page.locator("body").inner_text()
    assert visit.page.evaluate("window.ran") is None


def test_an_answer_that_is_not_ours_cannot_run(enter: Enter, served: Served) -> None:
    """Even were a page's text to hold a script, its own rules would forbid it."""
    visit = enter(served, expected=("Content Security Policy", "404"))
    visit.go("/")
    visit.page.evaluate(
        """() => {
            const made = document.createElement("script");
            made.textContent = "window.ran = 9";
            document.body.append(made);
            const image = document.createElement("img");
            image.setAttribute("onerror", "window.ran = 10");
            image.src = "/nope";
            document.body.append(image);
        }"""
    )
    assert visit.page.evaluate("window.ran") is None


# how it looks, to everyone


def serious_faults(page: Page) -> list[Any]:
    """List what axe-core finds serious or worse: the rule, and some of the places."""
    axe = Axe("0") if page.evaluate("'axe' in window") else Axe()  # half a megabyte, once a page
    return [
        (each["id"], [node["html"] for node in each["nodes"]][:3])
        for each in axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]


BADLY_FRAMED = """() => [...document.querySelectorAll("img")]
  .filter((image) => image.checkVisibility())
  .map((image) => {
    const box = image.getBoundingClientRect();
    const frame = (image.closest(".frame") || image.parentElement).getBoundingClientRect();
    const { naturalWidth: across, naturalHeight: down } = image;
    const fit = getComputedStyle(image).objectFit;
    const scale = Math.min(box.width / across, box.height / down);
    const whole = [across * scale, down * scale];
    const [wide, high] = fit === "contain" ? whole : [box.width, box.height];
    const [left, top] = [box.left + (box.width - wide) / 2, box.top + (box.height - high) / 2];
    const wrong = [
      across > 0 ? "" : "not shown",
      Math.abs(wide * down - high * across) <= Math.max(across, down) ? "" : "not in proportion",
      ["contain", "fill"].includes(fit) ? "" : fit,
      left >= frame.left - 1 && left + wide <= frame.right + 1 ? "" : "wider than its frame",
      top >= frame.top - 1 && top + high <= frame.bottom + 1 ? "" : "higher than its frame",
      box.height <= frame.height + 1 && box.width <= frame.width + 1 ? "" : "a box over its frame",
    ].filter(Boolean);
    const sizes = `${wide}x${high} in ${frame.width}x${frame.height}`;
    return [image.src.slice(0, 80), wrong.join(", "), sizes];
  })
  .filter(([_, wrong]) => wrong)"""
"""Pictures of a page that are not whole, in proportion, and inside of their frame."""

ALL_LOADED = """() => Promise.all([...document.images].map((image) => {
    image.loading = "eager";
    return image.decode().catch(() => null);
}))"""
SHAPES = """() => [...document.querySelectorAll(".query img, .card img")].map((image) => [
  image.alt || image.closest("a").querySelector(".name").textContent.trim(),
  image.naturalWidth, image.naturalHeight,
])"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class TestPictures:
    """Pictures of odd shapes stand upright and whole in their frames, in every place."""

    def places(self, visit: Visit, folder: Path, *, scripts: bool) -> Iterator[tuple[str, int]]:
        """Go from place to place where pictures are shown; say what is asked about, too."""
        query = quote(f"0{HOSTILE[0]}")
        for path in ("/", f"/product?id={query}", f"/product?id={query}&seen=1", "/?seen=1"):
            visit.go(path)
            yield path, 0
        visit.go(f"/map?id={query}")
        for i in range(1, len(ODD) + 1) if scripts else ():
            visit.page.locator(".lit-list a").nth(i).focus()
            expect(visit.page.locator("#peek")).to_be_visible()
            yield f"/map, {i}", 0
        for number, kind in enumerate(ODD):
            save_odd(folder / kind, number)
            visit.go("/")
            visit.upload((folder / kind).read_bytes())
            if not scripts:
                visit.page.get_by_role("button", name="Find similar products").click()
            expect(visit.page.locator("h1")).to_have_text("Your picture")
            yield f"{kind} sent", number

    @pytest.mark.parametrize("how", [PHONE, WIDE], ids=["phone", "wide"])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_they_are_whole_in_their_frames(
        self, enter: Enter, hostile: Served, tmp_path: Path, how: dict[str, Any], scheme: str
    ) -> None:
        scripts = (how is PHONE) == (scheme == "light")
        visit = enter(hostile, color_scheme=scheme, java_script_enabled=scripts, **how)
        seen_upright = set()
        for place, asked in self.places(visit, tmp_path, scripts=scripts):
            visit.page.evaluate(ALL_LOADED)
            assert visit.page.evaluate(BADLY_FRAMED) == [], place
            assert visit.page.evaluate(TOO_WIDE) <= 0, place
            for alt, across, down in visit.page.evaluate(SHAPES) if "seen" not in place else ():
                number = asked if alt == "Your picture" else int(alt.split()[-1])
                kind = tuple(ODD)[number % len(ODD)]
                width, height = ODD[kind]
                assert across / down == pytest.approx(width / height, rel=0.02), (place, kind)
                seen_upright.add((alt == "Your picture", kind))
        assert len(seen_upright) == 2 * len(ODD)

    def test_one_that_is_not_would_be_found(self, enter: Enter, hostile: Served) -> None:
        visit = enter(hostile)
        for spoiled, fault in (
            ("position: static; height: auto", "higher than its frame"),
            ("object-fit: cover", "cover"),
            ("object-fit: fill", "not in proportion"),
        ):
            visit.go("/")
            visit.page.evaluate(ALL_LOADED)
            assert visit.page.evaluate(BADLY_FRAMED) == []
            images = visit.page.locator(".frame img")
            images.evaluate_all("(all, style) => all.map((i) => { i.style = style; })", spoiled)
            found = visit.page.evaluate(BADLY_FRAMED)
            assert any(fault in wrong for _, wrong, _ in found), spoiled


class TestFirstSight:
    """What is asked for is seen without scrolling; filters are out of the way on a phone."""

    @pytest.mark.parametrize("scripts", [True, False])
    def test_filters_are_folded_on_a_phone(
        self, enter: Enter, served: Served, scripts: bool
    ) -> None:
        visit = enter(served, java_script_enabled=scripts, **PHONE)
        for path in ("/", f"/product?id={KINDS[0]}-0", "/map"):
            visit.go(path)
            fold = visit.page.get_by_text("Filters", exact=True)
            choices = visit.page.locator("select[name=where], input[name=diverse]").all()
            assert len(choices) == 3
            for choice in choices:
                expect(choice).to_be_hidden()
            fold.click()
            for choice in choices:
                expect(choice).to_be_visible()
        visit.page.set_viewport_size({"width": 1280, "height": 900})
        visit.go("/")
        expect(visit.page.get_by_label("tree_1")).to_be_visible()
        expect(visit.page.get_by_text("Filters", exact=True)).to_be_hidden()

    def test_the_first_answer_is_seen_at_once(self, enter: Enter, served: Served) -> None:
        visit = enter(served, **PHONE)
        chosen = f"where={quote(f'tree_2={shelf_of(KINDS[0])}')}"
        for path in ("/", f"/product?id={KINDS[0]}-0", f"/?{chosen}", "picture"):
            visit.go(path if path != "picture" else "/")
            if path == "picture":
                visit.upload(picture_of(KINDS[2], 3))
                expect(visit.hits.first).to_be_visible()
            assert visit.page.evaluate("scrollY") == 0
            frame = visit.page.locator(".grid .frame").first.bounding_box()
            assert frame is not None
            assert frame["y"] + frame["height"] <= PHONE["viewport"]["height"], path


class TestColorsOfClasses:
    """Classes have the figures' colors by day, and by night others that are told apart as well."""

    def colors(self, visit: Visit) -> dict[str, str]:
        visit.go("/map")
        names = [*(f"c{i}" for i in range(len(CLASS_COLORS))), "c-none", "sheet", "ink"]
        script = "(all) => all.map((n) => getComputedStyle(document.documentElement)"
        script += ".getPropertyValue('--' + n).trim())"
        return dict(zip(names, visit.page.evaluate(script, names), strict=True))

    def test_by_day_they_are_those_of_figures(self, visit: Visit) -> None:
        colors = self.colors(visit)
        assert [colors[f"c{i}"].upper() for i in range(len(CLASS_COLORS))] == [*CLASS_COLORS]

    def test_by_night_they_stand_out_and_are_told_apart(self, enter: Enter, served: Served) -> None:
        visit = enter(served, color_scheme="dark")
        colors = self.colors(visit)
        classes = [colors[f"c{i}"] for i in range(len(MUTED))]
        painted = "(e, what) => getComputedStyle(e)[what].match(/[0-9]+/g).map(Number)"
        sheet = visit.page.locator("#map").evaluate(painted, "backgroundColor")
        assert f"#{bytes(sheet).hex()}" == colors["sheet"]
        point = visit.page.locator("#map .point.c0").first.evaluate(painted, "fill")
        assert f"#{bytes(point).hex()}" == classes[0]
        assert contrast(colors["sheet"], "#000000") < 1.5, "the map is dark"
        assert min(contrast(each, colors["sheet"]) for each in classes) >= 3  # WCAG 1.4.11
        assert contrast(colors["ink"], colors["sheet"]) >= 4.5
        for name, vision in VISIONS.items():
            assert least_apart(classes, vision) >= least_apart(MUTED, VISIONS["no green"]), name


class TestLook:
    """Each page, wide and narrow, by day and by night."""

    PAGES: ClassVar[dict[str, str]] = {
        "catalogue": "/",
        "empty": "/?q=none+such",
        "product": f"/product?id={KINDS[0]}-0",
        "seen": f"/product?id={KINDS[0]}-0&seen=1",
        "error": "/product?id=nobody",
        "map": f"/map?id={KINDS[0]}-0",
        "no-map": "/map?model=efficientnet_lite1",
        "picture": "",
    }

    @pytest.mark.slow
    @pytest.mark.parametrize("width", ["wide", "phone"])
    def test_nothing_stands_in_the_way(self, enter: Enter, served: Served, width: str) -> None:
        visit = enter(served, expected=("404",), **(PHONE if width == "phone" else WIDE))
        SHOTS.mkdir(parents=True, exist_ok=True)
        for name, path in self.PAGES.items():
            visit.go(path or "/")
            if not path:
                visit.upload(picture_of(KINDS[2], 3))
                expect(visit.hits.first).to_be_visible()
            visit.page.wait_for_load_state("networkidle")
            for scheme in SCHEMES:
                visit.page.emulate_media(color_scheme=scheme)
                assert not serious_faults(visit.page), (name, scheme)
                assert visit.page.evaluate(TOO_WIDE) <= 0, (name, scheme)
                shot = SHOTS / f"{name}-{width}-{scheme}.jpg"  # of a PNG, the packing takes longest
                visit.page.screenshot(path=shot, type="jpeg", quality=90)

    def test_what_comes_and_goes_has_no_fault_either(self, enter: Enter, hostile: Served) -> None:
        """Filters and details that are open, what is said of a backbone, a problem, the keys."""
        visit = enter(hostile, **PHONE)

        def has_no_fault(shown: str) -> None:
            for scheme in SCHEMES:
                visit.page.emulate_media(color_scheme=scheme)
                assert not serious_faults(visit.page), (shown, scheme)

        visit.go(f"/product?id={quote(f'0{HOSTILE[0]}')}")
        for fold in visit.page.locator("summary").all():
            fold.click()
        has_no_fault("open")
        visit.go("/")
        for uploads in ("loading", "unavailable"):
            visit.page.locator(".controls").evaluate(
                "(e, s) => { e.dataset.uploads = s; }", uploads
            )
            expect(visit.page.locator(f".when-{uploads}")).to_be_visible()
            has_no_fault(uploads)
        visit.upload(b"")
        expect(visit.page.locator(".problem")).to_be_visible()
        has_no_fault("problem")
        visit.page.evaluate("document.getElementById('keys').showModal()")
        has_no_fault("keys")

    def test_what_is_touched_is_large_enough(self, enter: Enter, served: Served) -> None:
        """WCAG 2.2, 2.5.8: 24 pixels, but for words inside of a text."""
        visit = enter(served, **PHONE)
        for path in ("/", f"/product?id={KINDS[0]}-0", f"/map?id={KINDS[0]}-0"):
            visit.go(path)
            small = visit.page.evaluate(
                """() => [...document.querySelectorAll("button, select, input, .card > a, nav a, "
                    + "summary, .lit-list a")]
                  .filter((e) => e.checkVisibility() && !e.closest(".skip"))
                  .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
                  .filter(([_, box]) => box.width && box.height < 24)
                  .map(([what, box]) => `${what} ${box.width}x${box.height}`)"""
            )
            assert [each for each in small if "checkbox" not in each] == [], path

    def test_a_fault_would_be_found(self, visit: Visit) -> None:
        visit.go("/")
        visit.page.evaluate("document.querySelector('label[for=find]').remove()")
        visit.page.evaluate("document.getElementById('find').removeAttribute('placeholder')")
        visit.page.evaluate("document.querySelector('.card .name').style.color = '#ddd'")
        assert {"label", "color-contrast"} <= {rule for rule, _ in serious_faults(visit.page)}
