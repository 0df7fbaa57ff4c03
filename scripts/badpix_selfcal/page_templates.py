"""The templates of the pages, in the folder figures/templates."""

import os

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from badpix_selfcal.cli import PROGRAMS


def load_template(name):
    """Load a template, which escapes its variables and requires each of them."""
    environment = Environment(
        loader=FileSystemLoader(os.path.join(PROGRAMS, "figures", "templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)
