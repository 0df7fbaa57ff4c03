"""What Snakemake does once in a process, and takes a fifth of a dry run: it looks for plugins."""

import gc

from snakemake import cli

cli.get_argument_parser()
gc.freeze()  # else each fork looks for garbage among the modules, and so copies them
