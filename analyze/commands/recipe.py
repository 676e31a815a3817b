"""A recipe that a command is given, and the options that cannot be given with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from extract import command_line as cl

if TYPE_CHECKING:
    from extract.recipe import Recipe


def read_fixed(context: typer.Context, recipe: str | None, fixed: Sequence[str]) -> Recipe | None:
    """Return the recipe that is named; None where none is.

    Parameters
    ----------
    context : typer.Context
    recipe : str or None
        As typed.
    fixed : sequence of str
        Parameters of the command that every recipe fixes; others are fixed where it names them.

    Raises
    ------
    UsageError
        When a parameter that it fixes was typed too.
    """
    from extract.recipe import read_recipe

    if recipe is None:
        return None
    read = read_recipe(recipe)
    named = [name for name in ("clusters", "level") if getattr(read.analyze, name) is not None]
    named += [name for name in ("resize", "pooling") if getattr(read.extract, name) is not None]
    cl.refuse_fixed_by_recipe(context, recipe, [*fixed, *named])
    return read
