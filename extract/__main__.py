"""The command line of extract: builds it, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extract.stopping import end_at_once_on_signals

if TYPE_CHECKING:
    import typer


def build_app() -> typer.Typer:
    """Put the commands together."""
    from extract.command_line import new_app
    from extract.commands import (
        catalogs,
        demo,
        embed,
        export,
        import_vectors,
        models,
        show,
        verify,
    )

    app = new_app("--images")
    app.callback()(embed.embed)
    app.command("models")(models.models)
    app.command("catalogs")(catalogs.catalogs)
    app.command("show")(show.show)
    app.command("verify")(verify.verify)
    app.command("export")(export.export)
    app.command("import")(import_vectors.import_vectors)
    app.command("demo")(demo.demo)
    return app


def main() -> None:
    """Run ``python -m extract``."""
    end_at_once_on_signals()  # loading what the commands need takes a moment
    from extract.command_line import run

    run(build_app(), "python -m extract")


if __name__ == "__main__":
    main()
