"""The transformer from paths to vectors, held against scikit-learn's checks and the file."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data
from small_catalogs import draw_noise, tiny_backbone

from extract import extract_embeddings, list_folder, read_embeddings
from extract.errors import PictureRefused, UsageError, WeightsError
from extract.sklearn import EmbeddingExtractor, extractor


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are seeds of a tiny backbone."""

    def load(model: str, **_: object) -> Any:
        return tiny_backbone(len(model), name=model)

    monkeypatch.setattr(extractor, "load_backbone", load)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for i in range(12):
        draw_noise(tmp_path / "shop" / "ab"[i % 2] / f"{i:02}.png", i)
    return tmp_path / "shop"


class OfNumbers(EmbeddingExtractor):
    """Draws a picture of each row of numbers that scikit-learn's checks give, and embeds that."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        return super().fit(self._drawn(validate_data(self, X)))

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return super().transform(self._drawn(validate_data(self, X, reset=False)))

    def _drawn(self, rows: np.ndarray) -> list[str]:
        paths = []
        for row in rows:
            seed = int(hashlib.sha256(np.asarray(row, float).tobytes()).hexdigest()[:8], 16)
            path = Path(str(self.folder)) / f"{seed}.png"
            if not path.exists():
                draw_noise(path, seed)
            paths.append(path.name)
        return paths

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


def test_checks_of_scikit_learn_pass_as_far_as_they_go() -> None:
    """Those that need no numbers: scikit-learn leaves out the others for one column of text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = check_estimator(EmbeddingExtractor(), on_skip=None)
    assert {each["status"] for each in done} == {"passed"}


@pytest.mark.slow
def test_checks_that_give_numbers_pass_on_pictures_of_them(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checked = OfNumbers(folder=str(tmp_path))
        done = check_estimator(checked, on_fail=None, on_skip=None)
    failed = {
        each["check_name"]: str(each["exception"]) for each in done if each["status"] == "failed"
    }
    assert not failed
    assert sum(each["status"] == "passed" for each in done) > 35


def test_vectors_are_those_of_the_file_in_the_order_given(shop: Path, tmp_path: Path) -> None:
    catalog = list_folder(shop)
    extract_embeddings(catalog, tiny_backbone(4, name="tiny"), tmp_path / "x.h5")
    stored = read_embeddings(tmp_path / "x.h5")
    order = [*reversed(stored.ids), stored.ids[3]]
    found = EmbeddingExtractor("tiny", folder=shop).fit_transform(order)
    np.testing.assert_array_equal(found[:-1], stored.vectors[::-1])
    np.testing.assert_array_equal(found[-1], stored.vectors[3])
    whole = EmbeddingExtractor("tiny").fit_transform([shop / each for each in stored.ids])
    np.testing.assert_array_equal(whole, stored.vectors)


def test_frames_come_out_with_names_and_the_index(shop: Path) -> None:
    frame = pd.DataFrame(
        {"picture": ["a/00.png", "b/01.png"], "price": [1.0, 2.0]}, index=["x", "y"]
    )
    own = EmbeddingExtractor("tiny", folder=shop).set_output(transform="pandas")
    found = own.fit_transform(frame[["picture"]])
    assert list(found.columns) == [f"d{i}" for i in range(8)] == list(own.get_feature_names_out())
    assert list(found.index) == ["x", "y"]
    both = make_column_transformer(
        (EmbeddingExtractor("tiny", folder=shop), "picture"), ("passthrough", ["price"])
    )
    table = both.fit_transform(frame)
    np.testing.assert_array_equal(table[:, :8], found.to_numpy())
    assert table[:, 8].tolist() == [1, 2]


def test_models_are_searched_in_a_pipeline(shop: Path) -> None:
    paths = list_folder(shop).ids
    labels = [path[0] for path in paths]
    pipeline = Pipeline(
        [("vectors", EmbeddingExtractor("tiny", folder=shop)), ("head", LogisticRegression())]
    )
    search = GridSearchCV(pipeline, {"vectors__model": ["tiny", "tiny-2"]}, cv=2)
    search.fit(list(paths), labels)
    assert len(set(search.cv_results_["param_vectors__model"])) == 2
    assert search.best_estimator_.predict(list(paths)).shape == (12,)


def test_a_copy_by_pickle_is_without_the_backbone_and_does_the_same(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = EmbeddingExtractor("tiny", folder=shop).fit(["a/00.png"])
    spelled = pickle.dumps(make_pipeline(own))
    assert len(spelled) < 10_000
    copy = pickle.loads(spelled)
    np.testing.assert_array_equal(copy.transform(["a/00.png"]), own.transform(["a/00.png"]))
    assert not hasattr(clone(own), "n_dims_")
    copy = pickle.loads(spelled)
    monkeypatch.setattr(extractor, "load_backbone", partial(lambda *_, **__: tiny_backbone(9)))
    with pytest.raises(WeightsError, match="fit again"):
        copy.transform(["a/00.png"])


def test_a_refused_picture_is_named_or_a_row_of_nan(shop: Path) -> None:
    (shop / "broken.png").write_bytes(b"no picture")
    paths = ["a/00.png", "broken.png", "gone.png"]
    with pytest.raises(PictureRefused, match=r"broken.png is refused: .*; leave it out"):
        EmbeddingExtractor("tiny", folder=shop).fit_transform(paths)
    found = EmbeddingExtractor("tiny", folder=shop, refused="nan").fit_transform(paths)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True]
    nothing = EmbeddingExtractor("tiny", folder=shop, refused="nan").fit_transform(paths[1:])
    assert np.isnan(nothing).all()


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        ("a/00.png", "one path: give a list"),
        ([], r"shape \(0,\)"),
        ([["a", "b"]], r"shape \(1, 2\)"),
        ([1.5], "row 0 is float, not a path"),
        (["a/00.png", None], "row 1 is NoneType, not a path"),
    ],
)
def test_what_is_no_path_is_refused_in_one_line(paths: Any, why: str, shop: Path) -> None:
    with pytest.raises(UsageError, match=why):
        EmbeddingExtractor("tiny", folder=shop).fit(paths)


def test_a_wrong_word_is_refused() -> None:
    with pytest.raises(UsageError, match="give 'raise' or 'nan'"):
        EmbeddingExtractor("tiny", refused="skip").fit(["x.png"])  # type: ignore[arg-type]
