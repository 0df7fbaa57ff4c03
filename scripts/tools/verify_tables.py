"""Make the tables, associations and links again, and list what differs from the results."""

import csv
import json
import os

from badpix_selfcal.again import COLUMNS, below, beside, difference, prefix_option, row, run
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.tables import FLAGGED, digest_row, read_planned, write_table


def links(folder):
    """Return what each link below a folder points to; None for what is no link."""
    return {
        os.path.relpath(os.path.join(place, name), folder): (
            os.readlink(os.path.join(place, name))
            if os.path.islink(os.path.join(place, name))
            else None
        )
        for place, folders, names in os.walk(folder)
        for name in (*folders, *names)
        if name != ".snakemake_timestamp"
    }


def tables(members, exposures, folder, path_of):
    """Yield members.csv, checksums.csv and summary.csv with their faults, from files made again."""
    for name, words in (
        ("members", [members]),
        ("checksums", [exposures]),
        ("summary", [path_of("members"), path_of("checksums")]),
    ):
        again = os.path.join(folder, os.path.basename(path_of(name)))
        try:
            run(name, *words, again)
            fault = difference(path_of(name), again)
        except Fault as error:
            fault = str(error)
        yield path_of(name), fault


def provenance(associations, path_of):
    """Return what provenance.json says wrong of today's associations and exposures."""
    try:
        with open(path_of("provenance"), encoding="utf-8") as file:
            record = json.load(file)
        with open(path_of("checksums"), newline="") as file:
            exposures = [(line["path"], line["sha256"]) for line in csv.DictReader(file)]
        digests = [digest_row(path) for path in associations]
        today = [(path, digest) for path, *_, digest in digests]
        others = [
            key
            for key, wanted in (("associations", today), ("exposures", exposures))
            if [(entry["path"], entry["sha256"]) for entry in record[key]] != wanted
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"is damaged: {type(error).__name__} {error}"
    return f"names other {' and '.join(others)} than today's" if others else ""


def associations(table, words, folder, path_of):
    """Yield flagged associations with their and their views' faults; `words`: more options."""
    for path, name, stacks, others in table:
        result, view = (path_of(rule, association=name) for rule in ("associate", "view"))
        again, links_again = os.path.join(folder, f"{name}.json"), os.path.join(folder, name)
        try:
            lists = ["--stacks", *stacks, "--others", *others]
            run("associate", *words, *lists, "--", path, again, links_again)
        except Fault as error:
            yield result, str(error)
            continue
        yield result, difference(result, again)
        if links(view) != links(links_again):
            yield view, "does not link to what belongs to today's products"


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("members", help="the members as the run was planned, JSON")
    options.add_argument("exposures", help="the exposures, JSON")
    options.add_argument(
        "associations", help="path, name, stacks and other members of each association, JSON"
    )
    options.add_argument("output", help="table of results")
    prefix_option(options)
    options.add_argument(
        "--saved", nargs="+", default=FLAGGED, help="roles whose flagged exposures were written"
    )
    options.add_argument("--noise", action="store_true", help="the stacks have a noise.fits")
    return options


def main(arguments):
    """Write the table of results, each with its fault or its digest."""
    table, path_of = read_planned(arguments.associations), below(arguments.prefix)
    words = ["--noise"] * arguments.noise + ["--saved", *arguments.saved]
    words += ["--prefix", arguments.prefix]
    with beside(arguments.output) as folder:
        found = [
            *tables(arguments.members, arguments.exposures, folder, path_of),
            (path_of("provenance"), provenance(sorted(path for path, *_ in table), path_of)),
            *associations(table, words, folder, path_of),
        ]
    write_table(arguments.output, [COLUMNS, *(row(path, fault) for path, fault in found)])
