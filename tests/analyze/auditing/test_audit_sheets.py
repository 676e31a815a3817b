"""The sheet of a finding: what is suggested can be read below its picture."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from analyze.auditing.checks import CHECKS
from analyze.auditing.findings import Evidence, Finding, Scored
from analyze.auditing.sheets import Listed, draw_findings
from analyze.pictures.picture_folder import PictureFolder


def test_a_suggested_label_is_read_where_both_are_long_paths() -> None:
    label = "Home Furnishing >> Curtains & Accessories >> Blankets & Quilts"
    other = "Baby Care >> Infant Wear Girls & Boys >> Bath Linen"
    found = Finding("a.jpg", "label_error", 0.9, (), "relabel", "a reason", label, other, "key")
    why = Evidence((), "a reason")
    scored = Scored.sorted([0], [0.9], 0.5, "a threshold", lambda _: why)
    shown = SimpleNamespace(embeddings=SimpleNamespace(ids=("a.jpg",)), show=lambda _: None)
    check = next(each for each in CHECKS if each.name == "label_error")
    figure = draw_findings(Listed(check, scored, [found]), None, cast(PictureFolder, shown))
    lines = figure.axes[0].texts[-1].get_text().splitlines()
    assert lines[2].endswith("Blankets & Quilts")
    assert lines[3].startswith("→ Baby Care")
    assert lines[4].endswith("Bath Linen")
