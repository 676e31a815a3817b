"""The reference of the commands, from the very objects that parse them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from typer.main import get_command


def command_page(package: str) -> str:
    """Return a page on all commands of a package: usage, what each does, its options."""
    name = f"python -m {package}"
    group: Any = get_command(import_module(f"{package}.__main__").build_app())
    with group.make_context(name, [], resilient_parsing=True) as context:
        lines = [f"# `{name}`", "", *described(group, context, name)]
        for each, command in group.commands.items():
            with command.make_context(each, [], parent=context, resilient_parsing=True) as inner:
                lines += ["", f"## `{each}`", "", *described(command, inner, f"{name} {each}")]
    return "\n".join(lines) + "\n"


def described(command: Any, context: Any, name: str) -> Iterator[str]:
    """List the lines on one command."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("```text", f"{name} {usage}", "```", "")
    yield from (*inspect.cleandoc(command.help or "").splitlines(), "")
    for each in command.params:
        record = each.get_help_record(context)
        if record:
            spelled, help_text = record
            yield from (f"`{spelled}`", f": {' '.join(escaped(help_text).split()) or '-'}", "")


def escaped(text: str) -> str:
    """Spell a help text so that Markdown shows it as it is."""
    return "".join(f"\\{c}" if c in "*_[]<>|`#" else c for c in text)
