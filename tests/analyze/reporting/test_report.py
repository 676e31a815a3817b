"""What a report gathers and says, apart from how a browser shows it."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from string import Formatter
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from analyze import cluster, interactive_map, report
from analyze.auditing.checks import CHECKS
from analyze.auditing.findings import REASONS, Reason
from analyze.presentation.palette import CLASS_COLORS
from analyze.reduction.procrustes import laid_over
from analyze.reporting.answer import Pair, answer, confused_pairs
from analyze.reporting.backbones import Backbone
from analyze.reporting.clusters import cluster_cards, distinguishing_words
from analyze.reporting.columns import columns_of
from analyze.reporting.gathering import ReportRequest, gather_report
from analyze.reporting.messages import FINDINGS, MESSAGES, Words
from analyze.reporting.page import thumbnails
from analyze.reporting.reasons import IN_FRENCH, reason_of
from analyze.reporting.report import Report
from analyze.reporting.run_folders import StoredRun
from analyze.reporting.sections import section_of
from analyze.run_history.run_folders import answer_of, find_run
from extract import Workspace
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.images.corruptions import FAMILIES
from extract.storage.embeddings import EmbeddingSet
from tests.analyze.reporting.conftest import DRAWN, EACH, HOSTILE, plant, planted_vectors, ran


@pytest.fixture
def own(reported: Path, tmp_path: Path) -> Path:
    """A copy of the reported workspace, to write in."""
    return Path(shutil.copytree(reported, tmp_path / "own", symlinks=True))


@pytest.fixture(scope="module")
def found(reported: Path) -> Report:
    return gather_report(reported, files_of(reported))


def files_of(root: Path) -> list[Path]:
    return sorted(p for p in root.glob("cache/embeddings/shop/*.h5") if ".labels" not in p.name)


def runs_of(root: Path, kind: str) -> list[dict[str, object]]:
    return [json.loads(p.read_text()) for p in sorted(root.glob(f"results/*-{kind}*/run.json"))]


def island(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    value: dict[str, object] = json.loads(found[1])
    return value


# what is gathered


def test_its_sentences_have_the_numbers_of_the_runs(found: Report, reported: Path) -> None:
    assert len(found.answer) == 3
    best = found.backbones[0]
    (run,) = [r for r in runs_of(reported, "analyze") if r["identity"] == best_identity(found)]
    scores = run["scores"]
    assert isinstance(scores, dict)
    assert best.name == "backbone0", "its classes lie furthest apart"
    assert f"(ARI) of {scores['ari']:.3f}" in found.answer[0]
    (compared,) = runs_of(reported, "compare")
    assert found.answer[1].startswith("Of 3 backbones backbone0")
    assert isinstance(compared["cells"], list)
    low = {c["model"]: c["low"] for c in compared["cells"] if c["metric"] == "ari"}
    section = found.section("compare")
    assert section is not None
    assert all(f"{low[row[0]]:.3f}" in row[2] for row in section.rows)


def best_identity(found: Report) -> str:
    return found.backbones[0].embeddings.provenance.short_identity


def test_the_run_of_the_first_sentence_is_named_and_others_that_disagree(own: Path) -> None:
    before = gather_report(own, files_of(own))
    best, headline = before.backbones[0], before.headline
    assert best.clustered is not None
    assert headline is not None
    run = best.clustered.run
    assert (headline.results, headline.metric) == (run.folder.name, "ari")
    (compared,) = runs_of(own, "compare")
    assert isinstance(compared["cells"], list)
    means = [
        cell["mean"]
        for cell in compared["cells"]
        if cell["metric"] == "ari" and cell["identity"] == best_identity(before)
    ]
    assert [each.score for each in headline.others] == means

    record = json.loads((run.folder / "run.json").read_text())
    record |= {"written": "2020-01-01T00:00:00+00:00", "reduction": "pca:3"}
    for name, changed in (
        ("20200101T000000Z-analyze", {"scores": {"ari": -0.25}}),
        ("20200102T000000Z-analyze", {"scores": {"ari": 2.5}, "level": "family"}),
    ):
        (own / "results" / name).mkdir()
        (own / "results" / name / "run.json").write_text(json.dumps(record | changed))
    after = gather_report(own, files_of(own))
    assert after.headline is not None
    assert after.headline.results == run.folder.name, "the newest"
    said = after.headline.text(Words("en"))
    assert said in after.text()
    assert f"is of run {run.folder.name} (tsne:5 · kmeans 4, seed 0)" in said
    assert "disagree" in said
    assert "from -0.250 (pca:3 · kmeans 4)" in said
    assert "2.5" not in said, "of another level"
    assert html.escape(run.folder.name) in after.html()


def test_what_is_missing_is_named_with_a_command_that_makes_it(own: Path) -> None:
    before = gather_report(own, files_of(own))
    named = {each.what: each.command for each in before.missing}
    command = named["clusters of backbone2"]
    assert "look-ups" in " ".join(named)
    ran(own, *command.replace("python -m ", "").replace("pca:0.99,tsne", "tsne:5").split())
    after = gather_report(own, files_of(own))
    assert "clusters of backbone2" not in {each.what for each in after.missing}


def test_maps_are_laid_over_the_first(found: Report, reported: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 2))
    turn = np.array([[np.cos(2), np.sin(2)], [-np.sin(2), np.cos(2)]])
    moved = 7 * points @ turn * np.array([1, -1]) + 3
    np.testing.assert_allclose(laid_over(moved, points), points, atol=1e-9)
    still = np.zeros((4, 2))
    np.testing.assert_array_equal(laid_over(still, points[:4]), still + points[:4].mean(axis=0))
    maps = {each.name: each.map for each in found.backbones}
    assert [m.steps if m else None for m in maps.values()].count("tsne:5") >= 2
    third = maps["backbone2"]
    assert third is not None


def test_the_map_is_that_of_the_clusters_which_are_shown(own: Path) -> None:
    words = ("--model", "backbone0", "--level", "leaf", "--clusters", "3")
    ran(own, "analyze", *words, "--reduce", "tsne:3")
    found = gather_report(own, files_of(own))
    for each in found.backbones:
        if each.clustered and each.map:
            assert each.map.steps == each.clustered.run.record["reduction"] == "tsne:5"


def test_pictures_are_those_of_their_rows(found: Report, reported: Path) -> None:
    assert found.thumbnails.n_shown == len(found.ids) == len(DRAWN) * EACH
    for row in (0, 13):
        drawn = Image.open(io.BytesIO(base64.b64decode(found.thumbnails.inside[row])))
        whole = Image.open(reported / "pictures" / found.ids[row]).convert("RGB")
        assert max(drawn.size) == thumbnails.PIXELS
        expected = np.asarray(whole.resize(drawn.size, Image.Resampling.BOX), float)
        assert np.abs(np.asarray(drawn.convert("RGB"), float) - expected).mean() < 12


def test_colors_are_those_of_all_figures(found: Report) -> None:
    assert found.level is not None
    clusters = next(c for c in found.columns if c.kind == "cluster")
    for name, style in zip(clusters.categories, clusters.styles, strict=True):
        assert found.level.categories[style] == name.partition(" · ")[2]
    assert max(clusters.styles) < len(CLASS_COLORS)


def test_a_file_of_few_pictures_does_not_shrink_the_others(own: Path) -> None:
    ids = [f"{kind}-0.jpg" for kind in DRAWN]
    plant(own, "few", ids, planted_vectors(np.arange(len(ids)), 1.0, 0))
    found = gather_report(own, files_of(own))
    assert len(found.ids) == len(DRAWN) * EACH
    assert any("few" in note and f"{len(ids)} of" in note for note in found.notes)


def test_a_damaged_run_is_passed_over(own: Path) -> None:
    folders = sorted(own.glob("results/*-analyze*"))
    (folders[0] / "run.json").write_text('{"inputs": [')
    table = (folders[1] / "assignments.csv").read_text().splitlines()
    (folders[1] / "assignments.csv").write_text("\n".join(table[:-2]) + "\n")
    found = gather_report(own, files_of(own))
    assert not any(each.clustered for each in found.backbones)
    assert found.answer[0] == f"The {len(found.ids)} pictures are not clustered yet."
    assert 'id="clusters"' not in found.html()


def test_findings_of_an_audit_are_shown_with_their_pictures(own: Path) -> None:
    folder = own / "results" / "20260101T000000Z-audit"
    folder.mkdir()
    first = gather_report(own, files_of(own)[:1])
    record = {
        "command": "python -m analyze audit",
        "written": "2026-01-01T00:00:00+00:00",
        "inputs": {"embeddings_sha256": first.backbones[0].fingerprint},
    }
    (folder / "run.json").write_text(json.dumps(record))
    with (folder / "audit.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["id", "finding", "score", "evidence", "action", "suggested_label"])
        write.writerow([first.ids[3], "label_error", "0.9", first.ids[4], "relabel", "rugs"])
        write.writerow(["<b>gone</b>", "label_error", "0.8", "", "'=look", ""])
    found = gather_report(own, files_of(own)[:1])
    assert "2 findings" in found.answer[2]
    assert "label error" in found.answer[2]
    section = found.section("audit")
    assert section is not None
    assert section.rows[0][0] == 3
    assert section.rows[0][3] == [4]
    page = found.html()
    assert 'data-row="3"' in page
    assert 'data-row="4"' in page
    assert "&lt;b&gt;gone&lt;/b&gt;" in page
    assert "<td>=look</td>" in page
    (group,) = section.groups
    assert (group.title, group.n) == ("label error", 2)
    french = gather_report(own, files_of(own)[:1], ReportRequest(language="fr"))
    assert "surtout « étiquette douteuse » (2)" in french.answer[2]
    assert "<td>corriger l&#39;étiquette → rugs</td>" in french.html()


def test_every_finding_and_action_of_the_audit_has_words_of_both_languages() -> None:
    assert {*FINDINGS} == {check.name for check in CHECKS}
    for check in CHECKS:
        for key in (f"finding_{check.name}", f"meaning_{check.name}", f"action_{check.action}"):
            english, french = MESSAGES[key]
            assert english, key
            assert french not in ("", english), key


def test_card_of_robustness_has_the_costliest_first_and_a_sentence_of_each(tmp_path: Path) -> None:
    losses = {("a", "x"): {"jpeg": 0.1, "blur": 0.3}, ("b", "y"): {"jpeg": 0.004, "blur": None}}
    rows = [
        {"model": model, "identity": identity, "family": family, "metric": metric, "loss": loss}
        | {"value": 0.9 - (loss or 0), "low": None, "high": None}
        for (model, identity), own in losses.items()
        for family, loss in (("all", 0.9), *own.items())
        for metric in ("recall_at_1", "drift")
    ]
    Image.new("RGB", (9, 9)).save(tmp_path / "robustness.png")
    run = StoredRun(tmp_path, "robustness", {"families": rows})
    found = section_of(run, Words("fr"), {})
    assert found.header == ("dégradation", "a", "b")
    assert found.rows == (
        ("flou", "0,600", "0,900"),
        ("JPEG", "0,800", "0,896"),
        ("moyenne de toutes", "0,000", "0,000"),
    )
    assert [name for name, _ in found.figures] == ["robustness"]
    assert found.sentences == (
        "a perd le plus avec la dégradation « flou » : l'original est trouvé en premier pour "
        "0,600 des images.",
        "b ne perd presque rien avec ces dégradations.",
    )
    said = section_of(run, Words("en"), {}).sentences
    assert said[0].startswith("a loses most by blur: the original is found first for 0.600")
    named = {key.removeprefix("family_") for key in MESSAGES if key.startswith("family_")}
    assert named == {*FAMILIES, "all"}


def test_backbones_stand_side_by_side_in_tables_of_metrics(tmp_path: Path) -> None:
    made = [("a", "x", 5, 0.5, 0.4), ("b", "y", 5, 0.75, None), ("a", "x", 10, 0.25, 0.2)]
    rows = [
        {"model": m, "identity": i, "resize": "pad", "level": "kind", "metric": "precision"}
        | {"k": k, "value": value, "low": low, "high": low and value + 0.1}
        for m, i, k, value, low in made
    ]
    section = section_of(StoredRun(tmp_path, "retrieval", {"rows": rows}), Words("fr"), {})
    assert section.header == ("mesure", "niveau", "a pad", "b pad")
    assert section.rows == (
        ("precision @ 5", "kind", "0,500 (0,400 – 0,600)", "0,750"),
        ("precision @ 10", "kind", "0,250 (0,200 – 0,350)", "-"),
    )


def test_reasons_of_the_audit_are_french_and_damaged_ones_as_they_were_written() -> None:
    assert IN_FRENCH.keys() == REASONS.keys()
    for key, english in REASONS.items():
        named = [
            {(name, spec) for _, name, spec, _ in Formatter().parse(text) if name}
            for text in (english, IN_FRENCH[key])
        ]
        assert named[0] == named[1], key
    sources = (Reason.of("votes"), Reason.of("head", run="r"))
    about = {"votes": 4, "n": 5, "suggested": "{rugs}", "suggested_share": 0.5, "own_share": 0.25}
    because = Reason.of("disbelieved", sources=sources, **about)
    values = json.dumps(because.to_json()["values"])
    row = {"reason": str(because), "reason_key": "disbelieved", "reason_values": values}
    assert reason_of(row, Words("en")) == str(because)
    assert reason_of(row, Words("fr")) == (
        "4 voisines sur 5 sont {rugs}, qui a 0,50, sa propre étiquette 0,25, selon les votes des "
        "voisines, celles des classifieurs de r"
    )
    deep = '{"sources": ' * 4 + "[]" + "}" * 4
    for damaged in ("", "[]", "{}", '{"votes": {"key": "nosuch"}}', deep, values[:-9]):
        assert reason_of({**row, "reason_values": damaged}, Words("fr")) == str(because)


# clusters, words, columns


def test_central_and_doubtful_pictures_are_by_cosine_to_the_means() -> None:
    codes = np.repeat([0, 1, 2], 20)
    vectors = planted_vectors(codes, 1.0, 5)
    cards = cluster_cards(vectors, codes, None, {}, None)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    means = np.stack([unit[codes == c].mean(axis=0) for c in range(3)])
    cosine = unit @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    for card in cards:
        rows = np.flatnonzero(codes == card.number)
        own = cosine[rows, card.number]
        assert card.central[0] == rows[own.argmax()]
        rest = np.delete(cosine[rows], card.number, axis=1).max(axis=1)
        assert card.doubtful[0] == rows[(own - rest).argmin()]
        assert not {*card.central} & {*card.doubtful}


def test_pairs_of_classes_name_first_which_has_more_in_the_others_cluster() -> None:
    level = Level("kind", ("a", "b", "c"), np.array([0, 0, 0, 1, 1, 2, 2], np.int32))
    clusters = np.array([1, 0, 0, 0, 1, 1, 1])  # an a in b's, a b in a's, both c in b's
    clustered = SimpleNamespace(assignments=clusters, matched={0: "a", 1: "b"})
    found = confused_pairs(level, cast(Backbone, SimpleNamespace(clustered=clustered)))
    assert [(pair.a, pair.b, pair.rows, pair.n_of_a) for pair in found] == [
        ("a", "b", (0, 3), 1),
        ("c", "b", (5, 6), 2),
    ]


def test_words_set_names_apart_and_what_all_share_does_not() -> None:
    names = [f"shop {w} number {i}" for w in ("teapot", "watch", "tasse à café") for i in range(9)]
    names[9] += " once once once once"
    found = distinguishing_words(names, np.repeat([4, 7, 9], 9), [4, 7, 9])
    assert found[4][0] == "teapot"
    assert found[7][0] == "watch"
    assert "once" not in found[7], "in one name only"
    assert {"tasse", "café"} <= {*found[9][:2]}
    assert distinguishing_words(["1", "2"], np.array([0, 1]), [0, 1]) == {}


def test_columns_of_numbers_and_few_values_color_and_names_do_not() -> None:
    n = 60
    columns = {
        "price": tuple(f"{i / 7:.3f}" for i in range(n)),
        "brand": tuple(f"brand {i % 3}" if i else "" for i in range(n)),
        "name": tuple(f"product {i}" for i in range(n)),
    }
    vectors = EmbeddingSet.from_arrays(np.eye(n, 8))
    vectors = replace(vectors, columns=columns)
    found = {c.title: c for c in columns_of((), (), None, vectors, Words("en"))}
    assert {*found} == {"price", "brand"}
    assert np.bincount(found["price"].codes).tolist() == [10] * 6
    assert (np.diff(found["price"].codes) >= 0).all()
    assert found["brand"].codes[0] == -1
    assert found["brand"].categories == ("brand 0", "brand 1", "brand 2")


# the page


def test_the_page_lets_its_own_script_run_and_nothing_else(found: Report) -> None:
    page = found.html()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    policy = policy.replace("&#39;", "'")
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", page)


def test_hostile_names_are_only_text(hostile_report: Path) -> None:
    (path,) = hostile_report.glob("results/*-report/report.html")
    page = path.read_text()
    own = len(re.findall(r"<script", page))
    assert own == 2, "the data and the script"
    assert "<img src=x" not in page
    assert "<svg onload" not in page
    data = island(page)
    ids = data["ids"]
    assert isinstance(ids, list)
    assert {each[1:-4] for each in ids} == {*HOSTILE}


def test_every_text_has_the_same_values_in_both_languages() -> None:
    for key, texts in MESSAGES.items():
        english, french = ({name for _, name, _, _ in Formatter().parse(t) if name} for t in texts)
        assert english == french, key


def test_in_french_numbers_and_words_are_french(reported: Path) -> None:
    found = gather_report(reported, files_of(reported), ReportRequest(language="fr"))
    page = found.html()
    assert '<html lang="fr">' in page
    assert re.search(r"ajusté \(ARI\) de \d,\d{3}", found.answer[0])
    assert Words("fr").count(12_345) == "12\u202f345"
    assert [Words("en")("n_images", n=n) for n in ("1", "2")] == ["1 picture", "2 pictures"]
    assert Words("fr")("chosen", n=1) == "1 image choisie"


def test_many_pictures_lie_on_sheets_next_to_the_page(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "MOST_INSIDE", 10)
    found = gather_report(reported, files_of(reported)[:1])
    page, sheet = found.save(tmp_path / "made" / "report.html")
    assert sheet.parent.name == "report-pictures"
    with Image.open(sheet) as picture:
        assert picture.size == (32 * 64, 64)
    data = island(page.read_text())
    assert data["thumbs"] is None
    assert data["sheets"] == {"files": ["report-pictures/0000.webp"], "across": 32, "each": 1024}
    with pytest.raises(UsageError, match="is there already"):
        found.save(page)
    with pytest.raises(UsageError, match=r"ends in \.html"):
        found.save(tmp_path / "report")


def test_a_notebook_shows_it_in_a_frame_and_the_maps_alone(found: Report) -> None:
    whole, maps = found._repr_html_(), found.maps._repr_html_()
    assert whole.startswith("<iframe srcdoc=")
    assert "allow-same-origin" not in whole
    assert "id=&quot;maps&quot;" in maps
    assert "id=&quot;provenance&quot;" not in maps


def test_python_gives_the_report_of_a_catalogue_by_its_name(reported: Path, found: Report) -> None:
    given = report("shop", root=reported).to_json()
    expected = found.to_json()
    assert {**given["provenance"], "written": ""} == {**expected["provenance"], "written": ""}
    assert {**given, "provenance": {}} == {**expected, "provenance": {}}
    french = report(embeddings=files_of(reported)[1], language="fr", root=reported)
    assert [each.name for each in french.backbones] == ["backbone1"]
    assert "graine" in french.answer[0]
    with pytest.raises(UsageError, match="choose en or fr"):
        report("shop", language="de", root=reported)  # type: ignore[arg-type]


def test_the_map_of_vectors_of_ones_own_has_their_places_and_colors(
    reported: Path, tmp_path: Path
) -> None:
    kinds = [kind for kind in DRAWN for _ in range(EACH)]
    ids = [f"{kind}-{i % EACH}.jpg" for i, kind in enumerate(kinds)]
    rng = np.random.default_rng(0)
    points = rng.normal(size=(len(ids), 2)) + 4 * np.eye(4, 2)[np.repeat(range(4), EACH)]
    vectors = EmbeddingSet.from_arrays(points, ids, {"kind": kinds, "first": [k[0] for k in kinds]})
    drawn = interactive_map(vectors, images=reported / "pictures", names=range(len(ids)))
    assert drawn.thumbnails.n_shown == len(ids)
    (page,) = drawn.save(tmp_path / "map.html")
    data: Any = island(page.read_text())
    assert [each["title"] for each in data["columns"]] == ["kind", "first"]
    assert data["names"][3] == "3"
    (one,) = data["maps"]
    places = np.frombuffer(base64.b64decode(one["points"]), "<u2").reshape(-1, 2).astype(float)
    for axis, sign in ((0, 1), (1, -1)):
        assert np.corrcoef(places[:, axis], points[:, axis])[0, 1] == pytest.approx(sign, abs=1e-6)
    assert "id=&quot;maps&quot;" in drawn._repr_html_()
    assert "id=&quot;answer&quot;" not in drawn._repr_html_()

    clustered = cluster(vectors, 4)
    by_cluster = interactive_map(vectors, clustered, language="fr").columns[0]
    assert by_cluster.categories == tuple(f"cluster {i}" for i in range(4))
    assert by_cluster.codes.tolist() == clustered.assignments.tolist()
    assert by_cluster.styles == (0, 1, 2, 3)
    for wrong, message in (
        ({"by": cluster(vectors[:9], 2)}, "of other rows"),
        ({"names": ["one"]}, "names: 1 for 24 rows"),
    ):
        with pytest.raises(UsageError, match=message):
            interactive_map(vectors, **wrong)
    with pytest.raises(UsageError, match="do not span a plane"):
        interactive_map(np.ones((5, 3)))


# awkward catalogues


def test_few_rows_without_labels_and_pictures_claim_nothing(tmp_path: Path) -> None:
    ids = [f"{i}" for i in range(20)]
    vectors = planted_vectors(np.arange(20) % 3, 1.0, 0)
    plant(tmp_path, "given", ids, vectors)
    bare = gather_report(tmp_path, files_of(tmp_path))
    assert bare.thumbnails.n_shown == 0
    ran(tmp_path, "analyze", "--clusters", "3")
    found = gather_report(tmp_path, files_of(tmp_path))
    assert "no labels to compare them with" in found.answer[0]
    assert "not known" in found.answer[1]
    assert "20 pictures" in found.answer[2]
    commands = " ".join(each.command for each in found.missing)
    assert "compare" not in commands, "it would be refused without labels"
    assert "--images DIR" in commands
    page = found.html()
    assert 'id="confusion"' not in page
    assert 'id="pairs"' not in page
    assert 'id="clusters"' in page


def test_equal_rows_have_no_map_and_the_page_says_so(tmp_path: Path) -> None:
    plant(tmp_path, "same", ["a", "b", "c", "d"], np.ones((4, 8)))
    plant(tmp_path, "two", ["a", "b", "c", "d"], np.eye(2, 8)[[0, 1, 0, 1]])
    found = gather_report(tmp_path, files_of(tmp_path))
    page = found.html()
    assert page.count("<figure") == 1, "two directions span a plane, none do not"
    assert "same: no map: the rows do not span a plane" in page
    plant(tmp_path, "one", ["a"], np.ones((1, 8)))
    alone = gather_report(tmp_path, [p for p in files_of(tmp_path) if "one" in p.name]).html()
    assert "1 picture<" in alone
    assert "<figure" not in alone


def test_random_weights_are_named_first(found: Report) -> None:
    best = found.backbones[0]
    made = best.embeddings.provenance
    random = replace(made, identity={**made.identity, "weights": {"source": "random"}})
    backbone = replace(best, embeddings=replace(best.embeddings, provenance=random))
    level = Level.from_values("kind", ["a"] * len(found.ids))
    pair = Pair("a", "b", (0, 1), 1)
    said = answer([backbone], level, [pair], [], Words("en"))
    assert said[0].startswith("The weights of backbone0 are random")
    assert "confused" not in said[2], "that would pretend to know"


@pytest.mark.parametrize(
    ("kind", "record", "table"),
    [
        ("audit", {}, b"id,finding\n\xff\xfe,x\n"),
        ("audit", {}, b"id,finding\n" + b"a" * 1_100_000 + b",x\n"),
        ("audit", {"seeds": 5}, b"id,finding\na,x\n"),
        ("robustness", {"families": [{"metric": "recall_at_1", "loss": 10**400}, 3]}, None),
        ("rank", {"rows": [{"metric": "m", "value": 10**400, "identity": "i"}]}, None),
        ("compare", {"cells": ["x", {"metric": "ari", "mean": 0.5}]}, None),
    ],
)
def test_a_damaged_run_folder_does_not_stop_a_report(
    own: Path, kind: str, record: dict[str, Any], table: bytes | None
) -> None:
    first = gather_report(own, files_of(own)[:1])
    folder = own / "results" / f"20260102T000000Z-{kind}"
    folder.mkdir()
    inputs = {"embeddings_sha256": first.backbones[0].fingerprint}
    made = {"command": "x", "written": "2026-01-02T00:00:00+00:00", "inputs": inputs}
    (folder / "run.json").write_text(json.dumps({**made, **record}))
    if table is not None:
        (folder / f"{kind}.csv").write_bytes(table)
    found = gather_report(own, files_of(own)[:1])
    assert found.html()
    damaged = table is not None and not record
    assert damaged == any(f"{folder.name} is damaged" in note for note in found.notes)
    assert answer_of(find_run(Workspace(own), str(folder)))
