"""stdatamodels, which is slow to import, and slow to begin: less so."""

import contextlib
import functools
import sys


@functools.cache
def datamodels():
    """
    Return the module ``stdatamodels.jwst.datamodels``, for the few programs that need it.

    What it stands on parses YAML in Python where there is a parser in C, and a schema again for
    each reference to it: without, a file takes half the time, and the start two thirds. Other
    versions may do otherwise.
    """
    from stdatamodels.jwst import datamodels

    with contextlib.suppress(KeyError, AttributeError):
        yaml, schema = sys.modules["yaml"], sys.modules["asdf.schema"]
        parsed = functools.cache(schema._make_schema_loader())
        schema._make_schema_loader = lambda: parsed
        yaml.SafeLoader = yaml.CSafeLoader
    return datamodels
