"""Recipes: small files that fix a whole analysis, from the resize to the seeds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from extract.errors import UsageError, in_one_line, one_of

PACKAGED = Path(__file__).parent / "recipes"
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class ExtractSettings:
    """What a recipe fixes of the vectors; what it leaves out is the user's.

    Parameters
    ----------
    model : str
    weights, pooling, resize : str, optional
    """

    model: str
    weights: str | None = None
    pooling: str | None = None
    resize: str | None = None


@dataclass(frozen=True)
class AnalyzeSettings:
    """What a recipe fixes of the answer.

    Parameters
    ----------
    reduce, cluster : str
    clusters : int, optional
        As many as classes without.
    level : str, optional
    seeds : tuple of int
        One analysis takes the first, a comparison all.
    """

    reduce: str = "none"
    cluster: str = "kmeans"
    clusters: int | None = None
    level: str | None = None
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class PublishedResults:
    """What others found by it, to be shown next to what is found here.

    Parameters
    ----------
    ari : tuple of float
    components : int, optional
        Of the PCA.
    note : str
        What differs.
    """

    ari: tuple[float, ...] = ()
    components: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Recipe:
    """A named recipe.

    Parameters
    ----------
    name : str
    typed : str
        The name or path as typed.
    about : str
    extract : ExtractSettings
    analyze : AnalyzeSettings
    published : PublishedResults
    """

    name: str
    typed: str
    about: str
    extract: ExtractSettings
    analyze: AnalyzeSettings
    published: PublishedResults


def recipe_names() -> list[str]:
    """List the recipes that come along."""
    return sorted(path.stem for path in PACKAGED.glob("*.toml"))


def read_recipe(name: str) -> Recipe:
    """Read a recipe by its name, or from a file that ends in ``.toml``.

    Raises
    ------
    UsageError
        Naming the file and the key that is wrong.
    """
    path = Path(name) if name.endswith(".toml") else PACKAGED / f"{name}.toml"
    if not name.endswith(".toml"):
        one_of(name, recipe_names(), "recipe", "choose", ", or give a file that ends in .toml")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
        given = tomllib.loads(content.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the recipe {name}: {in_one_line(error)}") from error
    parts = {"extract": ExtractSettings, "analyze": AnalyzeSettings, "published": PublishedResults}
    _refuse_unknown(name, given, {"about", *parts})
    built = {part: _built(name, part, kind, given.get(part, {})) for part, kind in parts.items()}
    return Recipe(path.stem, name, str(given.get("about", "")), **built)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
}


def _built(name: str, part: str, kind: type[Any], given: Any) -> Any:
    """Build one part, each value of the kind that its field has."""
    if not isinstance(given, dict):
        raise UsageError(f"recipe {name}: [{part}] must be a table of keys")
    known = {field.name: str(field.type) for field in fields(kind)}
    _refuse_unknown(name, given, set(known), part)
    values = {key: _value(name, f"{part}.{key}", value, known[key]) for key, value in given.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"recipe {name}: [{part}] needs a model") from error


def _value(name: str, key: str, value: Any, kind: str) -> Any:
    listed = kind.startswith("tuple[")
    wanted = _KINDS[kind.removeprefix("tuple[").removesuffix(", ...]").split(" ")[0]]
    values = value if listed and isinstance(value, list) else [value]
    right = all(isinstance(v, wanted) and not isinstance(v, bool) for v in values)
    if not right or listed != isinstance(value, list) or (listed and not value):
        words = f"a list of {wanted[-1].__name__}" if listed else f"one {wanted[-1].__name__}"
        raise UsageError(f"recipe {name}: {key} must be {words}, got {value!r}")
    return tuple(values) if listed else value


def _refuse_unknown(name: str, given: Mapping[str, Any], known: set[str], part: str = "") -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        where = f"[{part}] " if part else ""
        raise UsageError(
            f"recipe {name}: {where}knows no {unknown[0]!r}: there are {', '.join(sorted(known))}"
        )
