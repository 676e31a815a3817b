"""Vectors that were made elsewhere: read from each format, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from safetensors.numpy import save_file
from small_catalogs import Run, draw_noise

from analyze import analyze_embeddings, assess_head, compare, rank, retrieve
from analyze.head.training.spec import Plan, TrainingSpec
from extract import EmbeddingSet, Workspace, export_embeddings, read_embeddings
from extract.backbones.kept_backbones import load_from_provenance
from extract.catalog.multi_label import MultiLabel
from extract.errors import EmbeddingsFileError, UsageError, WeightsError
from extract.pipeline.imported import Imported, import_file
from extract.storage.exchange.vector_files import LabelSource, read_vectors

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(12, 4)).astype(np.float32)
IDS = [f"p{i}.png" for i in range(12)]  # p10 before p2 by bytes
KINDS = [*"xyz"] * 4


def parquet_of(kind: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        column = pyarrow.array(VECTORS.tolist(), kind)
        pyarrow.parquet.write_table(pyarrow.table({"id": IDS, "vector": column}), path)

    return write


def thingsvision(path: Path) -> None:
    path.mkdir()
    np.save(path / "features.npy", VECTORS)
    (path / "file_names.txt").write_text("\n".join(IDS))


def clip_retrieval(path: Path) -> None:
    for folder in ("img_emb", "metadata"):
        (path / folder).mkdir(parents=True)
    for part, rows in enumerate((slice(0, 5), slice(5, 12))):
        np.save(path / "img_emb" / f"img_emb_{part}.npy", VECTORS[rows])
        frame = pd.DataFrame({"image_path": IDS[rows]})
        frame.to_parquet(path / "metadata" / f"metadata_{part}.parquet")


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["features"], file["ids"] = VECTORS, IDS


def frame_of(name: str) -> pd.DataFrame:
    return pd.DataFrame(VECTORS, columns=[f"{name}{i}" for i in range(4)]).assign(id=IDS)


HALF = VECTORS.astype(np.float16).astype(np.float32)
FORMATS: dict[str, tuple[Callable[[Path], Any], np.ndarray]] = {
    "v.npz": (lambda path: np.savez(path, ids=np.array(IDS), features=VECTORS), VECTORS),
    "v.csv": (lambda path: frame_of("d").to_csv(path, index=False, float_format="%.9g"), VECTORS),
    "columns.parquet": (lambda path: frame_of("").to_parquet(path), VECTORS),
    "list.parquet": (parquet_of(pyarrow.list_(pyarrow.float64())), VECTORS),
    "fixed.parquet": (parquet_of(pyarrow.list_(pyarrow.float32(), 4)), VECTORS),
    "half.parquet": (parquet_of(pyarrow.list_(pyarrow.float16())), HALF),
    "v.h5": (hdf5, VECTORS),
    "thingsvision": (thingsvision, VECTORS),
    "clip": (clip_retrieval, VECTORS),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_vectors_and_ids(name: str, tmp_path: Path) -> None:
    write, expected = FORMATS[name]
    write(tmp_path / name)
    found = read_vectors(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(found.vectors, np.float32), expected)
    assert found.ids is not None
    assert list(found.ids) == IDS


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("v.npy", lambda path: np.save(path, VECTORS)),
        ("v.safetensors", lambda path: save_file({"image_embeds": VECTORS}, path)),
    ],
)
def test_a_format_without_ids_counts_its_rows(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / name)
    imported = import_file(Workspace(tmp_path), tmp_path / name)
    stored = read_embeddings(tmp_path / imported.file)
    assert stored.ids == tuple(f"{i:02}" for i in range(12)), "in the order of the rows"
    np.testing.assert_array_equal(stored.vectors, VECTORS)
    assert stored.content_sha256 is None


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    """Vectors, ids, labels by id in another order, and the pictures of the first six."""
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    table = pd.DataFrame({"kind": KINDS, "id": IDS, "size": range(12)})[::-1]
    table.to_csv(tmp_path / "labels.csv", index=False)
    for i in range(6):
        draw_noise(tmp_path / "pictures" / IDS[i], i)
    return import_file(
        Workspace(tmp_path),
        tmp_path / "v.npy",
        tmp_path / "ids.txt",
        LabelSource(tmp_path / "labels.csv", ("kind",)),
        images_dir=tmp_path / "pictures",
    )


def test_labels_are_joined_by_id(imported: Imported, tmp_path: Path) -> None:
    stored = read_embeddings(tmp_path / imported.file)
    (level,) = stored.levels
    assert level.name == "kind"
    assert dict(zip(stored.ids, level.values(), strict=True)) == dict(zip(IDS, KINDS, strict=True))
    assert imported.to_json()["n_pictures_known"] == 6


TREE = pd.DataFrame({"id": IDS, "tree_1": KINDS, "tree_2": ["01", "1", "02"] * 4})
"""Labels of columns that count up, as dimensions do; one looks like numbers, and '01' is not '1'"""


def levels_of(imported: Imported) -> dict[str, list[str | None]]:
    """Values by level, in the order of IDS."""
    at = [imported.catalog.ids.index(row_id) for row_id in IDS]
    return {v.name: [v.values()[i] for i in at] for v in imported.catalog.levels}


def test_a_table_of_labels_or_ids_is_text_whatever_its_columns_are_called(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    TREE.to_csv(tmp_path / "tree.csv", index=False)
    tree = tmp_path / "tree.csv"
    found = import_file(Workspace(tmp_path), tmp_path / "v.npy", tree, LabelSource(tree))
    assert levels_of(found) == TREE.drop(columns="id").to_dict("list")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("n_dims", "labels"), [(1, ("tree_1", "tree_2")), (3, ()), (4, ("tree_2", "tree_1"))]
)
def test_vectors_next_to_labels_that_count_up_are_the_columns_of_numbers(
    n_dims: int, labels: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    names = [f"v{i}" for i in range(n_dims)]
    frame = TREE.join(pd.DataFrame(VECTORS[:, :n_dims], columns=names))
    path = tmp_path / f"v{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False, float_format="%.9g")
    else:
        frame.to_parquet(path)
    found = import_file(Workspace(tmp_path), path, labels=LabelSource(columns=labels))
    at = [found.catalog.ids.index(row_id) for row_id in IDS]
    np.testing.assert_array_equal(found.vectors[at], VECTORS[:, :n_dims])
    assert levels_of(found) == {name: TREE[name].to_list() for name in labels}
    assert {*found.catalog.columns} == {"tree_1", "tree_2"} - {*labels}


def test_more_levels_of_text_than_dimensions_are_no_vectors(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("id,kind_1,kind_2,kind_3,v0,v1\na,x,y,z,1,2\nb,x,y,z,3,4\n")
    found = import_file(Workspace(tmp_path), tmp_path / "v.csv")
    assert found.vectors.tolist() == [[1, 2], [3, 4]]
    assert [*found.catalog.columns] == ["kind_1", "kind_2", "kind_3"]


def test_no_run_goes_on_with_it_and_no_backbone_is_loaded(
    imported: Imported, tmp_path: Path, run: Run
) -> None:
    file = tmp_path / imported.file
    before = file.read_bytes()
    with pytest.raises(WeightsError, match=r"v holds imported vectors: .*--images DIR"):
        load_from_provenance(imported.provenance)
    done = run("extract", "--images", str(tmp_path / "pictures"), "--output", str(file))
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", ["npz", "csv", "parquet"])
def test_our_own_exports_come_back_bit_for_bit(
    kind: Any, imported: Imported, tmp_path: Path
) -> None:
    before = read_embeddings(tmp_path / imported.file)
    assert before.content_sha256 is not None
    assert before.content_sha256.any(axis=1).sum() == 6
    tags = [{"red", "big"}, set(), {"red"}] * 4
    before = replace(
        before,
        ids=tuple(sorted(f"={name}" for name in before.ids)),
        paths=before.ids,
        columns={"kind": before.columns.get("size", ("",) * 12), "note": ("=1", "NA", "'") * 4},
        multi_labels=(MultiLabel.from_values("tags", tags, ";"),) if kind != "csv" else (),
        group_column="kind" if kind != "csv" else None,
    )
    export_embeddings(before, tmp_path / f"out.{kind}", kind)
    labels = LabelSource() if kind != "csv" else LabelSource(columns=("kind",))
    back = import_file(Workspace(tmp_path), tmp_path / f"out.{kind}", labels=labels)
    after = read_embeddings(tmp_path / back.file)
    assert (after.ids, after.paths) == (before.ids, before.paths)
    assert after.vectors.tobytes() == before.vectors.tobytes()
    assert after.content_sha256 is not None
    np.testing.assert_array_equal(after.content_sha256, before.content_sha256)
    assert after.levels[0].values() == before.levels[0].values()
    assert [(own.name, own.values()) for own in after.multi_labels] == [
        (own.name, own.values()) for own in before.multi_labels
    ]
    renamed = {"kind_column": "kind"} if kind == "csv" else {}
    columns = {renamed.get(name, name): values for name, values in after.columns.items()}
    assert columns == before.columns
    assert after.group_column == before.group_column


def without_names(value: Any) -> Any:
    """Leave out what says where the vectors come from, and how fast they were computed."""
    of_origin = ("model", "identity", "weights", "resize", "pooling", "models")
    named = (*of_origin, "images_per_second", "models_in_pass", "seconds")
    if isinstance(value, dict):
        return {k: without_names(v) for k, v in value.items() if k not in named}
    return [*map(without_names, value)] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("kind", ["npz", "csv", "parquet"])
def test_every_analysis_of_an_import_gives_the_numbers_of_the_original(
    kind: Any, embedded_shop: Path, tmp_path: Path
) -> None:
    (file,) = (embedded_shop / "cache/embeddings/photos").glob("efficientnet_lite0-????????.h5")
    before = read_embeddings(file)
    export_embeddings(before, tmp_path / f"out.{kind}", kind)
    labels = LabelSource() if kind != "csv" else LabelSource(columns=("class",))
    back = import_file(Workspace(tmp_path), tmp_path / f"out.{kind}", labels=labels)
    after = read_embeddings(tmp_path / back.file)

    def numbers(vectors: EmbeddingSet) -> list[Any]:
        plan = Plan(n_folds=2, n_shuffles=1, n_resamples=100, training=TrainingSpec(epochs=2))
        found: list[Any] = [
            analyze_embeddings(vectors, reduction="pca:5,tsne:3"),
            compare([vectors], reductions=["none"], seeds=[0, 1], n_resamples=100),
            rank([vectors], n_resamples=100),
            retrieve([vectors], n_resamples=100),
            assess_head(vectors, plan=plan),
        ]
        return [without_names(each.to_json()) for each in found]

    assert numbers(after) == numbers(before)


def test_pictures_that_are_known_come_back_from_an_export(tmp_path: Path) -> None:
    for i in range(12):
        draw_noise(tmp_path / "pictures" / IDS[i], i)
    np.savez(tmp_path / "v.npz", ids=np.array(IDS), vectors=VECTORS)
    first = import_file(Workspace(tmp_path), tmp_path / "v.npz", images_dir=tmp_path / "pictures")
    before = read_embeddings(tmp_path / first.file)
    assert before.content_sha256 is not None
    export_embeddings(before, tmp_path / "out.npz", "npz")
    back = import_file(Workspace(tmp_path), tmp_path / "out.npz")
    after = read_embeddings(tmp_path / back.file)
    np.testing.assert_array_equal(after.content_sha256, before.content_sha256)


def saved(name: str, **arrays: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / name, **arrays)
        return folder / name

    return write


def text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(raw)
        return folder / name

    return write


def ragged(folder: Path) -> Path:
    table = pyarrow.table({"id": ["a", "b"], "vector": [[1.0, 2.0], [1.0]]})
    pyarrow.parquet.write_table(table, folder / "ragged.parquet")
    return folder / "ragged.parquet"


def pickled(folder: Path) -> Path:
    np.save(folder / "p.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    return folder / "p.npy"


def claiming_petabytes(folder: Path) -> Path:
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 512)}
    with (folder / "huge.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    return folder / "huge.npy"


def damaged(folder: Path) -> Path:
    np.savez_compressed(folder / "damaged.npz", vectors=VECTORS)
    raw = (folder / "damaged.npz").read_bytes()
    damage = bytes(byte ^ 0xFF for byte in raw[90:140])
    (folder / "damaged.npz").write_bytes(raw[:90] + damage + raw[140:])
    return folder / "damaged.npz"


AWKWARD: list[tuple[Callable[[Path], Path], str]] = [
    (lambda folder: folder / "none.npy", "is not there"),
    (text("v.txt", "1 2"), r"v\.txt is not read as vectors.*\.npy"),
    (text("v.npy", ""), "cannot be read"),
    (text("v.npz", "no zip"), "cannot be read"),
    (text("v.h5", "no hdf5"), "cannot be read"),
    (text("v.parquet", "no parquet"), "cannot be read"),
    (text("v.safetensors", "no"), "cannot be read"),
    (text("v.csv", ""), "cannot be read"),
    (text("v.csv", "id,name\na,b\n"), "neither a column of lists nor columns v0"),
    (text("v.csv", "id,v0,v1\na,1,2\nb,1,x\n"), "could not convert string to float.*x"),
    (text("v.csv", "id,v0,v2\na,1,2\n"), "have a gap: nothing follows 'v0'"),
    (text("v.csv", "id,v0,v1\na,1\nb,1,2,3\n"), "cannot be read"),
    (text("v.csv", "id,v0,v1\na,y,2\n"), "could not convert string to float.*y"),
    (text("v.csv", "a0,a1,b0,b1\n1,2,3,4\n"), "not clear.*'a0'.*'b0'.*--label-column"),
    (lambda folder: folder, "holds neither features.npy"),
    (claiming_petabytes, "cannot be read: Unable to allocate"),
    (damaged, "cannot be read: Error -3 while decompressing"),
    (pickled, "holds a pickle, and none is loaded"),
    (ragged, "row 1 of 'vector' has 1 dimensions, the first 2"),
    (saved("v.npz", a=VECTORS, b=VECTORS), "not clear which are the vectors"),
    (saved("v.npz", a=VECTORS[0]), "not clear which are the vectors"),
    (saved("v.npz", vectors=VECTORS * np.nan), "12 rows with NaN"),
    (saved("v.npz", vectors=VECTORS, ids=np.array(["a"] * 12)), "'a' stands twice"),
    (saved("v.npz", vectors=VECTORS, ids=np.array(["a", *IDS[2:], ""])), "is empty"),
    (saved("v.npz", vectors=VECTORS[:0]), "holds nothing"),
    (saved("v.npz", vectors=VECTORS.astype(complex)), "not clear which are the vectors"),
    (
        saved("v.npz", vectors=VECTORS, content_sha256=np.array(["zz"] * 12)),
        "not 64 hexadecimal digits",
    ),
]


@pytest.mark.parametrize(("write", "line"), AWKWARD)
def test_what_cannot_be_taken_is_one_line_and_leaves_nothing(
    write: Callable[[Path], Path], line: str, tmp_path: Path
) -> None:
    source = write(tmp_path)
    with pytest.raises(UsageError, match=line) as refused:
        import_file(Workspace(tmp_path), source)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("ids", "table", "columns", "line"),
    [
        ("a\nb", None, (), "2 for 12 rows"),
        (None, "id,kind\nq,x\n", (), "1 ids that no row of vectors has, 'q' first"),
        (None, "name,kind\nq,x\n", (), "no column of ids"),
        (None, "id,kind\n1,x\n", ("sort",), "'sort'.*kind"),
        (None, None, ("kind",), "'kind'"),
    ],
)
def test_ids_and_labels_that_do_not_fit_are_one_line(
    ids: str | None, table: str | None, columns: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    given: list[Path | None] = []
    for name, content in (("ids.txt", ids), ("labels.csv", table)):
        given.append(None if content is None else tmp_path / name)
        if content is not None:
            (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=line):
        import_file(
            Workspace(tmp_path), tmp_path / "v.npy", given[0], LabelSource(given[1], columns)
        )
    assert not (tmp_path / "cache").exists()


def test_it_is_typed_as_any_command_and_replaces_nothing_silently(
    tmp_path: Path, run: Run, workspace: Path
) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    words = ("extract", "import", str(tmp_path / "v.npy"), "--catalog", "mine")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "12 rows of 4 dimensions\nno labels\nnote: the pictures of 12 rows" in done.stdout
    again = run(*words)
    assert (again.returncode, again.stdout) == (2, "")
    assert "is there already: give --overwrite" in again.stderr
    assert run(*words, "--overwrite").returncode == 0
    clustered = run("analyze", "--catalog", "mine", "--clusters", "2")
    assert clustered.returncode == 0, clustered.stderr


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    monkeypatch.setattr(
        "extract.pipeline.imported.write_labels",
        lambda *_: (_ for _ in ()).throw(OSError(28, "full")),
    )
    with pytest.raises(EmbeddingsFileError):
        import_file(Workspace(tmp_path), tmp_path / "v.npy")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_no_picture_outside_the_folder_is_read(tmp_path: Path) -> None:
    draw_noise(tmp_path / "secret.png", 0)
    draw_noise(tmp_path / "pictures" / "a.png", 1)
    (tmp_path / "pictures" / "link.png").symlink_to(tmp_path / "secret.png")
    ids = ["a.png", "link.png", "../secret.png", str(tmp_path / "secret.png")]
    np.savez(tmp_path / "v.npz", ids=np.array(ids), vectors=VECTORS[:4])
    source, pictures = tmp_path / "v.npz", tmp_path / "pictures"
    imported = import_file(Workspace(tmp_path), source, images_dir=pictures)
    known = dict(zip(imported.catalog.ids, imported.content_sha256.any(axis=1), strict=True))
    assert known == {row_id: row_id == "a.png" for row_id in ids}


def test_no_other_files_bytes_are_taken_from_hdf5(tmp_path: Path) -> None:
    hdf5(tmp_path / "other.h5")
    (tmp_path / "raw").write_bytes(VECTORS.tobytes())
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["vectors"] = h5py.ExternalLink("other.h5", "features")
        stored = (str(tmp_path / "raw"), 0, VECTORS.nbytes)
        file.create_dataset("features", VECTORS.shape, "f4", external=[stored])
        layout = h5py.VirtualLayout(VECTORS.shape, "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "features", VECTORS.shape)
        file.create_virtual_dataset("embeddings", layout)
    with pytest.raises(UsageError, match="not clear which are the vectors: it holds nothing"):
        read_vectors(tmp_path / "v.h5")
    with h5py.File(tmp_path / "v.h5", "a") as file:  # packed, as others do
        file.create_dataset("image", data=VECTORS, compression="gzip")
    np.testing.assert_array_equal(read_vectors(tmp_path / "v.h5").vectors, VECTORS)


def test_an_ending_that_is_not_read_is_no_missing_file(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", VECTORS)
    with pytest.raises(UsageError, match=r"y.npy is not read as a table: .* of .csv, .parquet$"):
        import_file(Workspace(tmp_path), tmp_path / "y.npy", None, LabelSource(tmp_path / "y.npy"))


def test_columns_that_are_not_taken_as_labels_are_named(tmp_path: Path) -> None:
    pd.DataFrame({"v0": range(3), "v1": range(3), "label": list("aab")}).to_csv(
        tmp_path / "X.csv", index=False
    )
    found = import_file(Workspace(tmp_path), tmp_path / "X.csv")
    assert "kept as columns, not as labels: label; for labels give --label-column" in found.text()
    labelled = LabelSource(columns=("label",))
    found = import_file(Workspace(tmp_path), tmp_path / "X.csv", None, labelled, overwrite=True)
    assert "not as labels" not in found.text()
