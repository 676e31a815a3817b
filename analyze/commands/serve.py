"""``python -m analyze serve``: the look-alike page and REST."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from analyze.commands import options
from extract import command_line as cl
from extract.errors import Stopped, UsageError

if TYPE_CHECKING:
    from analyze.lookup.service.service import Service
    from analyze.lookup.web.titles import Titles

PORT = 8000


@dataclass(frozen=True)
class Address:
    """Where the service listens, and whom it answers."""

    port: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=65535, help="Port to listen on; 0 takes a free one."),
    ] = PORT
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; default 127.0.0.1.")
    ] = None
    allow_remote: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Accept requests to this host name from other machines."),
    ] = None


@cl.command()
def serve(
    *,
    inputs: options.InputList,
    address: Address,
    images: options.ImagesOption = None,
    level: options.LevelOption = None,
    level_title: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL=WORDS", help="Name of a level on the page; may be repeated."),
    ] = None,
    products: options.Products,
    index: options.Index,
    common: cl.Common,
) -> None:
    """Serve a page and REST that show which products look alike."""
    _check_extra()
    import secrets

    from analyze.lookup.app import build_app
    from analyze.lookup.http import server
    from analyze.lookup.http.request_guard import LOOPBACK, Rules
    from analyze.lookup.service.served_catalog import ServeOptions
    from analyze.lookup.service.service import Service
    from analyze.neighbors.indexes.index_choice import check_wanted
    from analyze.stored_files.selection import choose_files

    allow_remote = address.allow_remote
    host = address.host or ("0.0.0.0" if allow_remote else "127.0.0.1")
    if not server.is_loopback(host) and not allow_remote:
        raise UsageError(
            f"--host {host} lets others in: say by which name they call this machine, with "
            "--allow-remote NAME"
        )
    check_wanted(index.index, index.recall)
    workspace = common.workspace()
    wanted = inputs.selection()
    paths = choose_files(workspace, wanted)
    serve_options = ServeOptions(
        images, level, products.name_column, **vars(index), weights=products.weights
    )
    listening = server.listen(host, address.port)
    with common.progress_bar("index") as progress:
        service = Service(workspace, paths, serve_options, progress)
    titles = _titles(service, level_title or [])
    token = secrets.token_urlsafe(24) if allow_remote else None
    names = LOOPBACK | ({allow_remote.lower()} if allow_remote else set())
    app = build_app(service, Rules(names, token), titles)
    url = server.address_of(allow_remote or host, listening.getsockname()[1], token)
    answer = {"url": url, "token": token, "files": service.about()}
    common.print_result(answer, f"{url}  (stop with Ctrl-C)\n{service.text()}")
    sys.stdout.flush()  # whoever started it may wait for the address
    try:
        number = server.serve(app, listening, traced=common.verbose > 1)
    finally:
        service.close()
    raise Stopped("stopped; earlier requests are answered", number)


def _titles(service: Service, given: Sequence[str]) -> Titles:
    """Read what the page calls the levels of the files that are served."""
    from analyze.lookup.web.titles import Titles

    served = [catalog.embeddings.levels for catalog in service.catalogs.values()]
    names = list(dict.fromkeys(level.name for levels in served for level in levels))
    try:
        return Titles.read(given, names)
    except UsageError:
        service.close()
        raise


def _check_extra() -> None:
    from importlib.util import find_spec

    needed = {"fastapi": "fastapi", "uvicorn": "uvicorn", "jinja2": "jinja2"}
    needed["python_multipart"] = "python-multipart"
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        raise UsageError(f'{", ".join(missing)} not installed: pip install "sosie[lookup]"')
