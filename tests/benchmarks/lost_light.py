"""Weights of the signs of overexposure, fitted on photographs and judged by halves."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from analyze.auditing.checks_of_pictures import OVEREXPOSED
from analyze.pictures.picture_quality import LONGEST, SIGNS, signs_of_lost_light

Picture = Image.Image
Curve = Callable[[float], float]
N_SHARES = 8
"""Of the signs: these have roots too."""

STRENGTH = 1 / 0.3
KINDS = {
    "as it is": 3.0,
    "saved again": 3.0,
    "white ground": 1.2,
    "darker": 0.5,
    "blurred": 0.5,
    "hardly lighter": 0.2,
    "times 1.8 to 3": 1.0,
    "times 3 to 6": 1.0,
    "lifted by 80 to 130": 1.0,
    "lifted by 130 to 190": 1.0,
    "1.3 to 2.2 stops": 1.0,
    "2.2 to 3.5 stops": 1.0,
    "times and lifted": 1.0,
}
"""With the weight of a picture of each; the first six are not overexposed."""

N_SOUND = 6


def _in_light(stops: float) -> Curve:
    def curve(v: float) -> float:
        light = v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        light = min(1.0, light * 2**stops)
        return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055

    return curve


def _times(by: float, up: float = 0.0) -> Curve:
    return lambda v: by * v + up / 255


def _curve(kind: str, rng: random.Random) -> Curve:
    between = rng.uniform
    chosen: dict[str, Curve] = {
        "white ground": lambda v: 1.0 if v >= 240 / 255 else v,
        "darker": _times(between(0.1, 0.6)),
        "hardly lighter": _times(between(1.03, 1.15)),
        "times 1.8 to 3": _times(between(1.8, 3)),
        "times 3 to 6": _times(between(3, 6)),
        "lifted by 80 to 130": _times(1, between(80, 130)),
        "lifted by 130 to 190": _times(1, between(130, 190)),
        "1.3 to 2.2 stops": _in_light(between(1.3, 2.2)),
        "2.2 to 3.5 stops": _in_light(between(2.2, 3.5)),
        "times and lifted": _times(between(1.3, 2.2), between(40, 120)),
    }
    return chosen.get(kind, _times(1))


def _signs(picture: Picture, kind: str, rng: random.Random) -> np.ndarray:
    curve = _curve(kind, rng)
    levels = [round(255 * min(1.0, max(0.0, curve(v / 255)))) for v in range(256)]
    changed: Picture = picture.point(levels * 3)
    if kind == "blurred":
        by = rng.uniform(0.004, 0.02) * max(picture.size)
        changed = picture.filter(ImageFilter.GaussianBlur(by))
    if kind not in ("as it is", "white ground") and rng.random() >= 0.2:
        changed.save(file := io.BytesIO(), "JPEG", quality=rng.randint(60, 95))
        changed = Image.open(file)
    scale = max(1.0, max(changed.size) / LONGEST)
    width, height = (max(1, round(side / scale)) for side in changed.size)
    return signs_of_lost_light(np.asarray(changed.resize((width, height), Image.Resampling.BOX)))


def _fit(signs: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit on signs of shape (n_kinds, n_pictures, n_signs); prints the weights."""
    from sklearn.linear_model import LogisticRegression

    rows = _with_roots(signs).reshape(-1, len(SIGNS) + N_SHARES)
    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    kind = np.repeat(np.arange(len(KINDS)), signs.shape[1])
    fitted = LogisticRegression(C=STRENGTH, max_iter=2000).fit(
        (rows - middle) / spread, kind >= N_SOUND, np.array(list(KINDS.values()))[kind]
    )
    weights = fitted.coef_[0] / spread
    offset = float(fitted.intercept_[0] - weights @ middle)
    n = len(SIGNS)
    print("weights", np.round(weights[:n], 1).tolist())
    print("of roots", np.round(weights[n:], 1).tolist(), "offset", round(offset, 1))
    return lambda some: 1 / (1 + np.exp(-(_with_roots(some) @ weights + offset)))


def _with_roots(signs: np.ndarray) -> np.ndarray:
    return np.concatenate([signs, np.sqrt(signs[..., :N_SHARES])], axis=-1)


def measure_light(paths: Sequence[Path], opened: Callable[[Path], Picture]) -> None:
    """Print weights fitted on every second photograph, what they find in the others, and on all."""
    signs = np.array(
        [
            [
                _signs(opened(path), kind, random.Random(f"{kind} {i}"))
                for i, path in enumerate(paths)
            ]
            for kind in KINDS
        ]
    )
    half = np.arange(len(paths)) % 2 == 0
    for trained in (half, ~half):
        found = _fit(signs[:, trained])(signs[:, ~trained]) >= OVEREXPOSED
        for kind, each in zip(KINDS, found, strict=True):
            print(f"  {kind}: {each.sum()} of {len(each)}, {each.mean():.3f}")
    _fit(signs)
