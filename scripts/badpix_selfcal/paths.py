"""Where every result lies, by its name; `{...}` are Snakemake's wildcards."""

RESULTS = {
    "stack": "results/stacks/{stack}",
    "pedestal": "results/stacks/{stack}/pedestal.fits",
    "minimum": "results/stacks/{stack}/minimum.fits",
    "unusable": "results/stacks/{stack}/unusable.fits",
    "median": "results/stacks/{stack}/median.fits",
    "noise": "results/stacks/{stack}/noise.fits",
    "threshold": "results/stacks/{stack}/flags.fits",
    "write_back": "results/flagged/{stack}/{exposure}_badpix_selfcal.fits",
    "associate": "results/associations/{association}.json",
    "view": "results/by_association/{association}",
    "members": "results/members.csv",
    "summary": "results/summary.csv",
    "status": "results/status.csv",
    "checksums": "results/checksums.csv",
    "provenance": "results/provenance.json",
    "figures": "results/figures/{stack}",
    "recall": "results/report/recall.csv",
    "blink": "results/report/{stack}.html",
    "thumbnail": "results/report/{stack}.png",
    "report": "results/report.html",
    "tune": "results/tune/{stack}",
    "mask": "results/mask",
    "check": "results/check.csv",
    "verify_stack": "results/verify/{stack}.csv",
    "verify_models": "results/verify/models_{part}.csv",
    "verify_tables": "results/verify/tables.csv",
    "verify": "results/verify.csv",
    "sums": "results/SHA256SUMS",
}
# The stack of products that have nothing to calibrate from: no minimum is taken, nothing flagged.
SKIPPED = "skipped"


def path_of(name, **wildcards):
    """
    Return the path of a result, relative to the working directory.

    Parameters
    ----------
    name : str
        A rule's, of RESULTS.
    **wildcards : str
        The values of wildcards; those not given stay as they are.
    """
    path = RESULTS[name]
    for wildcard, value in wildcards.items():
        path = path.replace(f"{{{wildcard}}}", value)
    return path


def prefix_of(path, name):
    """Return the folder, with its slash, below which a run has its results: a module's prefix."""
    first, _, last = path_of(name).partition("{")[0].rpartition("/")
    return path[: path.rfind(f"{first}/{last}")] if f"{first}/{last}" in path else ""
