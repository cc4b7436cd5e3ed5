"""How `make docs` makes the site: Sphinx, over the same Markdown files that a forge shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ntt_loops

if TYPE_CHECKING:
    from docutils.nodes import Node, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "ntt_loops"
author = "the authors of ntt_loops"
version = release = ntt_loops.__version__

# The source is the whole repository: a link from a page to a file elsewhere in it means the same as on a forge.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "examples/**/README.md"]
exclude_patterns = [".*", "build", "dist", "src", "tests", "**/__pycache__"]
source_suffix = {".md": "markdown"}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

myst_heading_anchors = 3

nitpicky = True
# What the reference has no link for: other libraries, whose index would have to be fetched, and what is not public.
_NO_LINK = """
    Path pathlib.Path os.PathLike AbstractContextManager distributed.diagnostics.plugin.WorkerPlugin
    Layout Status FoundBy Reason
    Kernel AnyPath Where ForeignHandle Process Hang TableEntry
"""
nitpick_ignore = [("py:class", name) for name in _NO_LINK.split()]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autoclass_content = "class"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90

# Nothing is fetched where the site is read: the theme has its own styles, and the system's fonts.
html_theme = "furo"
html_title = f"ntt_loops {release}"
html_additional_pages = {"index": "redirect.html"}
templates_path = ["templates"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True


def public_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: TextElement) -> Node | None:
    """Lead a reference to a class, wherever it is defined, to its public name."""
    name = node["reftarget"].rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in ntt_loops.__all__:
        return None
    target = f"ntt_loops.{name}"
    return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, shown)


def setup(app: Sphinx) -> None:
    """Tell Sphinx what is ours."""
    app.connect("missing-reference", public_name)
