"""Make a stack and its flagged exposures again, and compare the results with it."""

import os

from badpix_selfcal import parameters
from badpix_selfcal.again import (
    COLUMNS,
    below,
    beside,
    difference,
    digest_if_same,
    prefix_option,
    quietly,
    row,
    run,
)
from badpix_selfcal.headers import has_checksum
from badpix_selfcal.paths import SKIPPED, path_of
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.tables import read_planned, write_table


def stages(stack, exposures, words, folder):
    """
    List the files of a stack with the programs that make them.

    Returns
    -------
    steps : list of (str, str, list of str)
        Name in RESULTS, new file, command line.
    """
    names = ("pedestal", "minimum", "unusable", "median", "noise", "threshold")
    file = {name: os.path.join(folder, os.path.basename(path_of(name))) for name in names}
    minimum, median = file["minimum"], file["median"]
    unusable, noise = ["--unusable", file["unusable"]], ["--noise", file["noise"]]
    shrink, sigma = "shrink" in words["median"], "sigma" in words["threshold"]
    steps = [
        ("pedestal", [f"--stack={stack}", "--output", file["pedestal"], "--", *exposures]),
        ("minimum", [file["pedestal"], minimum]),
        ("unusable", [minimum, file["unusable"], "--", *exposures]) if shrink else None,
        ("median", [*words["median"], *(unusable if shrink else []), minimum, median]),
        ("noise", [minimum, median, file["noise"]]) if sigma else None,
        (
            "threshold",
            [*words["threshold"], *(noise if sigma else []), minimum, median, file["threshold"]],
        ),
    ]
    return [(step[0], file[step[0]], step[1]) for step in steps if step]


def verify(stack, exposures, flagged, words, folder, path_of=path_of):
    """
    Yield the results of a stack, each with its fault, empty if it has none.

    Parameters
    ----------
    stack : str
        Or "skipped".
    exposures : list of str
        Its exposures, in their order.
    flagged : list of (str, str)
        Each exposure that is flagged, and its name.
    words : dict of str to list of str
        The options of the stages median and threshold.
    folder : str
        For the files that are made again.
    path_of : callable
        As of badpix_selfcal.paths.

    Yields
    ------
    row : (str, str, str)
        As of `row`.
    """
    flags = []
    if stack != SKIPPED:
        for name, again, command in stages(stack, exposures, words, folder):
            run(name, *command)
            if name != "pedestal":
                path = path_of(name, stack=stack)
                yield row(path, difference(path, again))
        os.remove(os.path.join(folder, "pedestal.fits"))
        flags = [os.path.join(folder, "flags.fits")]
    for path, exposure in flagged:
        result = path_of("write_back", stack=stack, exposure=exposure)
        again = os.path.join(folder, os.path.basename(result))
        fault = digest = ""
        try:
            digest = flags and flagged_digest(path, *flags, result, again)
            if not digest:
                run("write_back" if flags else "skip", "--", path, *flags, again)
                fault = difference(result, again)
                os.remove(again)
        except Fault as error:
            fault = str(error)
        yield row(result, fault, digest)


def flagged_digest(exposure, flags, result, copy):
    """
    Compare a flagged exposure with what write_back makes, which is not written for it.

    Returns
    -------
    digest : str
        Its SHA-256, if it is the same. Empty if not, or if it has checksums, which are set in a
        file alone: then another comparison tells.
    """
    name = os.path.basename(result)
    with (
        quietly("write_back") as program,
        program.flagged(exposure, flags, name, copy) as (parts, hdus, _),
    ):
        return "" if any(map(has_checksum, hdus)) else digest_if_same(result, parts)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the stack's exposures and its flagged ones, JSON")
    options.add_argument("output", help="table of results")
    options.add_argument("--stack", required=True, help="its name, or skipped")
    prefix_option(options)
    for stage in ("median", "threshold"):
        parameters.add_options(options, stage)
    return options


def main(arguments):
    """Write the table of results, each with its fault or its digest."""
    exposures, flagged = read_planned(arguments.planned)
    values = vars(arguments)
    words = {stage: parameters.words(stage, values).split() for stage in ("median", "threshold")}
    rows, path_of = [COLUMNS], below(arguments.prefix)
    with beside(arguments.output) as folder:
        try:
            rows += verify(arguments.stack, exposures, flagged, words, folder, path_of)
        except Fault as fault:
            rows.append(row(path_of("stack", stack=arguments.stack), str(fault)))
    write_table(arguments.output, rows)
