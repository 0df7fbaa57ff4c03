"""Make every result again from today's inputs, and compare byte for byte; change no result."""

import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from fitsio import FITSHDR

from badpix_selfcal import associations
from badpix_selfcal.associations import COMBINED, SAVED
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.excluded import find_excluded, read_dq_planes
from badpix_selfcal.file_state import DIGEST_COLUMNS, read_digest, read_recorded
from badpix_selfcal.fits_io import add_cards, read_cards, read_image, write_image
from badpix_selfcal.flagged_association import list_links, make_flagged_association
from badpix_selfcal.median import filter_minimum
from badpix_selfcal.minimum import measure_shares, minimum_header, take_minimum
from badpix_selfcal.noise import measure_noise
from badpix_selfcal.parameters import PARAMETERS, parameter_cards, used_parameters
from badpix_selfcal.paths import SKIPPED, path_of, workdir_patterns
from badpix_selfcal.pedestal import read_planes, stack_header
from badpix_selfcal.repeats import find_repeats
from badpix_selfcal.stages import list_stages
from badpix_selfcal.summary import summarize
from badpix_selfcal.threshold import flag_stack
from badpix_selfcal.write_back import write_flagged, write_skipped

from .compare import DIFFERS, find_difference, find_text_difference

COLUMNS = ("file", "fault")
MOST = 20  # faults on the terminal


def verify_stages(stack, exposures, values, folder, prefix):
    """
    Make the files of a stack again, and compare.

    Parameters
    ----------
    stack : str
    exposures : list of str
        Their paths, sorted by name.
    values : dict
        The parameters by name.
    folder : str
        For the new files.
    prefix : str
        As of `verify_stack`.

    Returns
    -------
    rows : list of (str, str)
        As of `verify_stack`.
    flags : (ndarray, FITSHDR, list of bytes)
        What `write_flagged` takes of them.
    """
    wanted, rows, headers = {stage.name for stage in list_stages(values)}, [], []

    def compare(name, image, header, **extensions):
        path = path_of(name, stack=stack)
        again = os.path.join(folder, os.path.basename(path))
        write_image(again, image, header, **extensions)
        rows.append((prefix + path, find_difference(prefix + path, again)))
        return read_image(again)  # as the next stage reads it

    def planes():
        for name, plane, header in read_planes(exposures):
            headers.append((name, header))
            yield plane

    minimum, source = take_minimum(planes())
    shares = measure_shares(source, len(exposures))
    header = minimum_header(stack_header(stack, len(exposures)), headers, shares)
    minimum, header = compare("minimum", minimum, header, SOURCE=source)
    excluded = noise = repeats = None
    named = "BPXSTACK", stack, "stack"
    if "excluded" in wanted:
        excluded = find_excluded(read_dq_planes(exposures, read_recorded(header), minimum.shape))
        compare("excluded", excluded.astype(np.uint8), add_cards(FITSHDR(), named))
    median, header = compare("median", *filter_minimum(minimum, header, values, excluded))
    found = header["BPXKERN"], header["BPXAXIS"]
    if "noise" in wanted:
        noise = measure_noise(minimum, *found, excluded)
        compare("noise", noise, header)
    if "repeats" in wanted:
        planes_again = (plane for _, plane, _ in read_planes(exposures))
        repeats = find_repeats(planes_again, *found, values["repeat_fraction"], excluded)
        cards = add_cards(FITSHDR(), named, *parameter_cards("repeats", values))
        compare("repeats", repeats.astype(np.uint8), cards)
    flags = compare("threshold", *flag_stack(minimum, median, header, values, noise, repeats))
    return rows, (*flags, read_cards(os.path.join(folder, os.path.basename(path_of("threshold")))))


def verify_stack(job, values, prefix=""):
    """
    Verify the files of a stack and its flagged exposures.

    Parameters
    ----------
    job : (str, list of str, list of (str, str))
        The stack, or SKIPPED; its exposures; the path and the result of each that is flagged.
    values : dict
        The parameters by name.
    prefix : str
        The folder below which the results lie, "" or one that ends with a slash.

    Returns
    -------
    rows : list of (str, str)
        Each result with its fault, "" if it has none.
    """
    stack, exposures, flagged = job
    results = prefix + os.path.dirname(path_of("members"))
    rows, flags, write = [], (), write_skipped
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=results) as folder:
        if stack != SKIPPED:
            try:
                rows, flags = verify_stages(stack, exposures, values, folder, prefix)
            except (InputError, ValueError) as error:
                return [(prefix + path_of("stack", stack=stack), str(error))]
            write = write_flagged
        for exposure, path in flagged:
            again = os.path.join(folder, "again.fits")  # one after the other: little disk is used
            try:
                write(exposure, again, *flags, os.path.basename(path))
                rows.append((path, find_difference(path, again)))
            except InputError as error:
                rows.append((path, str(error)))
    return rows


def verify_tables(members, paths, digests, config, prefix=""):
    """
    Verify the tables, the flagged associations and their views.

    Parameters
    ----------
    members : DataFrame
    paths : dict of str to str
        The file of each association, by its name.
    digests : DataFrame
        Of today's exposures, as of checksums.csv.
    config : dict
    prefix : str
        As of `verify_stack`.

    Yields
    ------
    row : (str, str)
        As of `verify_stack`.
    """
    for name, table in (("members", members), ("checksums", digests)):
        path = prefix + path_of(name)
        yield path, find_text_difference(path, table.to_csv(index=False))
    path = prefix + path_of("summary")
    try:
        yield path, find_text_difference(path, summarize(members, prefix)[0].to_csv(index=False))
    except Exception as error:  # whatever a damaged result gives
        yield path, f"cannot be made again ({type(error).__name__}: {error})"
    path = prefix + path_of("provenance")
    yield path, find_other_inputs(path, paths, digests, config)
    stages = [stage.name for stage in list_stages(config)]
    saved = SAVED[config["save_flagged_bkg"]]
    for name, rows in members.groupby("association"):
        path, view = (prefix + path_of(rule, association=name) for rule in ("associate", "view"))
        association = associations.read_association(paths[name])
        stacks = list(rows.loc[rows["exptype"] == "science", "stack"])
        others = list(rows.loc[~rows["exptype"].isin(COMBINED), "path"])
        folders = os.path.dirname(paths[name]), os.path.dirname(path)
        flagged, beside = make_flagged_association(
            association, stacks, *folders, prefix=prefix, others=others, saved=saved
        )
        yield path, find_text_difference(path, json.dumps(flagged, indent=4) + "\n")
        for link, target in beside.items():
            link = os.path.join(folders[1], link)
            if not os.path.islink(link) or os.readlink(link) != target:
                yield link, "not a link to a member of today's associations"
        links = list_links(association, stacks, view, prefix=prefix, stages=stages, saved=saved)
        if read_links(view) != links:
            yield view, "its links are not those of today's products"


def find_other_inputs(path, paths, digests, config):
    """Say in what provenance.json differs from today's config and inputs; "" if in nothing."""
    expected = {
        "config": {**config, "associations": workdir_patterns(config["associations"])},
        "associations": [(path, read_digest(path)[-1]) for path in paths.values()],
        "exposures": list(zip(digests["path"], digests["sha256"], strict=True)),
    }
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        for key in ("associations", "exposures"):
            record[key] = [(entry["path"], entry["sha256"]) for entry in record[key]]
        others = [key for key, value in expected.items() if record[key] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"missing or damaged ({type(error).__name__})"
    return f"{DIFFERS} ({', '.join(others)})" if others else ""


def read_links(folder):
    """Return what each link below a folder points to, by its path; None for a file."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else None
        for path in Path(folder).rglob("*")
        if path.is_symlink() or (path.is_file() and path.name != ".snakemake_timestamp")
    }


def list_jobs(members, config, prefix=""):
    """List the jobs of `verify_stack`: one for each stack, and for each skipped exposure."""
    flagged = associations.list_flagged(members, config["save_flagged_bkg"])
    combined = members[members["exptype"].isin(COMBINED)].sort_values("exposure")
    exposures = combined.groupby("stack")["path"].unique().map(list)
    jobs = []
    for stack, rows in flagged.drop_duplicates("flagged").groupby("stack"):
        pairs = list(zip(rows["path"], prefix + rows["flagged"], strict=True))
        skipped = [(stack, [], [pair]) for pair in pairs]
        jobs += skipped if stack == SKIPPED else [(stack, exposures[stack], pairs)]
    return jobs


def read_values(config):
    """Return the parameters as the stages read them from their command lines."""
    read = {p.name: p.allowed if callable(p.allowed) else str for p in PARAMETERS}
    used = used_parameters(config)
    return {name: read[name](str(used[name])) for name in read if name in used}


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("--config", required=True, type=json.loads, help="the config, JSON")
    options.add_argument("--prefix", default="", help="folder below which the results lie")
    options.add_argument("--threads", type=int, default=1, help="stacks at a time")
    return options


def main(arguments):
    """Write ``verify.csv`` and, without a fault, ``SHA256SUMS``, which ``sha256sum -c`` takes."""
    config, prefix = arguments.config, arguments.prefix
    members, paths, _, errors = associations.read_members(config)
    if errors:
        raise InputError("\n".join(errors))
    output, sums = prefix + path_of("verify"), prefix + path_of("sums")
    folder = os.path.dirname(output)
    os.makedirs(folder, exist_ok=True)
    exposures = sorted(members.loc[members["exptype"].isin(COMBINED), "path"].unique())
    jobs = list_jobs(members, config, prefix)
    pool = ProcessPoolExecutor(arguments.threads)
    try:
        digests = pd.DataFrame(pool.map(read_digest, exposures), columns=DIGEST_COLUMNS)
        found = chain(
            pool.map(partial(verify_stack, values=read_values(config), prefix=prefix), jobs),
            [verify_tables(members, paths, digests, config, prefix)],
        )
        table = pd.DataFrame(chain.from_iterable(found), columns=COLUMNS)
        faults = table[table["fault"] != ""]
        write_text(output, faults.to_csv(index=False))
        if len(faults):
            lines = [f"{row.file}: {row.fault}" for row in faults.head(MOST).itertuples()]
            text = "delete these files, of flagged exposures the folder, and run again"
            raise InputError("\n".join([*lines, f"{output}: {len(faults)} faults; {text}"]))
        digests = pool.map(read_digest, sorted(table["file"]))
        lines = [f"{digest}  {os.path.relpath(path, folder)}\n" for path, *_, digest in digests]
        write_text(sums, "".join(lines))
    finally:
        pool.shutdown(cancel_futures=True)
    print(f"{len(table)} results are what today's inputs and parameters make, to the bit.")
