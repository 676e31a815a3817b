"""The command line of extract: builds it, nothing else."""

from extract.command_line import new_app, run
from extract.commands import demo, embed, export, models, show, verify

app = new_app()
app.callback()(embed.embed)
app.command("models")(models.models)
app.command("show")(show.show)
app.command("verify")(verify.verify)
app.command("export")(export.export)
app.command("demo")(demo.demo)


def main() -> None:
    """Run ``python -m extract``."""
    run(app, "python -m extract")


if __name__ == "__main__":
    main()
