"""The card: planted backbones get the scores that they must, by brute force and again the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import tiny_backbone

from analyze.comparison.ranking.scores import RankedModel
from analyze.head.classifier import train_head
from analyze.head.prediction.head_file import StoredHead
from analyze.measures.alignment import equal_pictures, groups_of_copies
from analyze.measures.estimates import Estimate
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation.palette import backbone_style
from analyze.robustness import assessment
from analyze.robustness.assessment import RobustnessSpec, Running, assess_pictures
from analyze.robustness.cells import CellCache, HeadTest, Reference
from analyze.robustness.embedding import CorruptedEmbedder
from analyze.robustness.result import Robustness
from analyze.robustness.scores import (
    DRIFT,
    HEAD,
    ONE_NN,
    OVERALL,
    RECALL,
    Cells,
    Sampling,
    Track,
    compare_models,
)
from analyze.robustness.verdicts import advice
from extract.backbones.kept_backbones import load_from_provenance
from extract.backbones.registry import Backbone
from extract.catalog.catalog import Level
from extract.errors import UsageError, WeightsError
from extract.images.augmentation import find_policy
from extract.images.corruptions import FAMILIES, Corruption
from extract.images.decoding import decode_picture
from extract.storage.embeddings import EmbeddingSet, Provenance
from extract.transforms.preprocessing import Preprocessing

N, SIDE = 24, 48
QUICK = RobustnessSpec(("rotation", "noise"), n_resamples=200)


class Rings(torch.nn.Module):
    """Mean colors of rings around the center: nothing that turns changes them."""

    def __init__(self) -> None:
        super().__init__()
        places = torch.arange(SIDE) - (SIDE - 1) / 2
        far = torch.hypot(places[:, None], places[None]) / (SIDE / 2)
        self.rings = [((far >= k / 4) & (far < (k + 1) / 4)).float() for k in range(4)]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        colors = [(pixels * ring).sum((2, 3)) / ring.sum() for ring in self.rings]
        return torch.cat(colors, 1) - 0.9  # the ground


def rings_backbone() -> Backbone:
    seen = Preprocessing(SIDE, "pad", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    weights = {"source": "random", "tag": "rings.random", "seed": 0, "sha256": "0"}
    return Backbone("rings", Rings().eval(), seen, 12, weights, "mean", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Products of blocks on a light ground: two classes, warm and cold."""
    root = tmp_path_factory.mktemp("products")
    for i in range(N):
        random = np.random.default_rng(i)
        color = np.array([200, 90, 60] if i % 2 else [60, 90, 200])
        blocks = np.clip(color + random.integers(-60, 60, (3, 4, 3)), 0, 255).astype(np.uint8)
        picture = Image.new("RGB", (64, 60), (245, 245, 240))
        product = Image.fromarray(blocks).resize((34, 31), Image.Resampling.BICUBIC)
        picture.paste(product, (15, 14))
        picture.save(root / f"{i:02}.png")
    return root


def embedded(backbone: Backbone, folder: Path) -> EmbeddingSet:
    paths = sorted(folder.glob("*.png"))
    contents = [path.read_bytes() for path in paths]
    vectors = backbone.embed_pictures([decode_picture(content) for content in contents])
    hashes = [np.frombuffer(hashlib.sha256(content).digest(), np.uint8) for content in contents]
    return EmbeddingSet(
        tuple(path.name for path in paths),
        vectors,
        Provenance(backbone.identity, (), {"model": backbone.name}),
        (Level.from_values("kind", ["warm" if i % 2 else "cold" for i in range(len(paths))]),),
        content_sha256=np.stack(hashes),
    )


Assess = Callable[..., Robustness]


@pytest.fixture(scope="module")
def known() -> dict[str, Backbone]:
    return {each.name: each for each in (rings_backbone(), tiny_backbone(), tiny_backbone(1, "b"))}


@pytest.fixture(scope="module")
def assess(known: dict[str, Backbone], folder: Path) -> Iterator[Assess]:
    """Assess planted backbones by name."""

    def load(provenance: Provenance, **_: object) -> Backbone:
        return next(b for b in known.values() if b.identity == provenance.identity)

    def assess(*names: str, spec: RobustnessSpec = QUICK, **more: object) -> Robustness:
        sets = [embedded(known[name], folder) for name in names]
        pictures = PictureFolder(sets[0], folder)
        return assess_pictures(sets, None, pictures, spec=spec, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assessment, "load_from_provenance", load)
        yield assess


@pytest.fixture(scope="module")
def both(assess: Assess) -> Robustness:
    return assess("rings", "tiny")


def values(found: Robustness, model: str, family: str, metric: str) -> list[float]:
    rows = [r for r in found.rows if (r.family, r.metric, r.model.model) == (family, metric, model)]
    return [row.value.mean for row in sorted(rows, key=lambda row: row.severity)]


def test_what_cannot_see_a_turn_is_flat_on_rotation_and_not_on_noise(both: Robustness) -> None:
    flat = values(both, "rings", "rotation", DRIFT)
    assert len(flat) == 6
    assert max(flat) < 1e-4
    assert values(both, "rings", "rotation", RECALL) == [1.0] * 6
    assert max(values(both, "rings", "noise", DRIFT)) > 20 * max(flat)
    assert max(values(both, "tiny", "rotation", DRIFT)) > 20 * max(flat)


def test_unaltered_pictures_are_their_rows(both: Robustness) -> None:
    for model in ("rings", "tiny"):
        for family in ("rotation", "noise"):
            assert values(both, model, family, DRIFT)[0] == pytest.approx(0, abs=1e-6)
            assert values(both, model, family, RECALL)[0] == 1.0
    assert not both.notes


def test_scores_are_those_of_brute_force(
    assess: Assess, known: dict[str, Backbone], folder: Path, tmp_path: Path
) -> None:
    found = assess("tiny", running=Running(vectors=tmp_path / "vectors"))
    stored = embedded(known["tiny"], folder)
    unit = stored.vectors / np.linalg.norm(stored.vectors, axis=1, keepdims=True)
    codes = stored.levels[0].codes
    for family in ("rotation", "noise"):
        for severity in (1, 4):
            own = np.load(next(tmp_path.glob(f"vectors/tiny-*-{family}-{severity}.npy")))
            own /= np.linalg.norm(own, axis=1, keepdims=True)
            cosines = own @ unit.T
            drift = 1 - np.diag(cosines).mean()
            recall = (cosines.argmax(axis=1) == np.arange(N)).mean()
            np.fill_diagonal(cosines, -2)
            one_nn = (codes[cosines.argmax(axis=1)] == codes).mean()
            for metric, wanted in ((DRIFT, drift), (RECALL, recall), (ONE_NN, one_nn)):
                got = values(found, "tiny", family, metric)[severity]
                assert got == pytest.approx(wanted, abs=1e-6), (family, severity, metric)
    ids = (tmp_path / "vectors" / "ids.csv").read_text().split()
    assert ids == ["id", *stored.ids]
    with pytest.raises(UsageError, match="--vectors"):
        assess("tiny", running=Running(vectors=tmp_path / "vectors"))


def test_vectors_are_those_of_the_corrupted_picture_alone(
    assess: Assess, known: dict[str, Backbone], folder: Path, tmp_path: Path
) -> None:
    from extract.images.corruptions import corrupt

    backbone, seen = known["rings"], known["rings"].preprocessing
    assess(
        "rings", running=Running(vectors=tmp_path / "new"), spec=replace(QUICK, families=("blur",))
    )
    stored = np.load(next(tmp_path.glob("new/rings-*-blur-3.npy")))
    for place, path in enumerate(sorted(folder.glob("*.png"))[:3]):
        content = path.read_bytes()
        square = seen.placed(decode_picture(content))
        box = (1, 0, 45, 48)  # 60 of 64 rows
        sha = hashlib.sha256(content).digest()
        made = corrupt(square, Corruption("blur", 3), sha, box=box)
        assert made is not None
        alone = backbone.embed(seen.scaled(made)[None])[0]
        np.testing.assert_allclose(stored[place], alone, atol=2e-6)


def test_drift_never_falls_with_severity(assess: Assess) -> None:
    found = assess("tiny", spec=RobustnessSpec(n_resamples=100))
    for family, spec in FAMILIES.items():
        n_ordered = 2 if family == "rotation" else spec.n_ordered  # blocks turned by 90 are blocks
        drift = values(found, "tiny", family, DRIFT)[: n_ordered + 1]
        assert (np.diff(drift) > -1e-6).all(), (family, drift)
        assert drift[-1] > 1e-6


def test_a_second_run_reads_what_a_stopped_one_finished(
    assess: Assess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Corruption | None] = []
    embed = CorruptedEmbedder.vectors

    def counted(self: CorruptedEmbedder, corruption: Corruption | None, tick: object) -> np.ndarray:
        if len(done) == 4 and not again:
            raise KeyboardInterrupt
        done.append(corruption)
        return embed(self, corruption, tick)  # type: ignore[arg-type]

    monkeypatch.setattr(CorruptedEmbedder, "vectors", counted)
    running, again = Running(cache=tmp_path), False
    with pytest.raises(KeyboardInterrupt):
        assess("tiny", running=running)
    assert done[0] is None
    first, again = list(done), True
    whole = assess("tiny", running=running)
    assert len(done) == 11
    assert not set(first) & set(done[4:])
    assert assess("tiny", running=running).to_json() == whole.to_json()
    assert len(done) == 11
    assert assess("tiny").to_json() == whole.to_json()  # without a cache: the same bits


def test_other_seeds_and_pictures_are_other_keys(assess: Assess, tmp_path: Path) -> None:
    running = Running(cache=tmp_path)
    one = assess("tiny", running=running)
    other = assess("tiny", running=running, spec=replace(QUICK, seed=1))
    assert values(one, "tiny", "noise", DRIFT) != values(other, "tiny", "noise", DRIFT)
    some = assess("tiny", running=running, spec=replace(QUICK, n_pictures=12))
    assert len(some.ids) == 12
    assert some.n_catalog == N
    assert "12 of 24 pictures, drawn by seed" in some.text()


def test_verdicts_pairs_and_advice_name_what_was_planted(both: Robustness) -> None:
    rotation = next(p for p in both.pairs if (p.family, p.metric) == ("rotation", RECALL))
    rings, tiny = (model.name for model in both.models)
    assert rotation.verdict.startswith(f"{rings} is better than {tiny} by")
    assert rotation.p_adjusted is not None
    assert rotation.p_adjusted < 0.05
    means = {r.model.model: r.value.mean for r in both.families
             if (r.family, r.metric) == ("rotation", RECALL)}  # fmt: skip
    assert rotation.difference is not None
    assert rotation.difference.mean == pytest.approx(means["rings"] - means["tiny"])
    assert rotation.difference.low is not None
    assert 0 < rotation.difference.low < rotation.difference.mean
    assert both.verdicts[tiny].startswith(f"{tiny} loses most by ")
    assert "hardly by rotation" in both.verdicts[rings]
    overall = [p for p in both.pairs if p.family == OVERALL and p.metric == RECALL]
    assert f"all families: {overall[0].verdict}" in both.text()


def ranked(number: int) -> RankedModel:
    return RankedModel(f"net{number}", f"net{number}", str(number), "", 2, 8, None, 1, number)


def test_backbones_are_compared_on_the_pictures_that_both_have_a_score_of() -> None:
    """Each head leaves out its own training pictures: those of three are planted."""
    n = 60
    right = np.random.default_rng(0).random((3, 2, n)) < np.array([0.9, 0.9, 0.2])[:, None, None]
    right[1, :, 20:40] = right[0, :, 20:40]  # equal where both are tested, another mean elsewhere
    right[1, :, 40:] = False
    tested = np.zeros((3, n), bool)
    tested[0, :40] = tested[1, 20:] = tested[2, :15] = True

    def cells(number: int) -> Cells:
        found: dict[Corruption | None, np.ndarray] = {}
        for severity in (1, 2):
            figures = np.full((5, n), np.nan)
            figures[4] = np.where(tested[number], right[number, severity - 1], np.nan)
            figures[1, number:] = figures[0, number:] = 1.0
            found[Corruption("noise", severity)] = figures
        return found

    sampling = Sampling(np.arange(n), None, np.arange(n), 500, 0)
    pairs = compare_models({ranked(number): cells(number) for number in range(3)}, sampling)
    heads = {(p.a.number, p.b.number): p for p in pairs if p.metric == HEAD}
    assert heads[0, 1].difference == Estimate(0, 0, 0)
    assert heads[0, 1].n_images == 20
    assert heads[0, 1].verdict == (
        "net0 and net1 cannot be distinguished with 20 pictures that both have a score of: "
        "0.000 (0.000 to 0.000)"
    )
    wanted = (right[0, :, :15].astype(float) - right[2, :, :15]).mean()
    assert heads[0, 2].difference is not None
    assert heads[0, 2].difference.mean == pytest.approx(wanted)
    assert heads[0, 2].is_sure
    assert heads[0, 2].verdict.endswith(", on the 15 pictures that both have a score of")
    assert heads[0, 2].n_pairs == 2
    assert heads[1, 2].verdict == "net1 and net2 cannot be compared: no picture has a score of both"
    spelled = heads[1, 2].to_json()
    assert [spelled[key] for key in ("difference", "low", "p_adjusted", "n_images")] == [
        *(None, None, None, 0)
    ]
    found = {(p.a.number, p.b.number): p.n_images for p in pairs if p.metric == RECALL}
    assert found == {(0, 1): n - 1, (0, 2): n - 2, (1, 2): n - 2}


def test_another_picture_of_the_product_is_not_the_original() -> None:
    angles = np.radians([0, 10, 90, 90.001, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    stored = EmbeddingSet.from_arrays(vectors)
    hashes = np.repeat(np.arange(1, 6, dtype=np.uint8)[:, None], 32, 1)
    hashes[3] = hashes[2]
    products = {"product": ("shoe", "shoe", "hat", "hat", "shoe")}
    stored = replace(stored, content_sha256=hashes, columns=products, group_column="product")
    copies, groups = equal_pictures([stored]), groups_of_copies([stored])
    reference = Reference(stored, np.arange(5), copies, groups, None, None, 0)
    moved = vectors[[1, 1, 3, 2, 2]]  # the product's other picture, itself, a copy twice, a hat
    _, found, nearest_other, _, _ = reference.figures(moved)
    assert found.tolist() == [0, 1, 1, 1, 0]
    assert groups[nearest_other.astype(int)].tolist() == groups[[2, 2, 0, 0, 2]].tolist()


def head_of(whole: EmbeddingSet) -> StoredHead:
    """Train on the first 16 pictures, moved so that none are near copies."""
    noise = np.random.default_rng(0).normal(scale=0.2, size=whole.vectors.shape)
    spread = replace(whole, vectors=whole.vectors + noise.astype(np.float32))
    return train_head(spread.take(np.arange(16)), "kind").stored


def test_a_head_is_tested_on_what_it_was_not_trained_on(
    known: dict[str, Backbone], folder: Path, assess: Assess
) -> None:
    whole = embedded(known["rings"], folder)
    head = head_of(whole)
    found = assess("rings", heads=[head])
    rows = [r for r in found.rows if r.metric == HEAD]
    assert {row.n_images for row in rows} == {8}
    assert values(found, "rings", "rotation", HEAD) == [1.0] * 6
    assert "tested on the 8 pictures it was not trained on" in found.text()
    right = HeadTest(head, whole.levels[0]).right(whole, np.arange(N))
    assert np.isnan(right[:16]).all()
    with pytest.raises(UsageError, match="the head was trained on vectors"):
        assess("tiny", heads=[head])


def test_what_is_kept_of_a_head_is_of_its_labels_and_training_pictures(
    known: dict[str, Backbone], folder: Path
) -> None:
    whole = embedded(known["rings"], folder)
    head = head_of(whole)
    rows, kinds = np.arange(16, N), list(whole.levels[0].values())

    def key(head: StoredHead, kinds: list[str | None]) -> str:
        test = HeadTest(head, Level.from_values("kind", kinds))
        reference = Reference(whole, rows, np.arange(N), np.arange(N), None, test, 0)
        config = dict.fromkeys(("decoder", "runtime", "device"), "")
        return json.dumps(CellCache.of(None, reference, config).about)

    own = key(head, kinds)
    assert key(replace(head), list(kinds)) == own
    assert key(head, ["cold" if kind == "warm" else "warm" for kind in kinds]) != own
    assert key(head, [*kinds[:-1], None]) != own
    assert key(replace(head, about={}), kinds) != own


def test_result_is_saved_with_every_key(both: Robustness, tmp_path: Path) -> None:
    both.save(tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        *("robustness.csv", "families.csv", "pairs.csv"),
        *("robustness.png", "drift.png", "corruptions.png"),
    }
    spelled = json.loads(json.dumps(both.to_json()))
    assert {"rows", "families", "pairs", "verdicts", "advice", "notes"} <= set(spelled)
    row = spelled["rows"][0]
    assert row["amount"] == "unaltered"
    assert row["low"] <= row["value"] <= row["high"]
    frame = both.to_frame()
    assert len(frame) == 2 * 2 * 6 * 4  # backbones, families, severities, metrics
    assert frame["value"].between(0, 2).all()


def test_card_has_the_costliest_family_first_and_each_backbone_in_its_color(
    both: Robustness,
) -> None:
    figure = both.draw_card(DRIFT)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == ["noise", "rotation"]
    assert [tick.get_text() for tick in panels[1].get_xticklabels()] == [
        *("0", "5", "15", "30", "90", "180")
    ]
    for axes in panels:
        lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 6]
        assert [line.get_color() for line in lines] == [backbone_style(i)[0] for i in range(2)]
    drawn = [line for line in panels[0].get_lines() if len(line.get_xdata()) == 6]
    assert list(drawn[1].get_ydata()) == values(both, "tiny", "noise", DRIFT)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [name.split()[0] for name in names] == ["rings", "tiny"]
    with pytest.raises(UsageError, match="recall_at_1"):
        both.draw_card("accuracy")


def test_advice_names_the_costliest_families_as_a_policy(both: Robustness) -> None:
    model, other = both.models

    def planted(**losses: float) -> dict[tuple[str, int, str], Track]:
        return {
            (family, s, ONE_NN): Track(0.9 - loss * (s > 0), np.full(200, 0.9), N)
            for family, loss in losses.items()
            for s in range(6)
        }

    found = advice({model: planted(noise=0.2, blur=0.01), other: planted(noise=0.1, blur=0.3)})
    assert found is not None
    policy = re.search(r"--view-policy (\S+)", found)
    assert policy is not None
    assert find_policy(policy.group(1)).corruptions == ("blur", "noise")
    assert advice({model: planted(noise=0.01, blur=0.0)}) is None


def test_background_counts_the_pictures_that_have_one(
    folder: Path, tmp_path: Path, known: dict[str, Backbone], assess: Assess
) -> None:
    for path in folder.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "00.png")
    embeddings = embedded(known["rings"], tmp_path)
    spec = RobustnessSpec(("background", "flip"), n_resamples=100)
    found = assess_pictures([embeddings], None, PictureFolder(embeddings, tmp_path), spec=spec)
    n = {row.family: row.n_images for row in found.rows if row.metric == RECALL}
    assert n == {"background": N - 1, "flip": N}
    assert f"background applies to {N - 1} of {N} pictures" in found.text()
    for path in tmp_path.glob("*.png"):
        Image.fromarray(noise).save(path)
    embeddings = embedded(known["rings"], tmp_path)
    found = assess_pictures([embeddings], None, PictureFolder(embeddings, tmp_path), spec=spec)
    assert {row.family for row in found.rows} == {"flip"}
    assert f"background applies to 0 of {N} pictures" in found.text()


def test_what_cannot_be_measured_is_one_line(assess: Assess, folder: Path) -> None:
    with pytest.raises(UsageError, match="noise, light"):
        RobustnessSpec(("fog",))
    with pytest.raises(UsageError, match="from 2 to"):
        RobustnessSpec(n_pictures=1)
    embeddings = embedded(rings_backbone(), folder)
    with pytest.raises(UsageError, match="--images DIR"):
        assess_pictures([embeddings], None, PictureFolder(embeddings, None), spec=QUICK)


def test_vectors_of_others_have_no_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    from analyze import assess_robustness

    monkeypatch.setattr(assessment, "load_from_provenance", load_from_provenance)
    with pytest.raises(WeightsError, match="imported vectors"):
        assess_robustness([[1, 0], [0, 1]])
