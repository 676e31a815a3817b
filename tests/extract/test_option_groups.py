"""Groups of options: what a user types and reads is what flat parameters would give."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal

import pytest
import typer
from typed_commands import signals_as_they_were

from extract import command_line as cl
from extract.errors import UsageError
from extract.option_groups import Typed, spread


@dataclass(frozen=True)
class Inner:
    """A group within a group."""

    rate: Annotated[float, typer.Option(metavar="RATE", help="Of steps.")] = 0.5

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise UsageError(f"--rate must be above 0, not {self.rate:g}")


@dataclass(frozen=True)
class Outer:
    """Some options, one of them without a default, and one by another name."""

    name: Annotated[str, typer.Option(help="Of it.")]
    n_folds: Annotated[int | None, typer.Option("--folds", min=2, help="Parts.")] = None
    inner: Inner = field(default_factory=Inner)
    several: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None
    of_python_alone: int | None = None
    workers: Annotated[
        int | None,
        typer.Option(metavar="auto|N", help="Threads."),
        cl.typed_count("--workers"),
    ] = None
    keeps_all: Annotated[
        bool,
        typer.Option("--keep", help="Rows."),
        Typed(Literal["all", "none"], "none", "all".__eq__),
    ] = False


@dataclass(frozen=True)
class Output(cl.Common):
    """A group that inherits."""

    svg: Annotated[bool, typer.Option("--svg", help="Vectors.")] = False


@dataclass(frozen=True)
class Place:
    """Two options that a help shows together."""

    left: Annotated[int, typer.Option(help="Where it begins.")] = 0
    right: Annotated[int, typer.Option(help="Where it ends.")] = 1


FOUND: list[Any] = []


@cl.command({"name": ("last", "place"), "several": ("quiet",)})
def grouped(
    context: typer.Context,
    *,
    first: Annotated[int, typer.Option(help="One.")] = 1,
    outer: Outer,
    output: Output,
    place: Place,
    last: Annotated[bool, typer.Option("--last/--no-last", help="Or not.")] = False,
) -> None:
    """Do something."""
    FOUND[:] = [context, first, outer, output, place, last]


def flat(**_: Any) -> None:
    """Do something."""


FLAT: dict[str, tuple[Any, Any]] = {
    "context": (typer.Context, Parameter.empty),
    "name": (Annotated[str, typer.Option(help="Of it.")], Parameter.empty),
    "first": (Annotated[int, typer.Option(help="One.")], 1),
    "last": (Annotated[bool, typer.Option("--last/--no-last", help="Or not.")], False),
    "left": (Annotated[int, typer.Option(help="Where it begins.")], 0),
    "right": (Annotated[int, typer.Option(help="Where it ends.")], 1),
    "n_folds": (Annotated[int | None, typer.Option("--folds", min=2, help="Parts.")], None),
    "rate": (Annotated[float, typer.Option(metavar="RATE", help="Of steps.")], 0.5),
    "quiet": (cl.QuietOption, False),
    "several": (Annotated[list[str] | None, typer.Option(help="May be repeated.")], None),
    "workers": (Annotated[str, typer.Option(metavar="auto|N", help="Threads.")], "auto"),
    "keep": (Annotated[Literal["all", "none"], typer.Option("--keep", help="Rows.")], "none"),
    "svg": (Annotated[bool, typer.Option("--svg", help="Vectors.")], False),
    "root": (cl.RootOption, None),
    "as_json": (cl.JsonOption, False),
    "verbose": (cl.VerboseOption, 0),
}
flat.__annotations__ = {name: kind for name, (kind, _) in FLAT.items()}
vars(flat)["__signature__"] = Signature(
    Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
    for name, (kind, default) in FLAT.items()
)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def type_it(command: Any, *words: str) -> tuple[object, str, str]:
        app = cl.new_app()
        app.callback()(command)
        monkeypatch.setattr(sys, "argv", ["command", *words])
        with pytest.raises(SystemExit) as ended, signals_as_they_were():
            cl.run(app, "command")
        return ended.value.code, *capsys.readouterr()

    return type_it


def test_a_help_of_groups_is_that_of_flat_parameters_in_the_order_that_was_given(
    typed: Any,
) -> None:
    code, said, _ = typed(grouped, "--help")
    _, wanted, _ = typed(flat, "--help")
    lines, others = (sorted(text.splitlines()) for text in (said, wanted))
    assert code == 0
    assert lines == others
    options = [line.split()[0] for line in said.splitlines() if line.startswith("  -")]
    order = (
        "--first --last --left --right --name --folds --rate -q, --several --workers --keep --svg"
    )
    order += " --root --json"
    assert options == [*order.split(), "-v,", "-h,"]


def test_groups_hold_what_was_typed_and_the_context_tells_it_from_defaults(typed: Any) -> None:
    words = "--folds 3 --rate 0.25 --several a --several b --svg --root there --last --right 5"
    assert typed(grouped, "--name", "it", *words.split())[0] == 0
    context, first, outer, output, place, last = FOUND
    assert (first, last, place) == (1, True, Place(0, 5))
    assert outer == Outer("it", 3, Inner(0.25), ["a", "b"])
    assert (output.svg, str(output.root), output.quiet) == (True, "there", False)
    assert cl.was_typed(context, "rate")
    assert cl.was_typed(context, "n_folds")
    assert not cl.was_typed(context, "first")
    assert not cl.was_typed(context, "quiet")
    assert typed(grouped, "--name", "other")[0] == 0
    assert FOUND[2] == Outer("other")
    assert typed(grouped, "--name", "it", "--workers", "3", "--keep", "all")[0] == 0
    assert FOUND[2] == Outer("it", workers=3, keeps_all=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "it", "--rate", "0"], "error: --rate must be above 0, not 0\n"),
        (
            ["--name", "it", "--workers", "many"],
            "error: no --workers 'many': give auto, or a number of 1 or more\n",
        ),
        (["--name", "it", "--keep", "some"], None),
        (["--name", "it", "--folds", "1"], None),
        (["--name", "it", "--folds", "two"], None),
        (["--fold", "2"], None),
        ([], None),
    ],
)
def test_a_wrong_value_ends_as_a_usage_error(
    typed: Any, words: list[str], said: str | None
) -> None:
    FOUND.clear()
    found = typed(grouped, *words)
    assert found == (2, "", said) if said else typed(flat, *words)
    assert found[0] == 2
    assert found[2].startswith("error: ")
    assert not FOUND


def test_with_two_v_a_refused_group_shows_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in (None, cl.log.name):
        caplog.set_level(logging.WARNING, name)  # and as before once it is done
    app = cl.new_app()
    app.callback()(grouped)
    monkeypatch.setattr(sys, "argv", ["command", "--name", "it", "--rate", "0", "-vv"])
    with pytest.raises(SystemExit) as ended, signals_as_they_were():
        cl.run(app, "command")
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: --rate must be above 0, not 0\nTraceback")
    assert "UsageError: --rate must be above 0, not 0" in shown


def test_one_name_in_two_groups_is_refused_where_the_command_is_written() -> None:
    def twice(*, one: Inner, other: Inner) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name: 'rate'"):
        spread(twice, {}, print)
