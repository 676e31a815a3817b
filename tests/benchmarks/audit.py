"""Does the audit find what was planted? Copies, spoiled pictures, swapped labels, at size."""

from __future__ import annotations

import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

import extract
from analyze.auditing.audit import Audit, audit_catalog
from analyze.auditing.label_errors import STRENGTH, score_labels
from analyze.auditing.nearest import find_nearest
from analyze.measures.probes import out_of_fold_probabilities
from analyze.neighbors.indexes.exact_search import ExactIndex
from analyze.neighbors.indexes.index_cache import open_index
from analyze.neighbors.indexes.index_choice import wanted_index
from analyze.pictures.near_duplicates import find_copies
from analyze.pictures.picture_folder import PictureFolder
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet, Provenance
from tests.benchmarks.copied_pictures import photographed_twice
from tests.benchmarks.lost_light import measure_light

Picture = Image.Image
Change = Callable[[Picture, random.Random], Picture]
SHARE = 0.05
LONGEST = 512
T_OF_19 = 2.093
"""Of a paired interval of 95 % over twenty seeds."""


def saved(picture: Picture, rng: random.Random) -> Picture:
    """Leave it to the saving, which is at a quality of 35 to 90."""
    del rng
    return picture


def resized(picture: Picture, rng: random.Random) -> Picture:
    """Scale by 0.35 to 0.8."""
    by = rng.uniform(0.35, 0.8)
    width, height = (max(48, round(side * by)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def flipped(picture: Picture, rng: random.Random) -> Picture:
    """Mirror."""
    del rng
    return ImageOps.mirror(picture)


def cropped(picture: Picture, rng: random.Random) -> Picture:
    """Cut off 10 % of each side's length: all on one border, or some on each."""
    left, top = (round(0.1 * side * rng.random()) for side in picture.size)
    width, height = (round(0.9 * side) for side in picture.size)
    return picture.crop((left, top, left + width, top + height))


def bordered(picture: Picture, rng: random.Random) -> Picture:
    """Put a plain frame of 4 to 12 % around."""
    wide = round(rng.uniform(0.04, 0.12) * max(picture.size))
    color = rng.choice([(255, 255, 255), (0, 0, 0), (200, 30, 30), (240, 240, 220)])
    return ImageOps.expand(picture, wide, color)


def watermarked(picture: Picture, rng: random.Random) -> Picture:
    """Lay a text across, 30 to 60 % opaque, white or gray."""
    page = Image.new("RGBA", picture.size)
    size = picture.width * rng.uniform(0.08, 0.14)
    ink = rng.choice([(255, 255, 255), (128, 128, 128), (0, 0, 0)])
    ImageDraw.Draw(page).text(
        (picture.width / 2, picture.height * rng.uniform(0.3, 0.7)),
        rng.choice(["SAMPLE SHOP", "www.shop.com", "COPYRIGHT 2026"]),
        font=ImageFont.load_default(size),
        fill=(*ink, round(255 * rng.uniform(0.3, 0.6))),
        anchor="mm",
    )
    return Image.alpha_composite(picture.convert("RGBA"), page).convert("RGB")


def recolored(picture: Picture, rng: random.Random) -> Picture:
    """Give the product another hue: a variant, no copy."""
    return photographed_twice(picture, "hue", rng)[1]


COPIES: Mapping[str, Change] = {
    "saved": saved,
    "resized": resized,
    "flipped": flipped,
    "cropped": cropped,
    "bordered": bordered,
    "watermarked": watermarked,
    "recolored": recolored,
}


def blurred(picture: Picture, rng: random.Random) -> Picture:
    """Blur by a Gaussian of 0.5 to 2 % of the longer side."""
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.005, 0.02) * max(picture.size)))


def box_blurred(picture: Picture, rng: random.Random) -> Picture:
    """Blur by a box, or by making it smaller and larger again."""
    if rng.random() < 0.5:
        return picture.filter(ImageFilter.BoxBlur(rng.uniform(0.008, 0.02) * max(picture.size)))
    by = rng.uniform(5, 10)
    width, height = (max(8, round(side / by)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BILINEAR)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def dark(picture: Picture, rng: random.Random) -> Picture:
    """Leave 8 to 35 % of the light."""
    return ImageEnhance.Brightness(picture).enhance(rng.uniform(0.08, 0.35))


def dark_by_gamma(picture: Picture, rng: random.Random) -> Picture:
    """Leave half to nine tenths of the light, and darken by a gamma of 2 to 4."""
    light, gamma = rng.uniform(0.3, 0.6), rng.uniform(2, 4)
    return picture.point(lambda v: round(255 * (light * v / 255) ** gamma))


def overexposed(picture: Picture, rng: random.Random) -> Picture:
    """Expose 2.5 to 5 times as long."""
    return ImageEnhance.Brightness(picture).enhance(rng.uniform(2.5, 5))


def washed_out(picture: Picture, rng: random.Random) -> Picture:
    """Lift all levels by 110 to 180, or expose and lift."""
    up, by = rng.randint(110, 180), rng.choice([1.0, 1.5])
    return picture.point(lambda v: min(255, round(by * v + up)))


def blank(picture: Picture, rng: random.Random) -> Picture:
    """Put a plain color in its place, at times with noise."""
    color = np.array([rng.randint(0, 255)] * 3) if rng.random() < 0.6 else None
    color = color if color is not None else np.array([rng.randint(0, 255) for _ in range(3)])
    noise = np.random.default_rng(rng.randint(0, 1 << 30)).normal(
        0, rng.choice([0, 1, 3, 5]), (picture.height, picture.width, 1)
    )
    return Image.fromarray(np.clip(color + noise, 0, 255).astype(np.uint8))


def placeholder(picture: Picture, rng: random.Random) -> Picture:
    """Put a sign in its place that no picture is available, saved at several sizes."""
    side = rng.choice([300, 400, 500])
    page = Image.new("RGB", (side, side), (235, 235, 235))
    draw = ImageDraw.Draw(page)
    draw.rectangle((side * 0.3, side * 0.25, side * 0.7, side * 0.55), outline=(150, 150, 150))
    font = ImageFont.load_default(side * 0.07)
    draw.text(
        (side / 2, side * 0.7), "no image available", fill=(120, 120, 120), font=font, anchor="mm"
    )
    del picture
    return page


QUALITY: Mapping[str, tuple[str, Change]] = {
    "blurred": ("blurred", blurred),
    "box_blurred": ("blurred", box_blurred),
    "dark": ("dark", dark),
    "dark_by_gamma": ("dark", dark_by_gamma),
    "overexposed": ("overexposed", overexposed),
    "washed_out": ("overexposed", washed_out),
    "blank": ("blank", blank),
    "placeholder": ("placeholder", placeholder),
}


def listed(images: Path, table: Path | None) -> list[tuple[Path, str]]:
    """List pictures with the first level of their label; of a folder the folder's name."""
    if table is None:
        return [(path, path.parent.name) for path in sorted(images.rglob("*")) if path.is_file()]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    tree = "product_category_tree"
    return [(images / row["image"], row[tree].strip('[]"').split(" >> ")[0]) for row in rows]


def audited(root: Path) -> Audit:
    """Embed a folder and audit it."""
    embeddings = extract.embed(
        root / "photos",
        model="efficientnet_lite0",
        workspace=root,
    )
    level = embeddings.levels[0]
    pictures = PictureFolder(embeddings, root / "photos")
    return audit_catalog(embeddings, level, pictures)


def opened(path: Path) -> Picture:
    """Open a photograph, at most 512 pixels long."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((LONGEST, LONGEST))
    return picture


def measure_copies(images: Path, table: Path | None, seeds: int, plants: int, only: str) -> None:
    """Print recall and precision for each way of copying."""
    total: dict[str, list[int]] = {name: [0, 0, 0] for name in COPIES}
    false: set[tuple[str, ...]] = set()
    missed: dict[str, list[float]] = {}
    n_found = n_true = 0
    kinds = [name for name in COPIES if not only or name in only.split(",")]
    for seed in range(seeds):
        rng = random.Random(f"copies {seed}")
        pictures = listed(images, table)
        rng.shuffle(pictures)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for i, (path, label) in enumerate(pictures):
                (root / "photos" / label).mkdir(parents=True, exist_ok=True)
                opened(path).save(root / "photos" / label / f"{i:04}.png")
            for k, name in enumerate(kinds):
                for i in range(k * plants, (k + 1) * plants):
                    path, label = pictures[i % len(pictures)]
                    plant = COPIES[name](opened(path), rng)
                    to = root / "photos" / label / f"{i % len(pictures):04}-{name}.jpg"
                    plant.save(to, quality=rng.randint(35, 90))
            found = audited(root)
        numbers = found.measured.copy_numbers
        variants = {link for link in found.measured.links if link.relation.value == "variant"}
        row_of = {row_id: row for row, row_id in enumerate(found.measured.embeddings.ids)}
        for row_id, row in row_of.items():
            if "-" not in row_id:
                continue
            name = row_id.rpartition("-")[2].removesuffix(".jpg")
            original = row_of[f"{row_id.rpartition('-')[0]}.png"]
            total[name][0] += 1
            total[name][1] += numbers[row] == numbers[original]
            if numbers[row] != numbers[original]:
                pair = found.measured.embeddings.vectors[[row, original]]
                missed.setdefault(name, []).append(
                    float(pair[0] @ pair[1] / np.prod(np.linalg.norm(pair, axis=1)))
                )
            total[name][2] += any({link.one, link.other} == {row, original} for link in variants)
        for group in found.measured.copies:
            ids = [found.measured.embeddings.ids[row] for row in group.rows]
            stems = {row_id.rpartition("/")[2][:4] for row_id in ids}
            n_found += len(ids) - 1
            n_true += len(ids) - len(stems)
            if len(stems) > 1:
                false.add(tuple(str(pictures[int(stem)][0].name) for stem in sorted(stems)))
        print(f"seed {seed}: {total}, {n_true} of {n_found} copies are of one picture", flush=True)
    for name in kinds:
        n, copies, variant = total[name]
        print(f"{name}: {n} planted, {copies / n:.4f} copies, {variant / n:.4f} variants")
        if name in missed:
            print(f"  cosines of those missed: {np.round(sorted(missed[name]), 2).tolist()}")
    print("groups of several originals, natural copies among them:")
    print("\n".join(sorted({" ".join(each) for each in false})))


def measure_pictures(
    images: Path, table: Path | None, seeds: int, kinds: Sequence[str], peer: Path | None
) -> None:
    """Print recall and precision for each kind of spoiled picture, 5 % of each planted."""
    counts: dict[tuple[str, str], np.ndarray] = {}
    natural: dict[str, set[str]] = {}
    for seed in range(seeds):
        rng = random.Random(f"quality {seed}")
        pictures = listed(images, table)
        rng.shuffle(pictures)
        n_each = round(SHARE * len(pictures))
        planted: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for i, (path, label) in enumerate(pictures):
                (root / "photos" / label).mkdir(parents=True, exist_ok=True)
                kind = kinds[i // n_each] if i // n_each < len(kinds) else None
                to = root / "photos" / label / f"{i:04}.jpg"
                picture = opened(path)
                if kind is not None:
                    planted[f"{label}/{i:04}.jpg"] = kind
                    picture = QUALITY[kind][1](picture, rng)
                picture.save(to, quality=rng.randint(70, 95))
            ours = audited(root)
            said = {
                finding: {each.id for each in ours.findings(finding)}
                for finding in {QUALITY[kind][0] for kind in kinds}
            }
            answers = {"audit": said}
            if peer is not None:
                answers["cleanvision"] = _cleanvision(peer, root / "photos")
        for who, findings in answers.items():
            for finding, ids in findings.items():
                true = {each for each, kind in planted.items() if QUALITY[kind][0] == finding}
                if not true:
                    continue
                hit = len(true & ids)
                numbers = np.array([hit, len(true), len(ids)])
                key = who, finding
                counts[key] = counts.get(key, np.zeros(3, int)) + numbers
                for kind in kinds:
                    own = {each for each, other in planted.items() if other == kind}
                    if QUALITY[kind][0] == finding:
                        part = np.array([len(own & ids), len(own), 0])
                        key = who, f"  {kind}"
                        counts[key] = counts.get(key, np.zeros(3, int)) + part
                if who == "audit":
                    others = ids - planted.keys()
                    names = {pictures[int(each[-8:-4])][0].name for each in others}
                    natural.setdefault(finding, set()).update(names)
        print(f"seed {seed} done", flush=True)
    for (who, finding), (hit, n, n_found) in sorted(counts.items()):
        precision = f", precision {hit / max(1, n_found):.3f}" if n_found else ""
        print(f"{who}, {finding}: {n} planted, recall {hit / n:.3f}{precision}")
    for finding, names in natural.items():
        print(f"{finding}, not planted: {len(names)}: {' '.join(sorted(names)[:40])}")


def _cleanvision(peer: Path, folder: Path) -> dict[str, set[str]]:
    script = Path(__file__).with_name("audit_peers.py")
    done = subprocess.run(
        [peer, script, "pictures", folder], capture_output=True, text=True, check=True
    )
    return {k: set(v) for k, v in json.loads(done.stdout.splitlines()[-1]).items()}


def measure_labels(embeddings: Path, seeds: int, peer: Path | None) -> None:
    """Print the precision at the number of planted label errors, next to cleanlab's."""
    stored = extract.read_embeddings(embeddings)
    level = stored.levels[0]
    n, n_classes = len(stored), len(level.categories)
    copies = find_copies(stored.vectors, stored.content_sha256)
    nearest = find_nearest(stored.vectors, copies.by_bytes).without(copies.groups)
    before = score_labels(stored.vectors, level, nearest, copies.groups)
    assert before is not None
    natural = set(np.argsort(-before.uncertainty, kind="stable")[: before.n_errors].tolist())
    plants, ranked, given = [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        planted = rng.choice(n, round(SHARE * n), replace=False)
        codes = level.codes.copy()
        codes[planted] = (codes[planted] + rng.integers(1, n_classes, len(planted))) % n_classes
        swapped = Level(level.name, level.categories, codes)
        ours = score_labels(stored.vectors, swapped, nearest, copies.groups)
        assert ours is not None
        runs = [
            out_of_fold_probabilities(
                stored.vectors, codes, copies.groups, STRENGTH, n_classes=n_classes, seed=i
            )
            for i in range(3)
        ]
        plants.append((planted, codes))
        given.append(np.mean(runs, axis=0))
        ranked.append({"audit": np.argsort(-ours.uncertainty, kind="stable")})
    if peer is not None:
        theirs = _cleanlab(peer, np.stack(given), np.stack([codes for _, codes in plants]))
        ranked = [own | other for own, other in zip(ranked, theirs, strict=True)]
    rows = [
        {who: _hits(order, planted) for who, order in orders.items()}
        for orders, (planted, _) in zip(ranked, plants, strict=True)
    ]
    for row, orders, (planted, _) in zip(rows, ranked, plants, strict=True):
        for who in ("audit", *(who for who in orders if who != "audit")):
            order = orders[who]
            apart = np.array([r not in natural or r in planted for r in order.tolist()])
            row[f"{who}, natural suspects apart"] = _hits(order[apart], planted)
    for who in rows[0]:
        ours_name = "audit, natural suspects apart" if "apart" in who else "audit"
        values = np.array([row[who] for row in rows])
        more = np.array([row[ours_name] - row[who] for row in rows])
        half = T_OF_19 * more.std(ddof=1) / np.sqrt(len(rows))
        print(
            f"{who}: {values.mean():.3f}; audit less this {more.mean():+.3f} "
            f"({more.mean() - half:+.3f} to {more.mean() + half:+.3f})"
        )
    print("suspects before anything was planted:")
    for row in sorted(natural, key=lambda row: -before.uncertainty[row]):
        best = int(
            np.where(np.arange(n_classes) == level.codes[row], -1, before.believed[row]).argmax()
        )
        print(f"  {stored.ids[row]} {level.value(row)} -> {level.categories[best]}")


def _hits(order: np.ndarray, planted: np.ndarray) -> float:
    """Give the precision at the number planted."""
    return float(np.isin(order[: len(planted)], planted).mean())


def _cleanlab(peer: Path, given: np.ndarray, codes: np.ndarray) -> list[dict[str, np.ndarray]]:
    script = Path(__file__).with_name("audit_peers.py")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "given.npz", given=given, codes=codes)
        done = subprocess.run(
            [peer, script, "labels", Path(folder) / "given.npz"],
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return [{who: np.array(order) for who, order in each.items()} for each in found]


def measure_scale(n_rows: int, n_dims: int) -> None:
    """Print the time and memory that near copies and outliers of many vectors take."""
    begun = time.monotonic()
    vectors = _many(n_rows, n_dims)
    identity = Provenance({"imported": "made"}, (), {"model": "made"})
    stored = EmbeddingSet(tuple(map(str, range(n_rows))), vectors, identity)
    print(f"made in {time.monotonic() - begun:.0f} s", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        choice = wanted_index("ivfpq", None, n_rows, n_dims, recall=0.9)
        index = open_index(stored, Path("made.h5"), Path(folder), choice, 0.9)
        print(f"{choice.name}: {time.monotonic() - begun:.0f} s, recall {index.recall}", flush=True)
        found = audit_catalog(stored, None, None, index=index.index)
    spent, busy = time.monotonic() - begun, time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    counts = {name: len(scored) for name, scored in found.scored.items()}
    print(f"{spent:.0f} s in all, {busy:.0f} s of CPU, {memory:.2f} GB at most, {counts}")
    some = np.random.default_rng(1).choice(n_rows, 300, replace=False)
    exact = ExactIndex(vectors).find(vectors[some], 10, list(some[:, None]))
    near = found.measured.nearest.rows[some]
    hits = [np.isin(a, b).mean() for a, b in zip(exact.rows, near, strict=True)]
    print(f"recall at 10 of {len(some)} rows against exact search: {np.mean(hits):.4f}")
    copied = {each for scored in [found.scored["copy"]] for each in scored.rows.tolist()}
    pairs = range(n_rows - n_rows // 100, n_rows)
    groups = found.measured.copy_numbers
    paired = sum(groups[row] == groups[row - n_rows // 2] for row in pairs)
    print(f"planted near copies found: {paired / len(pairs):.4f}; {len(copied)} in all")


def _many(n_rows: int, n_dims: int) -> np.ndarray:
    """Make clustered vectors; the last 1 % are near copies of others."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(2000, n_dims)).astype(np.float32)
    vectors = np.empty((n_rows, n_dims), np.float32)
    for first in range(0, n_rows, 50_000):
        some = vectors[first : first + 50_000]
        rng.standard_normal(out=some, dtype=np.float32)
        some += centers[rng.integers(0, len(centers), len(some))]
    last = n_rows // 100
    source = slice(n_rows - last - n_rows // 2, n_rows - n_rows // 2)
    vectors[-last:] = vectors[source] + 0.1 * rng.standard_normal((last, n_dims), dtype=np.float32)
    return vectors


def measure(
    part: str,
    path: Path | None,
    table: Path | None,
    seeds: int,
    plants: int,
    only: str,
    peer: Path | None,
    rows: int,
) -> None:
    """Measure one part of the audit."""
    if part == "scale":
        measure_scale(rows, 256)
        return
    if path is None:
        sys.exit("give a folder of photographs, or an embeddings file for labels")
    if part == "labels":
        measure_labels(path, seeds, peer)
    elif part == "light":
        measure_light([photo for photo, _ in listed(path, table)], opened)
    elif part == "copies":
        measure_copies(path, table, seeds, plants, only)
    else:
        kinds = only.split(",") if only else list(QUALITY)
        measure_pictures(path, table, seeds, kinds, peer)
