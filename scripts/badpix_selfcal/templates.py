"""The pages' templates, which lie in the folder scripts/figures/templates."""

import os

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "figures", "templates")


def environment():
    """Return the templates; all that they are given is escaped, and must be there."""
    loader = FileSystemLoader(FOLDER)
    return Environment(
        loader=loader,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
