"""Recipes: every value is of its kind, what is unknown is refused, and what comes along is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from analyze.clustering.clustering import CLUSTERINGS
from analyze.reduction.reduction import parse_steps
from extract.backbones.registry import find_model
from extract.errors import UsageError
from extract.recipe import read_recipe, recipe_names

MINE = """
about = "Mine"

[extract]
model = "convnext_base"
resize = "pad"

[analyze]
reduce = "l2,pca:50"
clusters = 9
seeds = [3, 1]
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", recipe_names())
def test_what_comes_along_names_what_there_is(name: str) -> None:
    recipe = read_recipe(name)
    find_model(recipe.extract.model)
    parse_steps(recipe.analyze.reduce)
    assert recipe.analyze.cluster in CLUSTERINGS
    assert recipe.about
    assert len(set(recipe.analyze.seeds)) == len(recipe.analyze.seeds)


def test_the_notebooks_recipe_is_theirs() -> None:
    recipe = read_recipe("openclassrooms")
    assert (recipe.extract.model, recipe.extract.resize) == ("vgg16", "squash")
    assert recipe.analyze.reduce == "pca:0.99,tsne:30:random"
    assert recipe.analyze.clusters == 7
    assert recipe.published.components == 803
    assert 0.44 < min(recipe.published.ari) <= max(recipe.published.ari) < 0.46


def test_a_recipe_of_ones_own_is_read(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, MINE))
    assert (recipe.name, recipe.about) == ("mine", "Mine")
    assert (recipe.extract.resize, recipe.extract.weights) == ("pad", None)
    assert (recipe.analyze.seeds, recipe.analyze.cluster) == ((3, 1), "kmeans")
    assert recipe.published.ari == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('resize = "pad"', 'resice = "pad"', "[extract] knows no 'resice': there are model, "),
        ("[analyze]", "[analize]", "knows no 'analize'"),
        ("clusters = 9", 'clusters = "9"', "analyze.clusters must be one int, got '9'"),
        ("clusters = 9", "clusters = true", "analyze.clusters must be one int, got True"),
        ("seeds = [3, 1]", "seeds = 3", "analyze.seeds must be a list of int, got 3"),
        ("seeds = [3, 1]", "seeds = []", "analyze.seeds must be a list of int"),
        ('model = "convnext_base"', "", "[extract] needs a model"),
        ("[extract]", "[extract", "cannot read the recipe"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in MINE
    with pytest.raises(UsageError) as refused:
        read_recipe(written(tmp_path, MINE.replace(old, new)))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["nosuch", "nosuch.toml", "../openclassrooms"])
def test_what_is_not_there_is_said(name: str) -> None:
    with pytest.raises(UsageError, match="recipe"):
        read_recipe(name)
