"""The command line of analyze: builds it, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extract.stopping import end_at_once_on_signals

if TYPE_CHECKING:
    import typer


def build_app() -> typer.Typer:
    """Put the commands together."""
    from analyze.commands import (
        audit,
        catalog,
        cluster,
        compare,
        export,
        rank,
        report,
        retrieval,
        robustness,
        runs,
        serve,
        similar,
    )
    from analyze.commands.explanation import explain
    from analyze.commands.head import head, predict
    from extract.command_line import new_app

    images = (
        "--images is where commands find pictures to show; the embeddings of a folder are named "
        "with --catalog and its name, as in python -m analyze --catalog photos, once python -m "
        "extract --images photos has made them"
    )
    app = new_app("--catalog", {"--images": images})
    app.callback()(cluster.cluster)
    app.command("audit")(audit.audit)
    app.command("catalog")(catalog.catalog)
    app.command("compare")(compare.compare)
    app.command("explain")(explain.explain)
    app.command("export")(export.export)
    app.command("head")(head.head)
    app.command("predict")(predict.predict)
    app.command("rank")(rank.rank)
    app.command("report")(report.report)
    app.command("retrieval")(retrieval.retrieval)
    app.command("robustness")(robustness.robustness)
    app.command("runs")(runs.runs)
    app.command("serve")(serve.serve)
    app.command("similar")(similar.similar)
    return app


def main() -> None:
    """Run ``python -m analyze``."""
    end_at_once_on_signals()  # what the commands need takes a moment to load
    from extract.command_line import run

    run(build_app(), "python -m analyze")


if __name__ == "__main__":
    main()
