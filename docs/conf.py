"""The site of these pages: ``make docs``. It needs no network, neither to build nor to read."""

import sys
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from badpix_selfcal.version import VERSION

project = "badpix_selfcal"
release = version = VERSION
copyright = "the badpix_selfcal workflow's authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "howto/notebook.ipynb"]
html_theme = "furo"
html_title = f"badpix_selfcal {VERSION}"
html_copy_source = False
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
autodoc_typehints = "none"


def write_mathml(self, node):
    """Write a formula as MathML, which browsers show without a script."""
    block = node.tagname == "math_block"
    self.body.append(convert(node.astext(), display="block" if block else "inline"))
    raise SkipNode


def setup(app):
    """Let formulas be MathML."""
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))
