"""The pages of docs/ as a site: ``make docs`` builds it, without a network, to open from a disk."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import extract  # noqa: E402

project = "Sosie"
author = "the authors of Sosie"
version = release = extract.__version__
html_title = f"Sosie {version}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "site_pages",
]
exclude_patterns = ["_build", "_ext"]
smartquotes = False  # they would make one dash of the two of an option
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
html_css_files = ["site.css"]
html_static_path = ["_static"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # the docstrings say shapes and units too
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
