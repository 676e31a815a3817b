"""A backbone that was exported embeds, is searched by pictures and served where torch is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from served import serving
from small_catalogs import PROJECT, draw_noise, need_openvino, offline_environment, run_in

from extract.storage.embeddings_file import read_embeddings

pytestmark = pytest.mark.slow

MODEL = ("--model", "timm:test_resnet", "--weights", "random", "--seed", "3")
HIDDEN = ("torch", "torchvision", "timm", "transformers")
HIDE = f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""
"""Read by every Python that begins, those of the service's processes too."""


@pytest.fixture
def hidden(workspace: Path, tmp_path: Path) -> dict[str, str]:
    """The environment in which none of these can be imported."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDE)
    return {**offline_environment(workspace), "PYTHONPATH": f"{folder}:{PROJECT}"}


def test_a_run_without_torch(workspace: Path, hidden: dict[str, str], tmp_path: Path) -> None:
    need_openvino()

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *words, "--json", "--quiet"]
        return subprocess.run(command, cwd=workspace, env=hidden, capture_output=True, text=True)

    for i in range(6):
        draw_noise(workspace / "shop" / f"{i}.jpg", i)
    shutil.copy(workspace / "shop/5.jpg", workspace / "new.png")
    draw_noise(workspace / "new.png", 5, (44, 30))
    refused = typed("extract", "--images", "shop", *MODEL)
    assert refused.returncode == 1
    assert "torch is not installed" in refused.stderr
    assert "models --export" in refused.stderr
    # by the reference path, and exported
    made = run_in(workspace, "extract", "--images", "shop", *MODEL, "--runtime", "eager", "--json")
    reference = read_embeddings(workspace / json.loads(made.stdout)["file"])
    (workspace / json.loads(made.stdout)["file"]).unlink()
    file = tmp_path / "small.exported.zip"
    exported = run_in(workspace, "extract", "models", "--export", str(file), *MODEL, "--json")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["worst_cosine"] > 0.9999
    shutil.rmtree(workspace / "cache/backbones")
    (workspace / "cache/backbones").mkdir()
    shutil.copy(file, workspace / "cache/backbones/anything.exported.zip")
    # the same vectors, under the same identity
    done = typed("extract", "--images", "shop", *MODEL)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["realisation"]["runtime"] == "openvino"
    assert said["realisation"]["decoder"] == "light"
    assert said["fidelity"]["worst_cosine"] > 0.9999
    found = read_embeddings(workspace / said["file"])
    assert found.provenance.identity == reference.provenance.identity
    np.testing.assert_allclose(found.vectors, reference.vectors, rtol=1e-3, atol=1e-4)
    similar = typed("analyze", "similar", "--query", "new.png", "--top", "2")
    assert similar.returncode == 0, similar.stderr
    assert json.loads(similar.stdout)["queries"][0]["hits"][0]["id"] == "5.jpg"
    with serving(workspace, warm=None, env=hidden) as service:
        service.wait_for_uploads()
        with service.client() as client:
            sent = {"image": ("new.png", (workspace / "new.png").read_bytes())}
            answer = client.post("/api/similar", files=sent)
        assert answer.status_code == 200, answer.text
        assert answer.json()["queries"][0]["hits"][0]["id"] == "5.jpg"
