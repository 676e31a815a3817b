"""Verifying: each check fails on a planted defect and names its rows, and passes without one."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from small_catalogs import draw_noise, tiny_backbone

from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.catalog import Catalog, ids_fingerprint, list_folder
from extract.errors import UsageError
from extract.files.strings_dataset import write_strings
from extract.ids import bytes_of
from extract.images import augmentation as views
from extract.pipeline.extraction import Options, extract_embeddings
from extract.storage.embeddings import Provenance, row_crc32, sha256_of
from extract.storage.embeddings_file import read_table
from extract.storage.layout import lay_out
from extract.verification import recomputation
from extract.verification.checks import (
    Check,
    check_counts,
    check_golden,
    check_ids,
    check_weights,
    is_sound,
    verify,
)
from extract.verification.evidence import (
    AvailableBackbone,
    Evidence,
    VectorScan,
    find_backbone,
    gather,
    scan_vectors,
)
from extract.verification.recomputation import agrees, cosines, lowest_cosine, seen_by_model

pytestmark = pytest.mark.slow

FOUR = Options(batch_size=4, threads=1, workers=2, decoder="reference", runtime="eager")
NAMES = (
    "readable ids counts check_sums finite not_constant contents doubled weights golden recomputed"
).split()
N_ROWS = 14


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Fourteen pictures, fewer than are drawn to be computed again."""
    folder = tmp_path / "pictures"
    for k, kind in enumerate(("cups", "hats")):
        for i in range(7):
            draw_noise(folder / kind / f"{i}.png", 100 * k + i)
    return folder


@pytest.fixture
def path(shop: Path, backbone: Backbone, tmp_path: Path) -> Path:
    return embed(shop, backbone, tmp_path / "tiny.h5")


def embed(folder: Path, backbone: Backbone, path: Path, options: Options = FOUR) -> Path:
    return extract_embeddings(list_folder(folder), backbone, path, options=options).file


def evidence_of(
    path: Path, folder: Path | None, backbone: Backbone | None = None, seed: int = 0
) -> Evidence:
    here = AvailableBackbone(backbone or tiny_backbone())
    root = folder.resolve() if folder else None
    return gather(read_table(path), here, root=root, seed=seed, workers=2)


def judge(
    path: Path, folder: Path | None, backbone: Backbone | None = None, seed: int = 0
) -> dict[str, Check]:
    checks = verify(evidence_of(path, folder, backbone, seed))
    assert [check.name for check in checks] == NAMES
    json.dumps([check.to_json() for check in checks], allow_nan=False)
    assert not any("\n" in check.detail for check in checks)
    return {check.name: check for check in checks}


def failed(checks: dict[str, Check]) -> dict[str, list[int]]:
    """The rows that each failed check names, by their number among cups/0 .. hats/6."""
    ids = [f"{kind}/{i}.png" for kind in ("cups", "hats") for i in range(7)]
    numbers = {row_id: i for i, row_id in enumerate(ids)}
    return {
        name: [numbers[row_id] for row_id in check.rows]
        for name, check in checks.items()
        if check.passed is False
    }


def put(path: Path, name: str, row: int, value: Any) -> None:
    """Write one entry of a dataset in its place."""
    with h5py.File(path, "r+") as file:
        file[name][row] = value


def plant(path: Path, row: int, vector: np.ndarray) -> None:
    """Give a row another vector, with a check sum that fits."""
    table = read_table(path)
    vector = np.asarray(vector, np.float32)
    put(path, "embeddings", row, vector)
    content = table.rows.content_sha256[row].tobytes()
    put(path, "row_crc32", row, row_crc32(table.ids[row], content, vector))


def rename(path: Path, ids: list[str]) -> None:
    """Give the rows other ids, with a fingerprint that fits; paths stay what the ids were."""
    with h5py.File(path, "r+") as file:
        file.move("ids", "paths")
        write_strings(file.create_group("ids"), ids)
        file.attrs["catalog_fingerprint"] = ids_fingerprint(ids)


def vectors_of(path: Path) -> np.ndarray:
    return np.array(read_table(path).rows.vectors)


def test_sound_file_passes_every_check_that_can_be_made(path: Path, shop: Path) -> None:
    checks = judge(path, shop)
    assert {name for name, check in checks.items() if check.passed is not True} == {"golden"}
    assert checks["golden"].passed is None
    assert "no golden vectors for tiny" in checks["golden"].detail
    assert checks["counts"].detail == "14 sound, 0 to do, 0 refused"
    assert checks["contents"].detail == "14 pictures hold what was embedded"
    assert "14 rows computed again agree (worst cosine 1.0000000" in checks["recomputed"].detail
    assert not any(check.rows for check in checks.values())
    assert is_sound(checks.values())


def test_rows_to_do_and_refused_are_told_and_no_defect(
    shop: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (shop / "cups" / "0.png").write_bytes(b"")
    whole = (shop / "cups" / "1.png").read_bytes()
    (shop / "cups" / "1.png").write_bytes(whole[: len(whole) // 2])
    some = replace(FOUR, limit=8)
    checks = judge(embed(shop, backbone, tmp_path / "x.h5", some), shop)
    assert is_sound(checks.values())
    assert checks["counts"].detail == "6 sound, 6 to do, 2 refused: 1 empty, 1 truncated"
    assert checks["contents"].detail == "6 pictures hold what was embedded"
    assert "6 rows computed again" in checks["recomputed"].detail


def test_without_pictures_what_needs_them_is_not_checked(path: Path, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "elsewhere"):
        if folder:
            folder.mkdir()
        checks = judge(path, folder)
        unchecked = {name for name, check in checks.items() if check.passed is None}
        assert unchecked == {"contents", "golden", "recomputed"}
        assert "--images DIR" in checks["contents"].detail
        assert is_sound(checks.values())


def test_rows_exchanged_whole_do_not_fit_their_check_sums(path: Path, shop: Path) -> None:
    rows = read_table(path).rows
    for name, field in (("embeddings", "vectors"), ("row_crc32", "row_crc32")):
        values = np.array(getattr(rows, field))
        put(path, name, 2, values[9])
        put(path, name, 9, values[2])
    checks = judge(path, shop)
    assert failed(checks) == {"check_sums": [2, 9]}
    assert checks["check_sums"].detail == "2 of 14 rows do not fit their check sums"
    assert checks["counts"].detail == "12 sound, 0 to do, 2 damaged, 0 refused"


def test_what_no_check_sum_proves_in_a_file_of_an_earlier_version_is_said(
    path: Path, shop: Path
) -> None:
    with h5py.File(path, "r+") as file:
        del file["fields_crc32"], file["dimensions"], file.attrs["realisations_sha256"]
    checks = judge(path, shop)
    assert is_sound(checks.values())
    assert "14 are of an earlier version: nothing proves" in checks["check_sums"].detail


def test_a_damaged_record_is_found_and_made_anew_by_the_next_run(
    path: Path, shop: Path, backbone: Backbone
) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"models_in_pass":1', b'"models_in_pass":7'))
    checks = judge(path, shop)
    assert checks["check_sums"].passed is False
    assert checks["check_sums"].detail.endswith("the record is damaged")
    embed(shop, backbone, path)
    assert is_sound(judge(path, shop).values())
    assert read_table(path).provenance.record["model"] == "tiny"


@pytest.mark.parametrize("name", ["embeddings", "content_sha256", "row_crc32", "fields_crc32"])
def test_one_bit_is_found_by_the_check_sum(path: Path, shop: Path, name: str) -> None:
    table = read_table(path)
    size = {"embeddings": 32, "content_sha256": 32, "row_crc32": 4, "fields_crc32": 4}[name]
    with path.open("r+b") as file:
        file.seek(table.offsets[name] + 5 * size)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert failed(judge(path, shop)) == {"check_sums": [5]}


@pytest.mark.parametrize(
    ("vector", "wrong"),
    [
        (np.zeros(8), ["not_constant", "recomputed"]),
        (np.full(8, 0.5), ["not_constant", "recomputed"]),
        (np.r_[np.nan, np.ones(7)], ["finite", "recomputed"]),
        (np.r_[1, 2, np.inf, np.ones(5)], ["finite", "recomputed"]),
        (np.full(8, np.nan), ["finite", "recomputed"]),
        (np.arange(8), ["recomputed"]),
    ],
)
def test_planted_vector_is_found_though_its_check_sum_fits(
    path: Path, shop: Path, vector: np.ndarray, wrong: list[str]
) -> None:
    plant(path, 4, vector)
    assert failed(judge(path, shop)) == {name: [4] for name in wrong}


@pytest.mark.parametrize("factor", [2, 0.99])
def test_vector_of_another_length_is_found(path: Path, shop: Path, factor: float) -> None:
    plant(path, 11, factor * vectors_of(path)[11])
    assert failed(judge(path, shop)) == {"recomputed": [11]}


def test_number_that_is_none_agrees_with_nothing() -> None:
    again = np.array([[3.0, 4.0, 0.0]])
    for stored in ([3, 4, np.nan], [3, 4, np.inf], [0, 0, 0]):
        assert cosines(np.array([stored], np.float32), again).tolist() == [0]
        assert not agrees(np.array([stored], np.float32), again, 0.99).any()
    assert agrees(np.array([[3, 4, 0]], np.float32), again, 0.999999).all()


def test_vectors_exchanged_with_fitted_check_sums_are_computed_again(
    path: Path, shop: Path
) -> None:
    vectors = vectors_of(path)
    plant(path, 3, vectors[8])
    plant(path, 8, vectors[3])
    checks = judge(path, shop)
    assert failed(checks) == {"recomputed": [3, 8]}
    assert "2 of 14 rows computed again differ" in checks["recomputed"].detail


def test_vector_copied_to_another_pictures_row_is_found(path: Path, shop: Path) -> None:
    plant(path, 8, vectors_of(path)[3])
    assert failed(judge(path, shop)) == {"doubled": [3, 8], "recomputed": [8]}
    (shop / "cups" / "3.png").unlink()
    checks = judge(path, shop)
    assert checks["doubled"].passed is None
    assert "2 rows share a vector" in checks["doubled"].detail
    assert failed(checks) == {"recomputed": [8]}
    assert judge(path, None)["doubled"].passed is None
    plant(path, 12, vectors_of(path)[3])  # two of three pictures decide
    assert failed(judge(path, shop)) == {"doubled": [3, 8, 12], "recomputed": [8, 12]}
    unknown = {"backbone": "other", "geometry": {"size": 32}}
    assert seen_by_model(unknown) is None


def test_copies_and_pictures_saved_anew_rightly_have_one_vector(
    shop: Path, backbone: Backbone, tmp_path: Path
) -> None:
    shutil.copy(shop / "cups" / "0.png", shop / "cups" / "0b.png")
    path = embed(shop, backbone, tmp_path / "copies.h5")
    for folder in (shop, None):  # equal bytes need no picture to be told
        check = judge(path, folder)["doubled"]
        assert (check.passed, check.detail) == (True, "2 rows share a vector, of equal files")
    Image.open(shop / "cups" / "0.png").save(shop / "cups" / "0c.png", compress_level=0)
    Image.open(shop / "cups" / "1.png").save(shop / "cups" / "1c.bmp")
    path = embed(shop, backbone, tmp_path / "again.h5")
    check = judge(path, shop)["doubled"]
    assert check.passed is True
    assert "5 rows share a vector" in check.detail
    assert judge(path, None)["doubled"].passed is None
    draw_noise(shop / "cups" / "0c.png", 999)  # what it shows now tells nothing of its row
    checks = judge(path, shop)
    assert checks["contents"].rows == ("cups/0c.png",)
    assert checks["doubled"].passed is None


def test_changed_picture_is_named_and_one_that_is_gone_is_counted(path: Path, shop: Path) -> None:
    draw_noise(shop / "cups" / "2.png", 999)
    (shop / "cups" / "5.png").write_bytes(b"")
    (shop / "hats" / "6.png").unlink()
    checks = judge(path, shop)
    assert failed(checks) == {"contents": [2, 5]}
    assert checks["contents"].detail == (
        "11 pictures hold what was embedded, 2 have changed since, 1 cannot be read here: 1 missing"
    )
    assert "11 rows computed again" in checks["recomputed"].detail


def test_picture_that_leads_out_of_the_folder_is_not_opened(path: Path, shop: Path) -> None:
    inside = shop / "cups" / "2.png"
    outside = shop.parent / "secret.png"
    inside.rename(outside)
    inside.symlink_to(outside)
    checks = judge(path, shop)
    assert is_sound(checks.values())
    assert "1 cannot be read here: 1 outside_folder" in checks["contents"].detail


def test_one_picture_of_several_ids_is_read_once_and_answers_for_all(
    shop: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, paths = ("a", "b", "c"), ("cups/0.png", "cups/0.png", "cups/1.png")
    catalog = Catalog("ids", shop.resolve(), ids, paths)
    path = extract_embeddings(catalog, backbone, tmp_path / "ids.h5", options=FOUR).file
    from extract.verification import evidence

    read: list[str] = []
    own = evidence.read_picture

    def counted(root: Path, name: str) -> Any:
        read.append(name)
        return own(root, name)

    monkeypatch.setattr(evidence, "read_picture", counted)
    assert is_sound(judge(path, shop).values())
    assert sorted(read) == ["cups/0.png", "cups/1.png"]
    draw_noise(shop / "cups" / "0.png", 999)
    assert judge(path, shop)["contents"].rows == ("a", "b")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda ids: [ids[1], ids[0], *ids[2:]], [1]),
        (lambda ids: [*ids[:5], ids[4], *ids[6:]], [5]),
        (lambda ids: [ids[0], ids[1] + "\0x", *ids[2:]], [1]),
        (lambda ids: [*ids[:13], "a"], [13]),
    ],
    ids=["exchanged", "doubled", "nul", "out of order"],
)
def test_ids_out_of_order_doubled_or_with_nul_are_named(
    path: Path, change: Callable[[list[str]], list[str]], wrong: list[int]
) -> None:
    """A file of such ids is not read at all; a table in memory may hold them."""
    evidence = evidence_of(path, None)
    ids = change(list(evidence.table.ids))
    check = check_ids(replace(evidence, table=replace(evidence.table, ids=tuple(ids))))
    assert check.passed is False
    assert check.rows == tuple(ids[i] for i in wrong)


def test_ids_are_ordered_by_bytes_whatever_they_are(path: Path) -> None:
    ids = sorted(["é/1", "z/1", "z/\udcff", "z/😀", "a\n", *"bcdefghij"], key=bytes_of)
    assert ids != sorted(ids)
    rename(path, ids)
    assert judge(path, None)["ids"].passed is True


def test_number_of_no_realisation_and_unknown_status_are_named(path: Path, shop: Path) -> None:
    put(path, "status", 9, 200)
    put(path, "fields_crc32", 9, 0)
    evidence = evidence_of(path, shop)
    ways = len(evidence.table.provenance.execution_configs)
    evidence.table.rows.execution_config[6] = ways  # a file that says so is not read at all
    check = check_counts(evidence)
    assert check.passed is False
    assert check.rows == tuple(evidence.table.ids[i] for i in (6, 9))
    stray = f"1 name an execution config that is none of the file's {ways}"
    for words in ("13 sound", "1 refused: 1 reason_200", "1 have a status", stray):
        assert words in check.detail


def test_weights_that_differ_fail_and_weights_that_are_not_here_do_not(
    path: Path, shop: Path
) -> None:
    table = read_table(path)

    def check(here: AvailableBackbone) -> Check:
        return check_weights(replace(evidence_of(path, None), table=table, here=here))

    assert check(AvailableBackbone(None, "differs by far", differs=True)).passed is False
    assert check(AvailableBackbone(None, "no network")) == Check("weights", None, "no network")
    assert check(AvailableBackbone(tiny_backbone())).passed is True
    wider = check(AvailableBackbone(replace(tiny_backbone(), n_dims=9)))
    assert wider.passed is False
    assert "8 numbers, those of its backbone 9" in wider.detail
    for here in (
        AvailableBackbone(None, "no"),
        AvailableBackbone(replace(tiny_backbone(), n_dims=9)),
    ):
        evidence = replace(evidence_of(path, shop), here=here)
        assert verify(evidence)[-1].passed is None


@pytest.fixture(scope="module")
def random_lite0() -> Backbone:
    return load_backbone("efficientnet_lite0", weights="random", seed=5)


def provenance_of(backbone: Backbone, model: str | None = None, **changed: Any) -> Provenance:
    identity = {**backbone.identity, **changed}
    return Provenance(identity, (), {"model": model or backbone.name})


def test_backbone_is_found_differs_or_is_not_here(random_lite0: Backbone, tmp_path: Path) -> None:
    found = find_backbone(provenance_of(random_lite0))
    assert found.backbone is not None
    assert found.backbone.identity == random_lite0.identity
    other = {**random_lite0.weights, "seed": 6}
    for changed in ({"weights": other}, {"mean": [0.5, 0.5, 0.4]}):
        here = find_backbone(provenance_of(random_lite0, **changed))
        assert (here.backbone, here.differs) == (None, True)
        assert "differ" in here.why
    for changed in ({"weights": {**other, "seed": "x"}}, {"geometry": [1]}, {"pooling": "none"}):
        here = find_backbone(provenance_of(random_lite0, **changed))
        assert (here.backbone, here.differs) == (None, False)
        assert here.why.startswith("efficientnet_lite0 cannot be built here: ")
    for model in ("tiny", "timm:nothing.of_the_kind", "vgg16", "hf:../../secret"):
        pretrained = {"weights": {**other, "source": "pretrained"}}
        here = find_backbone(provenance_of(random_lite0, model, **pretrained))
        assert (here.backbone, here.differs) == (None, False), model
        assert here.why
    with pytest.raises(UsageError, match="leave --weights"):
        find_backbone(provenance_of(random_lite0), Path(__file__))


def test_weights_of_a_file_are_taken_only_where_they_are_given(
    random_lite0: Backbone, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    tensors = random_lite0.model.state_dict()
    right, wrong, misfit = (tmp_path / f"{name}.safetensors" for name in "abc")
    save_file(tensors, right)
    save_file({k: v + 1 if k == "conv_stem.weight" else v for k, v in tensors.items()}, wrong)
    save_file({"conv_stem.weight": tensors["conv_stem.weight"]}, misfit)
    provenance = provenance_of(load_backbone("efficientnet_lite0", weights=str(right)))
    not_given = find_backbone(provenance)
    assert (not_given.backbone, not_given.differs) == (None, False)
    assert "--weights FILE" in not_given.why
    assert find_backbone(provenance, right).backbone is not None
    for given in (wrong, misfit):
        here = find_backbone(provenance, given)
        assert (here.backbone, here.differs) == (None, True), given
    with pytest.raises(UsageError, match="no weights file"):
        find_backbone(provenance, tmp_path / "none.pth")


def test_golden_vectors_are_those_of_this_installation(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = load_backbone("efficientnet_lite0")
    here = replace(evidence_of(path, None), here=AvailableBackbone(own))
    good = check_golden(here)
    assert good.passed is True
    assert "worst cosine 1.0000000" in good.detail
    padded = load_backbone("efficientnet_lite0", resize="pad")
    assert check_golden(replace(here, here=AvailableBackbone(padded))).passed is True
    assert check_golden(replace(here, here=AvailableBackbone(None, "none"))).passed is None

    def golden(change: Callable[[Path], None]) -> Check:
        folder = tmp_path / "golden"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(str(recomputation.files("extract") / "verification" / "golden"), folder)
        change(folder)
        monkeypatch.setattr(recomputation, "GOLDEN", folder)
        return check_golden(here)

    def alter(folder: Path) -> None:
        with np.load(folder / "vectors.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored}
        arrays[f"weights_{own.weights['sha256']}"][2] += 0.02
        np.savez(folder / "vectors.npz", **arrays)

    def redraw(folder: Path) -> None:
        draw_noise(folder / "gray16.png", 3)

    for change, picture in ((alter, "palette.png"), (redraw, "gray16.png")):
        bad = golden(change)
        assert bad.passed is False
        assert f"other vectors here: {picture} (worst" in bad.detail


def test_model_that_was_changed_is_found_by_its_vectors(path: Path, shop: Path) -> None:
    checks = judge(path, shop, tiny_backbone(seed=1))
    assert failed(checks) == {"recomputed": list(range(N_ROWS))}


@pytest.mark.parametrize(
    ("way", "limit"),
    [
        ({}, 0.999999),
        ({"dtype": "fp32", "device": "cpu", "batch_size": 64, "threads": 3}, 0.999999),
        ({"dtype": "fp32", "device": "cuda"}, 0.9999),
        ({"dtype": "fp32", "device": "cpu", "runtime": "openvino"}, 0.9995),
        ({"dtype": "fp32", "device": "cuda", "runtime": "folded"}, 0.9995),
        ({"decoder": "reference", "resize": "torchvision", "device": "cpu"}, 0.9995),
        ({"decoder": "fast", "resize": "torchvision", "device": "cpu"}, 0.9995),
        ({"decoder": "scaled", "resize": "torchvision", "device": "cpu"}, 0.99),
        ({"dtype": "bf16", "device": "cpu"}, 0.99),
        ({"dtype": "fp16", "device": "cuda"}, 0.99),
    ],
)
def test_limit_is_that_of_how_a_row_was_computed(
    path: Path, shop: Path, way: dict[str, Any], limit: float
) -> None:
    assert lowest_cosine(way) == limit
    with h5py.File(path, "r+") as file:
        ways = [{"dtype": "fp32", "device": "cpu"}, way]
        file.attrs["realisations"] = json.dumps(ways)
        file.attrs["realisations_sha256"] = sha256_of(ways)
        file["fields_crc32"][[2, 9]] = 0
    vectors = vectors_of(path).astype(np.float64)
    for row, cosine, fits in ((2, (1 + limit) / 2, True), (9, limit - (1 - limit), False)):
        put(path, "realisation", row, 1)
        straight = vectors[row] / np.linalg.norm(vectors[row])
        sideways = np.eye(8)[0] - straight[0] * straight
        sideways /= np.linalg.norm(sideways)
        turned = cosine * straight + np.sqrt(1 - cosine**2) * sideways
        plant(path, row, np.linalg.norm(vectors[row]) * turned)
        assert agrees(vectors_of(path)[[row]], vectors[[row]], limit).tolist() == [fits]
    checks = judge(path, shop)
    assert failed(checks) == {"recomputed": [9]}
    for said in {f"{limit:g}", "0.999999"}:
        assert said in checks["recomputed"].detail


def test_sixteen_rows_are_drawn_by_the_seed(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = embed(pictures, backbone, tmp_path / "x.h5")
    for row in range(21):
        plant(path, row, np.arange(8) + row)
    drawn = {seed: judge(path, pictures, seed=seed)["recomputed"].rows for seed in (0, 0, 1)}
    assert all(len(set(rows)) == 16 for rows in drawn.values())
    assert drawn[0] != drawn[1]
    assert judge(path, pictures, seed=0)["recomputed"].rows == drawn[0]


def test_picture_that_cannot_be_decoded_here_is_no_wrong_row(
    path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = views.decode_picture
    broken = (shop / "hats" / "0.png").read_bytes()

    def here(content: bytes) -> Image.Image:
        if content == broken:
            raise OSError("this build reads no such format")
        return own(content)

    monkeypatch.setattr(views, "decode_picture", here)
    check = judge(path, shop)["recomputed"]
    assert check.passed is True
    assert check.detail.startswith("13 rows")
    assert check.detail.endswith("; 1 drawn cannot be decoded here")


@pytest.mark.parametrize(
    "change",
    [
        {"geometry": None},
        {"geometry": {"size": 10**9}},
        {"geometry": {"crop_pct": 1e-9}},
        {"geometry": {"size": "32"}},
        {"geometry": {"interpolation": "magic"}},
        {"geometry": {"resize": "fold"}},
        {"geometry": {"more": 1}},
        {"mean": None},
        {"rules": {"alpha": "on black"}},
    ],
)
def test_identity_that_is_no_backbones_prepares_no_picture(change: dict[str, Any]) -> None:
    identity = tiny_backbone().identity
    assert seen_by_model(identity) == tiny_backbone().preprocessing
    for name, value in change.items():
        merged = {**identity[name], **value} if isinstance(value, dict) else value
        identity[name] = value if name == "rules" else merged
    assert seen_by_model(identity) is None


def laid_out(path: Path, vectors: np.ndarray) -> Path:
    """A file with some vectors, marked sound, whose check sums are zero."""
    ids = tuple(f"{i:06}.png" for i in range(len(vectors)))
    lay_out(path, Catalog("x", path.parent, ids, ids), Provenance({}, ({},)), vectors.shape[1])
    with h5py.File(path, "r+") as file:
        file["embeddings"][...] = vectors
        file["status"][...] = 1
    return path


@pytest.mark.parametrize("numbers", [1, 25, 5 * 6, 1 << 18])
def test_blocks_of_any_size_tell_the_same(
    tmp_path: Path, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.storage.embeddings_table.BLOCK_NUMBERS", numbers)
    rng = np.random.default_rng(0)
    vectors = rng.integers(0, 2, (97, 6)).astype(np.float32)
    vectors[[5, 90], 2] = np.nan, np.inf
    path = laid_out(tmp_path / "x.h5", vectors)
    for row in range(0, 97, 2):
        plant(path, row, vectors[row])
    put(path, "status", 8, 0)
    table = read_table(path)
    scan = scan_vectors(table)
    assert scan.proven.tolist() == [row % 2 == 0 and row != 8 for row in range(97)]
    assert scan.proven.sum() == 48
    marked = np.arange(97) != 8
    np.testing.assert_array_equal(scan.finite, np.isfinite(vectors).all(axis=1) & marked)
    constant = np.array([len(set(v)) == 1 for v in vectors.tolist()]) & marked
    np.testing.assert_array_equal(scan.constant, constant)
    groups = defaultdict(list)
    for row in np.flatnonzero(scan.proven).tolist():
        groups[vectors[row].tobytes()].append(row)
    expected = [rows for rows in groups.values() if len(rows) > 1]
    assert [group.tolist() for group in scan.equal_groups()] == expected
    assert len(expected) > 5


def test_file_of_one_number_a_row_is_constant_only_where_it_is_zero(tmp_path: Path) -> None:
    path = laid_out(tmp_path / "x.h5", np.array([[1], [0], [2]], np.float32))
    assert scan_vectors(read_table(path)).constant.tolist() == [False, True, False]


def test_no_sound_row_has_no_group() -> None:
    none = np.zeros(3, bool)
    scan = VectorScan(none, none, none, np.zeros((3, 2), np.uint64))
    assert scan.equal_groups() == []


def test_vectors_are_never_held_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.storage.embeddings_table.BLOCK_NUMBERS", 1 << 18)
    path = laid_out(tmp_path / "x.h5", np.ones((4000, 1024), np.float32))
    table = read_table(path)
    tracemalloc.start()
    try:
        scan_vectors(table)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20  # of 16 MiB


def test_progress_tells_of_every_picture(path: Path, shop: Path) -> None:
    told: list[tuple[int, int]] = []
    gather(
        read_table(path),
        AvailableBackbone(None, "none"),
        root=shop.resolve(),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (N_ROWS, N_ROWS)
