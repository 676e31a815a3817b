"""What all commands share: options, exit codes, one-line errors, progress."""

from __future__ import annotations

import difflib
import json
import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from extract.addresses import free_of_credentials
from extract.errors import SosieError, UsageError
from extract.option_groups import Typed, spread
from extract.stopping import StopRequest, interrupted_by_signals
from extract.workspace import Workspace

log = logging.getLogger("sosie")

TELL_ADDRESSES = ("httpx", "httpcore", "fsspec", "botocore", "s3transfer", "urllib3", "aiohttp")
"""Libraries that log whole addresses, with what signs them."""

INTERRUPTED = 128 + signal.SIGINT

# typer carries click inside itself or brings it along, by its version; the tree is the same
ClickException: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)

RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Workspace; else SOSIE_ROOT, else here."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Random seed.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
VerboseOption = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Log more; -vv shows tracebacks.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")]
CatalogOption = Annotated[
    str | None, typer.Option("--catalog", metavar="NAME", help="Name in cache/embeddings.")
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="Fix everything from the resize to the seeds: openclassrooms, or a file.toml.",
    ),
]


@dataclass(frozen=True)
class Printing:
    """Options of all commands: what is printed, and how much."""

    as_json: JsonOption = False
    verbose: VerboseOption = 0
    quiet: QuietOption = False

    def print_result(self, result: Mapping[str, Any], text: str) -> None:
        """Print a command's result on stdout: one JSON object, or text for people."""
        print(json.dumps(result, allow_nan=False) if self.as_json else text)  # noqa: T201

    def progress_bar(self, what: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Show iterations done on stderr, as :func:`progress_bar` does."""
        return progress_bar(what, quiet=self.quiet)


@dataclass(frozen=True)
class Common(Printing):
    """Options of all commands that have a workspace."""

    root: RootOption = None

    def workspace(self) -> Workspace:
        """Return the workspace."""
        return Workspace.find(self.root)


def command(
    before: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator for a command that takes groups of options, among them :class:`Printing`.

    Verbosity is set before groups are made: with -vv what they refuse has a traceback.

    Parameters
    ----------
    before : mapping of str to sequence of str, optional
        As in :func:`~extract.option_groups.spread`.
    """

    def begin(typed: Mapping[str, Any]) -> None:
        set_up(typed["verbose"], typed["quiet"])

    return lambda function: spread(function, before or {}, begin)


class _Group(TyperGroup):
    """Commands next to a default action: what a command takes stands behind its name."""

    source: ClassVar[str] = ""
    instead: ClassVar[Mapping[str, str]] = {}

    def _resembles(self, word: str) -> bool:
        """Whether a word is a slip for a command, which typer suggests."""
        return bool(difflib.get_close_matches(word, self.commands))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option that the default action does not have; name the command that has it."""
        try:
            return super().parse_args(ctx, args)
        except ClickException as error:
            option = getattr(error, "option_name", None)
            owners = [
                name
                for name, command in self.commands.items()
                if option is not None and any(option in each.opts for each in command.params)
            ]
            if not owners:
                raise
            if option is not None and option in self.instead:
                raise UsageError(self.instead[option]) from error
            named = [name for name in owners if name in args] or owners
            raise UsageError(
                f"{option} is an option of {' and '.join(owners)}: options go after the command, "
                f"as in {ctx.command_path} {named[0]} {option}"
            ) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is named; an option before it would have no effect."""
        if args and self.source and args[0] not in self.commands and not self._resembles(args[0]):
            raise UsageError(
                f"no command {args[0]!r}: pictures and catalogues are named by an option, as in "
                f"{ctx.command_path} {self.source} {shlex.quote(args[0])}"
            )
        found = super().resolve_command(ctx, args)
        typed = [each.opts[0] for each in self.params if was_typed(ctx, each.name or "")]
        if typed:
            raise UsageError(
                f"{', '.join(typed)} before {found[0]}: options of {found[0]} go after it, as in "
                f"{ctx.command_path} {found[0]} {typed[0]}"
            )
        return found


def new_app(source: str = "", instead: Mapping[str, str] | None = None) -> typer.Typer:
    """Make a command group that runs its default action when no sub-command is named.

    Parameters
    ----------
    source : str
        The option that names what the default action takes, for those who type none.
    instead : mapping of str to str, optional
        Messages, by the option of another command that is typed without one.
    """
    return typer.Typer(
        cls=type("_Group", (_Group,), {"source": source, "instead": instead or {}}),
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def run(app: typer.Typer, name: str) -> None:
    """Run a command line to its exit code: one line on stderr for whatever goes wrong.

    Only a long choice that one has to make is listed below it.
    """
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    stop = StopRequest()
    try:
        with interrupted_by_signals(stop):
            code = app(standalone_mode=False, prog_name=name)
            sys.stdout.flush()
        if code == INTERRUPTED:  # what typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has enough
        sys.exit(0)
    except (SosieError, ClickException, KeyboardInterrupt, Exception) as error:  # noqa: BLE001
        message, code = _describe(stop.instead_of(error), name)
        listed = [f"  {line}" for line in getattr(error, "listed", ())]
        lines = [f"error: {message}", *listed]
        if log.isEnabledFor(logging.DEBUG) and logging.getLogger().isEnabledFor(logging.INFO):
            lines += traceback.format_exc().splitlines()
        print(free_of_credentials("\n".join(lines)), file=sys.stderr)  # noqa: T201
        sys.exit(code)


def _describe(error: BaseException, name: str) -> tuple[str, int]:
    """Give an error's one line and its exit code."""
    if isinstance(error, SosieError):
        return str(error).replace("\n", " "), error.exit_code
    if isinstance(error, ClickException):
        text = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
        context = getattr(error, "ctx", None)
        return f"{text}: see {context.command_path if context else name} --help", 2
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "stopped", INTERRUPTED
    text = str(error).splitlines()[0] if str(error) else "no further word"
    if isinstance(error, OSError):
        return _system_refusal(error) or text, 1
    return f"unexpected {type(error).__name__}: {text}; run again with -vv for the traceback", 1


def _system_refusal(error: OSError) -> str | None:
    """Name the place that the system refused, and what to do about it; None where it names none."""
    from extract.ids import shown

    if error.strerror is None or error.filename is None:
        return None
    permitted = "let this user read and write there"
    do = permitted if isinstance(error, PermissionError) else "look what lies there"
    place = shown(os.fsdecode(error.filename))
    return f"{place}: {error.strerror}; {do}, or choose a workspace with --root DIR"


def set_up(verbose: int, quiet: bool) -> None:
    """Set the verbosity of stderr: notes by default, details with -v, all with -vv."""
    log.setLevel(logging.ERROR if quiet else (logging.INFO, logging.DEBUG)[min(verbose, 1)])
    logging.getLogger().setLevel(logging.INFO if verbose > 1 else logging.WARNING)
    for name in TELL_ADDRESSES:
        logging.getLogger(name).setLevel(logging.WARNING)


def count_or_auto(text: str, option: str) -> int | None:
    """Read an option that is a count or ``auto``, which is None.

    Raises
    ------
    UsageError
        When it is neither.
    """
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"no {option} {text!r}: give auto, or a number of 1 or more")
    return int(text)


def typed_count(option: str) -> Typed:
    """Say that a count, or None, is typed as :func:`count_or_auto` reads it."""
    return Typed(str, "auto", partial(count_or_auto, option=option))


def was_typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter was given on the command line, and not left at its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_fixed_by_recipe(
    context: typer.Context, recipe: str | None, fixed: Collection[str]
) -> None:
    """Refuse options that a recipe fixes, where they were typed together with it.

    Parameters
    ----------
    context : typer.Context
    recipe : str
        As typed.
    fixed : collection of str
        Names of the command's parameters.

    Raises
    ------
    UsageError
    """
    for name in fixed:
        if was_typed(context, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"--recipe {recipe} fixes {option}: leave one of them out")


def counted(reasons: Mapping[str, int]) -> str:
    """Spell counts by reason, as in ``3 missing, 1 empty``."""
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())


def counted_pictures(n: int) -> str:
    """Spell a number of pictures, as in ``1 picture`` and ``1,740 pictures``."""
    return f"{n:,} {'picture' if n == 1 else 'pictures'}"


def typed_command(name: str) -> str:
    """Spell the command as it was typed, but for credentials, for the record."""
    words = map(free_of_credentials, sys.argv[1:])
    return f"{name} {shlex.join(words)}".rstrip()


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show iterations done on stderr; a bar opens when a stage of work first reports progress."""
    from tqdm import tqdm

    bar: Any = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is not None and bar.total != total:
            bar.close()  # another stage of the work
            bar = None
        if bar is None:
            bar = tqdm(total=total, desc=what, disable=True if quiet else None, dynamic_ncols=True)
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()
