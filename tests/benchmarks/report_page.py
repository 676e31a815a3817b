"""The report at size: how long it takes, how large it is, how fast its map moves in Chromium."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "chrome")
CLASSES, DIMENSIONS, DRAWN = 20, 8, 200
FRAMES = """async (zooms) => {
  const map = maps[0];
  map.zoom(0);
  if (!zooms) map.zoom(1.5);
  await new Promise((done) => setTimeout(done, 300));
  const start = performance.now(), before = map.frames;
  for (let k = 0; performance.now() - start < 3000; k += 1) {
    await new Promise((done) => requestAnimationFrame(done));
    if (zooms) map.zoom(k % 40 < 20 ? 1.1 : 1 / 1.1, [30000, 30000]);
    else map.move(k % 20 < 10 ? 9 : -9, k % 30 < 15 ? 5 : -5);
  }
  return (map.frames - before) / ((performance.now() - start) / 1000);
}"""


def measure(rows: int, backbones: int, *, pictures: bool) -> None:
    """Plant rows in classes, cluster them, report them, and move the map of the page."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _plant(root, rows, backbones, pictures=pictures)
        start = time.perf_counter()
        _type(root, "analyze", "report")
        seconds = time.perf_counter() - start
        (page,) = root.glob("results/*-report/report.html")
        size = page.stat().st_size / 1e6
        print(f"{rows} rows, {backbones} backbones:")
        print(f"  report in {seconds:.1f} s, {size:.1f} MB")
        _open(page)


def _plant(root: Path, n_rows: int, n_backbones: int, *, pictures: bool) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, CLASSES, n_rows)
    ids = [f"{i}.jpg" for i in range(n_rows)]
    if pictures:
        (root / "pictures").mkdir()
        for i, row_id in enumerate(ids):
            place = root / "pictures" / row_id
            if i < DRAWN:
                blocks = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
                Image.fromarray(blocks).resize((512, 384), Image.Resampling.BICUBIC).save(place)
            else:
                shutil.copy(root / "pictures" / ids[i % DRAWN], place)
    (root / "ids.txt").write_text("\n".join(ids) + "\n")
    labels = [f"{row_id},kind {code:02}" for row_id, code in zip(ids, codes, strict=True)]
    (root / "labels.csv").write_text("\n".join(["id,kind", *labels]) + "\n")
    middles = 4 * rng.normal(size=(CLASSES, DIMENSIONS))
    for i in range(n_backbones):
        vectors = middles[codes] + rng.normal(size=(n_rows, DIMENSIONS))
        np.save(root / f"backbone{i}.npy", vectors.astype(np.float32))
        words = ["--ids", "ids.txt", "--labels", "labels.csv", "--catalog", "shop"]
        words += ["--images-dir", "pictures"] if pictures else []
        _type(root, "extract", "import", f"backbone{i}.npy", "--name", f"backbone{i}", *words)
        _type(root, "analyze", "--model", f"backbone{i}")


def _type(root: Path, *words: str) -> None:
    command = [sys.executable, "-m", *words, "--root", str(root), "--quiet"]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)


def _open(page: Path) -> None:
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]  # drawn by software, as on the worst machine
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        start = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_function("maps.length && maps.every((map) => map.frames > 0)")
        print(f"  interactive after {time.perf_counter() - start:.2f} s")
        for zooms, what in ((True, "zooming"), (False, "panning")):
            print(f"  {what}: {tab.evaluate(FRAMES, zooms):.0f} frames a second")
        browser.close()
