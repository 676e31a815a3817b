"""The report: what it shows, and the page that shows it."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analyze.reporting.content import ReportContent
from analyze.reporting.page_data import page_data
from extract.errors import UsageError
from extract.ids import shown
from extract.workspace import AnyPath

NOTEBOOK_HEIGHT = 720


@dataclass(frozen=True, eq=False, repr=False)
class Report(ReportContent):
    """What commands computed of one catalogue, on one page that works offline."""

    @property
    def maps(self) -> Report:
        """The interactive maps alone, for a notebook."""
        return replace(self, parts=("maps",))

    def html(self, sheets: Sequence[str] = ()) -> str:
        """Return the page; sheets are where pictures lie next to it, where they are too many."""
        style, script = _asset("base.css") + _asset("report.css"), _asset("report.js")
        data = page_data(self, sheets)
        csp = (
            f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
            f"img-src data:{' file: ' + chr(39) + 'self' + chr(39) if sheets else ''}; "
            "base-uri 'none'; form-action 'none'"
        )
        template = _templates().get_template("report.html")
        page: str = template.render(
            report=self, t=self.words, csp=csp, style=style, script=script, data=data
        )
        return page

    def save(self, path: AnyPath) -> list[Path]:
        """Write the page, and sheets of pictures next to it where there are too many for it.

        Parameters
        ----------
        path : path
            Ends in ``.html``; its folder is made where it is missing.

        Returns
        -------
        list of Path
            What was written, the page first.

        Raises
        ------
        UsageError
            When it ends otherwise, or a file is there; nothing is replaced.
        """
        path = Path(path)
        if path.suffix != ".html":
            raise UsageError(f"a report is a page: give a path that ends in .html, not {path}")
        folder = path.with_name(f"{path.stem}-pictures")
        sheets = [folder / f"{i:04}.webp" for i in range(len(self.thumbnails.sheets))]
        for each in (path, *sheets):
            if each.exists():
                raise UsageError(f"{each} is there already: give another path")
        (folder if sheets else path.parent).mkdir(parents=True, exist_ok=True)
        for sheet, content in zip(sheets, self.thumbnails.sheets, strict=True):
            sheet.write_bytes(content)
        page = self.html([f"{folder.name}/{sheet.name}" for sheet in sheets])
        path.write_text(page, encoding="utf-8", errors="replace")
        return [path, *sheets]

    def _repr_html_(self) -> str:
        """The page in a frame of its own, as notebooks show it."""
        page = html.escape(self.html())
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-downloads" '
            f'title="{html.escape(self.words("title", catalog=self.catalog))}" '
            f'style="width:100%;height:{NOTEBOOK_HEIGHT}px;border:0"></iframe>'
        )


def _asset(name: str) -> str:
    from analyze import presentation

    folders = Path(__file__).parent / "page", Path(str(presentation.__file__)).parent / "web"
    found = next(folder / name for folder in folders if (folder / name).exists())
    return found.read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _templates() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise UsageError('jinja2 not installed: pip install "sosie[report]"') from error
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters["shown"] = shown
    return templates
