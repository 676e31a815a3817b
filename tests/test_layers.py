"""Arrows point one way, and opening the packages is light."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from small_catalogs import PROJECT

HEAVY = ("torch", "timm", "transformers", "sklearn", "umap", "matplotlib", "numpy", "pandas")
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}

EXTRACT_ORDER = [
    {"errors", "workspace", "refusals", "monitor", "drawing", "tables", "durability", "stopping"},
    {"allocation", "processor", "multi_label", "split_folders"},
    {"strict_json", "rehearsal", "recipe", "results", "own_memory"},
    {
        "catalog",
        "label_column",
        "manifest",
        "imagefolder",
        "alike_labels",
        "embeddings",
        "embeddings_table",
        "demo",
        "hdf5_output",
    },
    {
        "provenance_check",
        "strings_dataset",
        "labels_file",
        "embeddings_file",
        "layout",
        "row_writer",
        "file_lock",
    },
    {
        "content_index",
        "failures",
        "new_files",
        "catalog_roots",
        "listing",
        "plan",
        "writing",
        "export",
    },
    {"iso_boxes", "tiff_pages", "color_profiles", "color_numbers", "hevc_headers"},
    {"jpeg2000", "jpegxl", "heif_headers", "picture_headers"},
    {"stored_numbers", "picture_kinds", "extra_formats"},
    {"pixels", "missing_pictures"},
    {"picture_memory"},
    {"weights", "hub", "preprocessing", "pooling", "decoding", "image_processors", "jpeg"},
    {"fast_geometry", "chroma", "jpeg_screening", "classifiers"},
    {"decoders", "pillow_geometry", "ragged_resize", "views"},
    {"gpu_decoding"},
    {"timm_models", "transformers_models", "backbones", "own_classifier"},
    {"folding", "normalising", "openvino_runtime", "runtimes"},
    {"loading", "loading_threads", "loading_on_gpu", "loading_processes", "batch_ring"},
    {"realisation", "record", "survey", "fidelity", "views_sheet", "last_stage"},
    {"file_run", "forward_pass"},
    {"loading_ahead", "forwarding", "one_pass", "extraction"},
    {"evidence", "recomputation", "verification"},
    {"command_line"},
    {"commands", "__main__"},
]
ANALYZE_ORDER = [
    {"palette", "directions", "figure_style", "threads", "ties", "array_cache", "estimates_figure"},
    {"diversity", "similarity", "tsne_neighbors", "registration"},
    {"consensus", "joint_tables", "bootstrap", "likeness", "differences"},
    {"agreement"},
    {"as_seen", "duplicates"},
    {"pictures"},
    {"reduction_steps", "neighbors", "probes", "query", "contact_sheet"},
    {"levels", "indexes"},
    {"approximate_index", "categories", "index_choice"},
    {"stored_index"},
    {"index_file", "relatives"},
    {"reduction", "similar", "glance"},
    {"similar_sheet", "similar_result"},
    {"clustering_methods"},
    {"clustering", "reduction_cache", "plane", "figures", "comparison_figure", "run_record"},
    {"ranking_result", "ranking_figure", "choosing_k", "choosing_figure"},
    {"internal_scores", "clustering_cache"},
    {"clustering_runs"},
    {"automatic"},
    {"analysis"},
    {"alignment", "comparison_result"},
    {"joining"},
    {"sampling", "pairing", "ranking_criteria"},
    {"doubt", "ranked_pictures"},
    {"comparison", "ranking"},
    {"head"},
    {"lookup"},
    {"explain", "retrieval"},
    {"retrieval_result"},
    {"retrieval_figure"},
    {"commands", "__main__"},
]


def modules(package: str) -> list[Path]:
    return sorted((PROJECT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Name what a module imports, at its top and inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_extract_never_imports_analyze_and_neither_imports_tests() -> None:
    for path in modules("extract"):
        assert not {n for n in imported(path) if n.split(".")[0] in ("analyze", "tests")}, path
    for path in modules("analyze"):
        assert not {n for n in imported(path) if n.split(".")[0] == "tests"}, path


@pytest.mark.parametrize(
    ("package", "order"), [("extract", EXTRACT_ORDER), ("analyze", ANALYZE_ORDER)]
)
def test_rooms_import_only_rooms_before_them(package: str, order: list[set[str]]) -> None:
    floor = {room: i for i, rooms in enumerate(order) for room in rooms}
    for path in modules(package):
        room = path.relative_to(PROJECT / package).with_suffix("").parts[0]
        if room == "__init__":
            continue
        assert room in floor, f"{path} has no place in the order"
        used = {n.split(".")[1] for n in imported(path) if n.startswith(f"{package}.")}
        above = {u for u in used if u in floor and floor[u] > floor[room]}
        assert not above, f"{path} imports {above} from a later floor"


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_rooms_of_one_package_form_no_cycle(package: str) -> None:
    uses = {}
    for path in modules(package):
        room = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        uses[room] = {n for n in imported(path) if n.startswith(f"{package}.")}
    resolved: set[str] = set()
    while left := {
        room: u & uses.keys() - resolved - {room}
        for room, u in uses.items()
        if room not in resolved
    }:
        free = {room for room, used in left.items() if not used}
        assert free, f"a cycle among {sorted(left)}"
        resolved |= free


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "import extract, analyze"],
        ["-m", "extract", "--help"],
        ["-m", "analyze", "--help"],
        ["-m", "extract", "show", "--help"],
        ["-m", "extract", "verify", "--help"],
    ],
)
def test_opening_loads_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & set(HEAVY)


def test_every_public_part_can_be_had() -> None:
    import analyze
    import extract

    for package in (extract, analyze):
        for name in package.__all__:
            assert getattr(package, name) is not None
        with pytest.raises(AttributeError, match="no attribute"):
            _ = package.nothing_of_the_kind


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_what_is_imported_from_a_package_is_there(package: str) -> None:
    """Names inside functions too: the packages fetch theirs late, so no type checker asks."""
    public = set(importlib.import_module(package).__all__) | {"__version__"}
    rooms = {".".join(p.relative_to(PROJECT).with_suffix("").parts) for p in modules(package)}
    for path in [*modules("extract"), *modules("analyze")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == package:
                for alias in node.names:
                    known = alias.name in public or any(
                        room.startswith(f"{package}.{alias.name}") for room in rooms
                    )
                    assert known, f"{path} imports {alias.name} from {package}"


def test_rooms_are_named_after_the_field() -> None:
    names = {path.stem for package in ("extract", "analyze") for path in modules(package)}
    assert not names & BANNED_NAMES
