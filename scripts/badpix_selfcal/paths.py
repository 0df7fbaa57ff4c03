"""Paths of all results, by name; `{...}` are Snakemake's wildcards."""

import os

RESULTS = {
    "stack": "results/stacks/{stack}",
    "pedestal": "results/stacks/{stack}/pedestal.fits",
    "minimum": "results/stacks/{stack}/minimum.fits",
    "excluded": "results/stacks/{stack}/excluded.fits",
    "median": "results/stacks/{stack}/median.fits",
    "noise": "results/stacks/{stack}/noise.fits",
    "repeats": "results/stacks/{stack}/repeats.fits",
    "threshold": "results/stacks/{stack}/flags.fits",
    "write_back": "results/flagged/{stack}",
    "flagged": "results/flagged/{stack}/{exposure}_badpix_selfcal.fits",
    "associate": "results/associations/{association}.json",
    "view": "results/by_association/{association}",
    "members": "results/members.csv",
    "summary": "results/summary.csv",
    "status": "results/status.csv",
    "checksums": "results/checksums.csv",
    "provenance": "results/provenance.json",
    "figures": "results/figures/{stack}",
    "shared": "results/figures/shared.png",
    "blink_page": "results/report/{stack}.html",
    "thumbnail": "results/report/{stack}.png",
    "report": "results/report.html",
    "tune": "results/tune/{stack}",
    "mask": "results/mask",
    "check": "results/check.csv",
    "verify": "results/verify.csv",
    "sums": "results/SHA256SUMS",
}
# The stack of products without background or selfcal exposures: nothing is flagged.
SKIPPED = "skipped"
# What Slurm said when it last refused a job, for status.csv.
REFUSED = ".snakemake/slurm_logs/refused"


def path_of(name, **wildcards):
    """
    Return the path of a result, relative to the working directory.

    Parameters
    ----------
    name : str
        Of RESULTS, a rule's where it has one result.
    **wildcards : str
        The values of wildcards; others stay as they are.
    """
    path = RESULTS[name]
    for wildcard, value in wildcards.items():
        path = path.replace(f"{{{wildcard}}}", value)
    return path


def name_files(*stages):
    """Return the help of a command line's files of stages, by stage."""
    return {stage: f"{stage}.fits" for stage in stages}


def find_prefix(path, name):
    """Return the folder, with its slash, below which the results lie: the prefix of a module."""
    first, _, last = path_of(name).partition("{")[0].rpartition("/")
    return path[: path.rfind(f"{first}/{last}")] if f"{first}/{last}" in path else ""


def workdir_path(path):
    """Return a path as the workflow writes it: relative if below the working directory."""
    path = os.path.abspath(os.path.expanduser(path))
    return path.removeprefix(os.path.join(os.getcwd(), ""))


def workdir_patterns(patterns):
    """Return a config value, a pattern or a list of them, as a list of `workdir_path`."""
    patterns = patterns if isinstance(patterns, list) else filter(None, [patterns])
    return [workdir_path(str(pattern)) for pattern in patterns]
