"""Groups of options: a command takes frozen dataclasses, and its command line stays flat."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Any, get_type_hints


def spread(
    command: Callable[..., None],
    before: Mapping[str, Sequence[str]],
    begin: Callable[[Mapping[str, Any]], None],
) -> Callable[..., None]:
    """Return a command that takes as options the fields of the groups that ``command`` takes.

    Parameters
    ----------
    command : callable
        A parameter that is annotated with a dataclass is a group. Its fields are options, or
        groups again; those that it inherits stand after its own.
    before : mapping of str to sequence of str
        Options, and whole groups by their parameters' names, that the help shows before an option
        and not in their own place.
    begin : callable
        Called with the options' values before groups are made of them, which may be refused.

    Raises
    ------
    ValueError
        When two groups have a field of the same name, or ``before`` names an option not there.
    """
    signature = inspect.signature(command, eval_str=True)
    taken = list(signature.parameters.values())
    options = [option for each in taken for option in _options(each)]
    names = [option.name for option in options]
    of_group = {each.name: [option.name for option in _options(each)] for each in taken}
    for name, groups in before.items():
        moved = [option for each in groups for option in of_group.get(each, [each])]
        names = [other for other in names if other not in moved]
        place = names.index(name)
        names[place:place] = moved
    options.sort(key=lambda option: names.index(option.name))

    @wraps(command)
    def flat(**typed: Any) -> None:
        begin(typed)
        command(**{each.name: _value(each, typed) for each in taken})

    flat.__annotations__ = {option.name: option.annotation for option in options}
    vars(flat)["__signature__"] = signature.replace(parameters=options)
    return flat


def _options(parameter: Parameter) -> list[Parameter]:
    """List the options that stand for a parameter: itself, or the fields of its group."""
    if not is_dataclass(parameter.annotation):
        return [parameter.replace(kind=Parameter.KEYWORD_ONLY)]
    return [option for part in _parts(parameter.annotation) for option in _options(part)]


def _value(parameter: Parameter, typed: Mapping[str, Any]) -> Any:
    """Return what was typed for a parameter: an option's value, or a group of them."""
    group = parameter.annotation
    if not is_dataclass(group):
        return typed[parameter.name]
    return group(**{part.name: _value(part, typed) for part in _parts(group)})  # type: ignore[operator]


def _parts(group: Any) -> list[Parameter]:
    """List the fields of a group as parameters, its own before those that it inherits."""
    hints, own = get_type_hints(group, include_extras=True), inspect.get_annotations(group)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in sorted(fields(group), key=lambda field: field.name not in own)
        if field.init
    ]
