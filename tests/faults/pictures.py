"""The whole extraction over awkward and hostile pictures: every outcome, time and memory."""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from extract.inference.fidelity import FP32_FLOOR
from tests.faults.heavy_pictures import HEAVY, TWICE, heavy_cases, plant_again, plant_medium
from tests.faults.picture_cases import Case, all_cases, plant

MODEL = "efficientnet_lite0"
BAR_BYTES = 1_500_000_000
MOST_SECONDS = 20
SAME_COSINE = FP32_FLOOR

_state: dict[str, Any] = {}


def measure(workers: int, *, as_json: bool = False, heavy: bool = True) -> int:
    """Embed the corpus, then the heavy pictures alone and together; 1 where anything is wrong."""
    cases = all_cases()
    with tempfile.TemporaryDirectory(prefix="pictures-") as name:
        root = Path(name)
        folder = root / "corpus" / "shop"
        for case in cases:
            plant(case, folder)
        result: dict[str, Any] = {"corpus": _corpus(cases, folder, workers)}
        if heavy:
            result["heavy"] = _heavy(root, workers)
    parts = [result["corpus"], *result.get("heavy", {}).values()]
    result["tried"] = sum(part["tried"] for part in parts)
    result["wrong"] = [line for part in parts for line in part["wrong"]]
    result["peak_mb"] = max(part["peak_mb"] for part in parts)
    print(json.dumps(result, indent=1) if as_json else _table(result))
    return int(bool(result["wrong"]))


def _corpus(cases: list[Case], folder: Path, workers: int) -> dict[str, Any]:
    """Embed all small cases in one run, then look at the pixels and seconds of each."""
    with _fresh() as process:
        run = process.submit(_embed, folder, workers).result()
        looked = process.submit(_look, folder, [replace(c, plant=None) for c in cases]).result()
    wrong = _wrong_outcomes(cases, run["outcomes"])
    for case, (difference, cosine, seconds) in zip(cases, looked, strict=True):
        shown = ascii(case.path)
        if difference is not None and difference > case.tolerance:
            wrong.append(f"{shown}: pixels differ by {difference:.2f}")
        if cosine is not None and cosine < SAME_COSINE:
            wrong.append(f"{shown}: its row is another picture's, cosine {cosine:.4f}")
        if seconds > MOST_SECONDS:
            wrong.append(f"{shown}: {seconds:.1f} s")
    wrong += _over_the_bar("the corpus", run)
    outcomes = Counter(_code(outcome) for outcome in run["outcomes"].values())
    slowest = max(zip(looked, cases, strict=True), key=lambda pair: float(pair[0][2]))
    return {
        "tried": len(cases),
        "wrong": wrong,
        "peak_mb": run["peak_mb"],
        "seconds": run["seconds"],
        "outcomes": dict(outcomes.most_common()),
        "pixels_checked": sum(difference is not None for difference, _, _ in looked),
        "slowest": [ascii(slowest[1].path), round(slowest[0][2], 2)],
    }


def _heavy(root: Path, workers: int) -> dict[str, Any]:
    """Embed the heavy pictures one a run, then all in one, then many medium ones in 16 threads."""
    cases = list(heavy_cases())
    alone, results = {}, {}
    with _fresh() as process:
        for case in cases:
            name = case.path.decode()
            _say(f"{name} ...")
            folder = root / "heavy" / name.replace(".", "_")
            plant(case, folder)
            alone[name] = process.submit(_embed, folder, workers).result()
    wrong = []
    for case in cases:
        run = alone[case.path.decode()]
        wrong += _wrong_outcomes([case], run["outcomes"])
        wrong += _over_the_bar(case.path.decode(), run)
        if run["seconds"] > MOST_SECONDS:
            wrong.append(f"{case.path.decode()}: {run['seconds']:.1f} s")
    peaks = {name: [run["peak_mb"], run["seconds"]] for name, run in alone.items()}
    results["alone"] = _part(len(cases), wrong, alone.values(), pictures=peaks)

    together = root / "together"
    together.mkdir()
    for name in HEAVY:
        for copy in range(2 if name in TWICE else 1):
            real = root / "heavy" / name.replace(".", "_") / name
            plant_again(real, together / f"{copy}{name}", copy)
    everything = [
        Case(f"{copy}{case.path.decode()}".encode(), outcomes=case.outcomes)
        for case in cases
        for copy in range(2 if case.path.decode() in TWICE else 1)
    ]
    for threads in (workers, 16):
        _say(f"all together, {threads} threads ...")
        with _fresh() as process:
            run = process.submit(_embed, together, threads).result()
        name = f"together, {threads} threads"
        wrong = _wrong_outcomes(everything, run["outcomes"]) + _over_the_bar(name, run)
        results[name] = _part(len(everything), wrong, [run])

    medium = root / "medium"
    plant_medium(medium, 48)
    for threads in (workers, 16):
        _say(f"48 of 99 MB, {threads} threads ...")
        with _fresh() as process:
            run = process.submit(_embed, medium, threads).result()
        name = f"48 of 99 MB, {threads} threads"
        wrong = [f"{k}: {_code(v)}" for k, v in run["outcomes"].items() if v is not None]
        results[name] = _part(48, wrong + _over_the_bar(name, run), [run])
    return results


def _part(
    tried: int, wrong: list[str], runs: Iterable[Mapping[str, Any]], **more: Any
) -> dict[str, Any]:
    runs = list(runs)
    peak = max(run["peak_mb"] for run in runs)
    seconds = round(sum(run["seconds"] for run in runs), 1)
    return {"tried": tried, "wrong": wrong, "peak_mb": peak, "seconds": seconds, **more}


def _wrong_outcomes(cases: Iterable[Case], outcomes: Mapping[str, int | None]) -> list[str]:
    wrong = []
    for case in cases:
        row_id = case.path.decode("utf-8", "surrogateescape")
        if row_id not in outcomes:
            wrong.append(f"{case.path!a}: has no row")
        elif outcomes[row_id] not in case.outcomes:
            wrong.append(f"{case.path!a}: {_code(outcomes[row_id])}")
    return wrong


def _over_the_bar(name: str, run: Mapping[str, Any]) -> list[str]:
    over = run["peak_mb"] * 1e6 > BAR_BYTES
    return [f"{name}: {run['peak_mb']} MB over the model"] if over else []


def _code(outcome: int | None) -> str:
    from extract.refusals import reason_code

    return "sound" if outcome is None else reason_code(outcome)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _table(result: Mapping[str, Any]) -> str:
    corpus = result["corpus"]
    lines = [f"{'part':34} {'tried':>6} {'wrong':>6} {'peak MB':>8} {'s':>7}"]
    parts = {"corpus": corpus, **result.get("heavy", {})}
    for name, part in parts.items():
        lines.append(
            f"{name:34} {part['tried']:6} {len(part['wrong']):6} {part['peak_mb']:8} "
            f"{part['seconds']:7.1f}"
        )
        for picture, (peak, seconds) in part.get("pictures", {}).items():
            lines.append(f"  {picture:46} {peak:10} {seconds:7.1f}")
    lines += [
        f"outcomes of the corpus: {corpus['outcomes']}",
        f"pixels checked: {corpus['pixels_checked']}; slowest: {corpus['slowest']}",
        f"{result['tried']} pictures, {len(result['wrong'])} wrong, at most "
        f"{result['peak_mb']} MB over the size with the model loaded",
        *result["wrong"],
    ]
    return "\n".join(lines)


# What follows runs in a process of its own, which holds the model and nothing else.


def _fresh() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=_load_model
    )


def _load_model() -> None:
    from extract.backbones.registry import load_backbone
    from extract.pipeline.prefetch import loaded_pictures  # noqa: F401 - counted as part of the model

    _state["backbone"] = load_backbone(MODEL, weights="random")
    _state["size"] = _status_bytes("VmRSS")


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _embed(folder: Path, workers: int) -> dict[str, Any]:
    """Embed a folder; give each row's outcome, the peak over the model's size, and the time."""
    from extract.catalog.catalog import list_folder
    from extract.pipeline.extraction import Options, extract_embeddings
    from extract.refusals import SOUND, Reason
    from extract.storage.embeddings_file import read_table

    path = folder.parent / f"{folder.name}-{workers}.h5"
    Path("/proc/self/clear_refs").write_text("5")
    began = time.monotonic()
    options = Options(workers=workers)
    extract_embeddings(list_folder(folder), _state["backbone"], path, options=options)
    seconds = time.monotonic() - began
    peak = _status_bytes("VmHWM") - _state["size"]
    table = read_table(path)
    outcomes = {
        row_id: None if status == SOUND else Reason(status)
        for row_id, status in zip(table.ids, table.rows.status.tolist(), strict=True)
    }
    rows = table.rows.vectors
    _state["rows"] = {row_id: rows[i] for i, row_id in enumerate(table.ids)}
    return {"outcomes": outcomes, "peak_mb": round(peak / 1e6), "seconds": round(seconds, 1)}


def _look(folder: Path, cases: list[Case]) -> list[tuple[float | None, float | None, float]]:
    """Decode each picture alone: difference to the truth, cosine of its row to that, seconds."""
    looked = [_look_at(folder.resolve(), case) for case in cases]
    seen = [i for i, (_, _, picture) in enumerate(looked) if picture is not None]
    cosines: dict[int, float] = {}
    for start in range(0, len(seen), 16):
        places = seen[start : start + 16]
        alone = _state["backbone"].embed_pictures([looked[i][2] for i in places])
        for i, vector in zip(places, alone, strict=True):
            row = _state["rows"][cases[i].path.decode("utf-8", "surrogateescape")]
            norms = np.linalg.norm(row) * np.linalg.norm(vector)
            cosines[i] = float(row @ vector / max(norms, 1e-30))
    return [(looked[i][0], cosines.get(i), looked[i][1]) for i in range(len(cases))]


def _look_at(folder: Path, case: Case) -> tuple[float | None, float, Any]:
    """Give the difference, the seconds, and the picture whose row it must be."""
    from PIL import Image

    from extract.ids import text_of
    from extract.images.decoding import decode_picture
    from extract.images.reading import read_picture
    from extract.refusals import Refused

    began = time.monotonic()
    try:
        picture = decode_picture(read_picture(folder, text_of(case.path)).content)
    except Refused:
        return None, time.monotonic() - began, None
    seconds = time.monotonic() - began
    if case.pixels is None:
        return None, seconds, None
    got = np.asarray(picture).astype(float)
    if got.shape != case.pixels.shape:
        return float("inf"), seconds, None
    truth = Image.fromarray(np.clip(np.round(case.pixels), 0, 255).astype(np.uint8))
    difference = float(np.abs(got - case.pixels).mean())
    return difference, seconds, picture if case.tolerance else truth
