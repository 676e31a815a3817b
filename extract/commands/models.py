"""``python -m extract models``: the table of backbones."""

from __future__ import annotations

from extract import command_line as cl


def models(
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Show the table of backbones and whether their weights are here."""
    cl.set_up(verbose, quiet)
    from extract.backbones import BACKBONES, weights_are_here

    rows = [
        {
            "model": name,
            "source": f"package {spec.packaged.package}" if spec.packaged else "Hugging Face hub",
            "tag": spec.tagged,
            "n_dims": spec.n_dims,
            "input_size": spec.input_size,
            "weights_license": spec.weights_license,
            "weights_here": weights_are_here(spec),
        }
        for name, spec in BACKBONES.items()
    ]
    lines = [f"{'model':<20} {'dims':>5} {'input':>5}  {'weights':<40} {'license':<11} here"]
    lines += [
        f"{row['model']:<20} {row['n_dims']:>5} {row['input_size']:>5}  {row['tag']:<40} "
        f"{row['weights_license']:<11} {'yes' if row['weights_here'] else 'no'}"
        for row in rows
    ]
    cl.print_result(as_json, {"models": rows}, "\n".join(lines))
