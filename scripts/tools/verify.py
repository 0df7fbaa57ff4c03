"""Make every result again from today's inputs, and compare byte for byte; change no result."""

import contextlib
import json
import os
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from fitsio import FITSHDR

from badpix_selfcal import associations
from badpix_selfcal.associations import COMBINED, SAVED
from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import add_parameters, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.excluded import find_excluded, read_dq_planes
from badpix_selfcal.file_state import DIGEST_COLUMNS, read_digest, read_recorded
from badpix_selfcal.fits_io import add_cards, read_cards, read_image, write_image
from badpix_selfcal.flagged_association import list_links, make_flagged_association
from badpix_selfcal.median import filter_minimum
from badpix_selfcal.minimum import measure_shares, minimum_header, take_minimum
from badpix_selfcal.noise import measure_noise
from badpix_selfcal.parameters import parameter_cards
from badpix_selfcal.paths import SKIPPED, path_of, workdir_patterns
from badpix_selfcal.pedestal import read_planes, stack_header
from badpix_selfcal.repeats import find_repeats
from badpix_selfcal.stages import list_stages
from badpix_selfcal.summary import summarize
from badpix_selfcal.threshold import flag_stack
from badpix_selfcal.write_back import write_flagged, write_skipped

from .compare import DIFFERS, find_difference, find_text_difference

MOST = 20  # faults on the terminal


def remake_stages(stack, exposures, values, folder):
    """
    Make the files of a stack again.

    Parameters
    ----------
    stack : str
    exposures : list of str
        Their paths, sorted by name.
    values : dict
        The parameters by name.
    folder : str

    Returns
    -------
    files : dict of str to str
        The new file of each stage.
    """
    names = [stage.name for stage in list_stages(values)]
    files = {name: os.path.join(folder, os.path.basename(path_of(name))) for name in names}
    headers = []

    def planes():
        for name, plane, header in read_planes(exposures):
            headers.append((name, header))
            yield plane

    minimum, source = take_minimum(planes())
    shares = measure_shares(source, len(exposures))
    header = minimum_header(stack_header(stack, len(exposures)), headers, shares)
    write_image(files["minimum"], minimum, header, SOURCE=source)
    minimum, header = read_image(files["minimum"])  # as the next stage reads them
    excluded = noise = repeats = None
    if "excluded" in files:
        excluded = find_excluded(read_dq_planes(exposures, read_recorded(header), minimum.shape))
        cards = FITSHDR()
        add_cards(cards, ("BPXSTACK", stack, "stack"))
        write_image(files["excluded"], excluded.astype(np.uint8), cards)
    write_image(files["median"], *filter_minimum(minimum, header, values, excluded))
    median, header = read_image(files["median"])
    if "noise" in files:
        noise = measure_noise(minimum, header["BPXKERN"], header["BPXAXIS"], excluded)
        write_image(files["noise"], noise, header)
    if "repeats" in files:
        planes = (plane for _, plane, _ in read_planes(exposures))
        found = header["BPXKERN"], header["BPXAXIS"], values["repeat_fraction"], excluded
        repeats, cards = find_repeats(planes, *found), FITSHDR()
        add_cards(cards, ("BPXSTACK", stack, "stack"), *parameter_cards("repeats", values))
        write_image(files["repeats"], repeats.astype(np.uint8), cards)
    write_image(files["threshold"], *flag_stack(minimum, median, header, values, noise, repeats))
    return files


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
    rows, flags = [], ()
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=results) as folder:
        if stack != SKIPPED:
            try:
                files = remake_stages(stack, exposures, values, folder)
            except (InputError, ValueError) as error:
                return [(prefix + path_of("stack", stack=stack), str(error))]
            for name, again in files.items():
                path = prefix + path_of(name, stack=stack)
                rows.append((path, find_difference(path, again)))
            flags = (*read_image(files["threshold"]), read_cards(files["threshold"]))
        for exposure, path in flagged:
            again = os.path.join(folder, os.path.basename(path))
            write = write_flagged if flags else write_skipped
            try:
                write(exposure, again, *flags, os.path.basename(path))
                rows.append((path, find_difference(path, again)))
            except InputError as error:
                rows.append((path, str(error)))
            with contextlib.suppress(FileNotFoundError):
                os.remove(again)  # so that little disk is used
    return rows


def find_refusal(pair):
    """Return a row if stdatamodels refuses a flagged exposure, but not the exposure itself."""
    exposure, path = pair
    reason = validate_strictly(path) if os.path.isfile(path) else ""
    refused = reason and not validate_strictly(exposure)
    return [(path, f"refused by stdatamodels: {reason}")] if refused else []


def validate_strictly(path):
    """Return what stdatamodels says against a file under strict validation, "" if nothing."""
    from stdatamodels.jwst import datamodels  # 0.9 s

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with datamodels.open(path, strict_validation=True):
                return ""
    except Exception as error:  # whatever its libraries raise
        return " ".join(str(error).split())[:200] or type(error).__name__


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
        if stack == SKIPPED:
            jobs += [(stack, [], [pair]) for pair in pairs]
        else:
            jobs.append((stack, exposures[stack], pairs))
    return jobs


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("--config", required=True, help="the config, JSON")
    options.add_argument("--made", nargs="*", default=[], help="exposures that need not exist yet")
    options.add_argument("--prefix", default="", help="folder below which the results lie")
    options.add_argument("--threads", type=int, default=1, help="stacks at a time")
    add_parameters(options, "median")
    add_parameters(options, "repeats")
    add_parameters(options, "threshold")
    return options


def main(arguments):
    """Write ``verify.csv`` and, without a fault, ``SHA256SUMS``, which ``sha256sum -c`` takes."""
    config, prefix = json.loads(arguments.config), arguments.prefix
    members, paths, _, errors = associations.read_members(config, arguments.made)
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
            pool.map(partial(verify_stack, values=vars(arguments), prefix=prefix), jobs),
            pool.map(find_refusal, [pair for job in jobs for pair in job[-1]], chunksize=8),
            [verify_tables(members, paths, digests, config, prefix)],
        )
        table = pd.DataFrame(chain.from_iterable(found), columns=("file", "fault"))
        faults = table[table["fault"] != ""]
        with atomic_write(output) as part:
            faults.to_csv(part, index=False)
        if len(faults):
            lines = [f"{row.file}: {row.fault}" for row in faults.head(MOST).itertuples()]
            text = "delete these files, of flagged exposures the folder, and run again"
            raise InputError("\n".join([*lines, f"{output}: {len(faults)} faults; {text}"]))
        with atomic_write(sums) as part, open(part, "w", encoding="utf-8") as file:
            for path, *_, digest in pool.map(read_digest, sorted(table["file"])):
                file.write(f"{digest}  {os.path.relpath(path, folder)}\n")
    finally:
        pool.shutdown(cancel_futures=True)
    print(f"{len(table)} results are what today's inputs and parameters make, to the bit.")
