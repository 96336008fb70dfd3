"""What Sphinx builds the site from: ``make docs``. It works offline, and any warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import awaitbatch  # noqa: E402
from docs.site.pages import SOURCE  # noqa: E402

project = "awaitbatch"
version = release = awaitbatch.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs.site.command",
    "docs.site.names",
    "docs.site.pages",
    "docs.site.pictures",
]
exclude_patterns = ["_build"]

# The anchors of headings are GitHub's, so links to them work in both places.
myst_heading_anchors = 6

autodoc_default_options = {
    "members": True,
    # What comes from a private base is listed, and what comes from these is not.
    "inherited-members": "ABC, AsyncIterator, BaseException, Enum, Exception, ExceptionGroup, Generic, Mapping, "
    "NamedTuple, Protocol, Struct, dict, object, str, tuple",
}
autodoc_member_order = "bysource"
autodoc_mock_imports = ["airflow", "asgiref", "sqlalchemy"]
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_rtype = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False

# A name in single backticks is a link if the site knows it, and code in any case.
default_role = "py:obj"
nitpicky = True
# Names of others, whose inventories are not at hand when one works offline.
nitpick_ignore_regex = [
    ("py:.*", rf"({module})(\..*)?")
    for module in (
        "aiobotocore|aiohttp|airflow|botocore|msgspec|opentelemetry|prometheus_client|types_aiobotocore_batch",
        "asyncio|collections|concurrent|contextlib|datetime|enum|random|threading|types|typing",
    )
]

html_theme = "furo"
html_title = "awaitbatch"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": True,
    "source_repository": SOURCE,
    "source_branch": "main",
    "source_directory": "docs/",
}
pygments_style = "default"
pygments_dark_style = "github-dark"
copybutton_prompt_text = "$ "
copybutton_copy_empty_lines = False
