"""Groups of options: a command takes frozen dataclasses, and its command line stays flat."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, get_origin, get_type_hints


@dataclass(frozen=True)
class Typed:
    """How an option is typed that Python knows as another type; it stands in a field's Annotated.

    Parameters
    ----------
    kind : type
        Of what is typed.
    default : object
        What a user types for the field's own default.
    read : callable
        Takes what was typed, and returns the field's value.
    """

    kind: Any
    default: Any
    read: Callable[[Any], Any]


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
        groups again; those that it inherits stand after its own. A field that is neither, without
        an Annotated, is for Python alone.
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
    if is_dataclass(group):
        return group(**{part.name: _value(part, typed) for part in _parts(group)})  # type: ignore[operator]
    value, way = typed[parameter.name], _way_typed(group)
    return way.read(value) if way else value


def _parts(group: Any) -> list[Parameter]:
    """List the fields of a group as parameters, its own before those that it inherits."""
    hints = get_type_hints(group, include_extras=True)
    own = [inspect.get_annotations(each) for each in group.__mro__]
    return [
        _parameter(field.name, hints[field.name], field.default)
        for field in sorted(
            fields(group), key=lambda field: [field.name not in each for each in own]
        )
        if is_dataclass(hints[field.name]) or get_origin(hints[field.name]) is Annotated
    ]


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    if way := _way_typed(hint):
        hint, default = Annotated[way.kind, *hint.__metadata__], way.default
    default = Parameter.empty if default is MISSING else default
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _way_typed(hint: Any) -> Typed | None:
    return next(
        (each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Typed)), None
    )
