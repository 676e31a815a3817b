"""The command line of analyze: builds it, nothing else."""

from analyze.commands import (
    catalog,
    cluster,
    compare,
    explain,
    head,
    predict,
    rank,
    retrieval,
    serve,
    similar,
)
from extract.command_line import new_app, run

app = new_app()
app.callback()(cluster.cluster)
app.command("catalog")(catalog.catalog)
app.command("compare")(compare.compare)
app.command("explain")(explain.explain)
app.command("head")(head.head)
app.command("predict")(predict.predict)
app.command("rank")(rank.rank)
app.command("retrieval")(retrieval.retrieval)
app.command("serve")(serve.serve)
app.command("similar")(similar.similar)


def main() -> None:
    """Run ``python -m analyze``."""
    run(app, "python -m analyze")


if __name__ == "__main__":
    main()
