"""The command line of analyze: builds it, nothing else."""

from analyze.commands import cluster, compare
from extract.command_line import new_app, run

app = new_app()
app.callback()(cluster.cluster)
app.command("compare")(compare.compare)


def main() -> None:
    """Run ``python -m analyze``."""
    run(app, "python -m analyze")


if __name__ == "__main__":
    main()
