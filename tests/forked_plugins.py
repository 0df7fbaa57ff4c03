"""What Snakemake does once in a process, and takes a fifth of a dry run: it looks for plugins."""

from snakemake import cli

cli.get_argument_parser()
