"""
Write the associations of a folder of exposures: who goes with whom, from their primary headers.

Writes associations/pool.csv, a row per exposure found, and an association for each exposure to be
calibrated; what was edited by hand stays as it is.
"""

import csv
import hashlib
import io
import json
import math
import os
from collections import Counter, defaultdict

from badpix_selfcal.exposures import find_exposures
from badpix_selfcal.files import atomic_write
from badpix_selfcal.names import exposure_name, stack_name, workdir_path
from badpix_selfcal.paths import SKIPPED
from badpix_selfcal.pool import COLUMNS, read_pool, same_names
from badpix_selfcal.program import Fault, parser, warn
from badpix_selfcal.recipes import Recipes
from badpix_selfcal.tables import COMBINED, find_associations, read_association

FOLDER = "associations"
POOL = f"{FOLDER}/pool.csv"
# By it, a file that was edited by hand is known from one that only became old.
RECORD = f"{FOLDER}/generated.csv"
ROLES = ("science", "background", "imprint", "selfcal")
FEW = 4  # exposures of a stack without dedicated background: lines may be flagged
MOST_LINES = 20


# ---- associations --------------------------------------------------------------------------------


def expname(path):
    """Return a path as it is found from the folder of the associations."""
    return path if os.path.isabs(path) else os.path.relpath(path, FOLDER)


def association_of(row, members):
    """
    Make the association of an exposure.

    Parameters
    ----------
    row : dict
        The science exposure.
    members : list of (dict, str)
        As of `Recipes.members`.

    Returns
    -------
    association : dict
        Of the Level-2 schema of jwst; the rule, the id and the pool are its marks of associations
        that did not come from the archive's pool.
    """
    return {
        "asn_type": "spec2",
        "asn_rule": "DMSLevel2bBase",
        "asn_id": "a3001",
        "asn_pool": os.path.basename(POOL),
        "program": row["program"],
        "target": row["target"],
        "products": [
            {
                "name": row["name"],
                "members": [
                    {"expname": expname(member["path"]), "exptype": role}
                    for member, role in members
                ],
            }
        ],
    }


def with_selfcal(association, folder, recipes, rows, files):
    """
    Add selfcal members to an association, and point its members to where they are.

    Parameters
    ----------
    association : dict
        As read; it stays as it is.
    folder : str
        Where it lies.
    recipes : Recipes
    rows : dict of str to dict
        The exposures that play a part, by name.
    files : dict of str to str
        All exposures found, by file name.

    Returns
    -------
    association : dict
        With selfcal members where a product had none.
    members : list of list of (dict, str)
        Of each product, those in `rows` and their roles.
    lost : list of str
        Members that are neither beside the association nor among the exposures.
    """
    products, known, lost = [], [], []
    for product in association["products"]:
        members = []
        for member in product["members"]:
            path = os.path.join(os.path.realpath(folder), member["expname"])
            if not os.path.exists(path):
                path = files.get(os.path.basename(path))
            if path is None:
                lost.append(member["expname"])
            name = expname(workdir_path(path)) if path else member["expname"]
            members.append({**member, "expname": name})
        pairs = [(rows.get(exposure_name(m["expname"])), m["exptype"].lower()) for m in members]
        if all(role != "selfcal" for _, role in pairs):
            for science in [row for row, role in pairs if row and role == "science"]:
                for row in recipes.selfcal(science):
                    members.append({"expname": expname(row["path"]), "exptype": "selfcal"})
                    pairs.append((row, "selfcal"))
        products.append({**product, "members": members})
        known.append([(row, role) for row, role in pairs if row])
    return {**association, "products": products}, known, lost


def stack_of(members, force_single=False):
    """Name the stack of a product, from its pairs of exposure and role, as the run will."""
    combined = [row["name"] for row, role in members if role in COMBINED]
    return SKIPPED if len(combined) == 1 and not force_single else stack_name(combined)


class Files:
    """Files that become the user's once they are written: not overwritten if edited by hand."""

    def __init__(self):
        self.digests, self.written, self.unchanged, self.edited = {}, [], [], []
        if os.path.exists(RECORD):
            with open(RECORD, newline="") as file:
                self.digests = {row["file"]: row["sha256"] for row in csv.DictReader(file)}
        self.old = {name for name in self.digests if os.path.exists(f"{FOLDER}/{name}")}
        self.digests = {name: self.digests[name] for name in self.old}

    def write(self, path, text):
        """Write a file unless it has this content; return False if it was edited and is left."""
        name, content, there = os.path.basename(path), text.encode(), content_of(path)
        self.old.discard(name)
        if there not in (None, content) and digest(there) != self.digests.get(name):
            self.edited.append(path)
            return False
        self.digests[name] = digest(content)
        (self.unchanged if there == content else self.written).append(path)
        if there != content:
            replace(path, content)
        return True

    def remember(self):
        """Record what was written."""
        rows = [("file", "sha256"), *sorted(self.digests.items())]
        content = "".join(f"{name},{digest}\n" for name, digest in rows).encode()
        if content_of(RECORD) != content:
            replace(RECORD, content)

    def lines(self):
        """Say what was written, and what was not."""
        n_written, n_unchanged = (
            len([path for path in paths if path != POOL])
            for paths in (self.written, self.unchanged)
        )
        lines = [f"associations: {n_written} written, {n_unchanged} unchanged, in {FOLDER}/"]
        if self.edited:
            lines.append(
                f"{len(self.edited)} edited by hand and left as they are: "
                f"{shortened(self.edited)}; to have one anew, delete it and run generate again"
            )
        if self.old:
            lines.append(
                f"{len(self.old)} of an earlier generate, no longer made: "
                f"{shortened(sorted(self.old))}; delete them if they are not wanted"
            )
        return lines


def content_of(path):
    """Return the bytes of a file, None if there is none."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def replace(path, content):
    """Write a file, whole or not at all."""
    with atomic_write(path) as part, open(part, "wb") as file:
        file.write(content)


def digest(content):
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


# ---- what a person checks ------------------------------------------------------------------------


class Checks:
    """What is told of the associations while they are made, one after the other."""

    def __init__(self):
        self.groups = defaultdict(lambda: {"science": set(), "background": set(), "selfcal": set()})
        self.days = {}
        self.stacks = set()
        self.alone, self.readout, self.depth, self.few = [], [], [], []

    def add(self, members, stack):
        """
        Take note of a product.

        Parameters
        ----------
        members : list of (dict, str)
            Its exposures and their roles, its science exposure first.
        stack : str
            As of `stack_of`.
        """
        row = members[0][0]
        element = row["band"] or "/".join(filter(None, (row["grating"], row["filter"])))
        instrument = "MIRI" if row["exp_type"] == "MIR_MRS" else "NIRSPEC"
        key = row["program"], instrument, row["detector"], element
        group = self.groups[key]
        group["background" if row["bkgdtarg"] else "science"].add(row["name"])
        for member, role in members[1:]:
            if role in group:
                group[role].add(member["name"])
        combined = {m["name"]: m for m, role in members if role in COMBINED}.values()
        days = [m["days"] for m in combined if m["days"] == m["days"]]
        first, last = self.days.get(key, (math.inf, -math.inf))
        self.days[key] = min([first, *days]), max([last, *days])
        if stack == SKIPPED:
            self.alone.append(row["name"])
        elif stack not in self.stacks:
            self.stacks.add(stack)
            self.add_stack(stack, combined)

    def add_stack(self, stack, exposures):
        """Take note of a stack whose exposures differ in depth, or may have lines flagged."""
        patterns = sorted({row["readpatt"] for row in exposures if row["readpatt"]})
        if len(patterns) > 1:
            self.readout.append(f"{stack} ({', '.join(patterns)})")
        groups = [int(row["ngroups"]) for row in exposures if row["ngroups"].isdigit()]
        if groups and max(groups) > 2 * min(groups):
            self.depth.append(f"{stack} ({min(groups)} to {max(groups)})")
        # An imprint shows no sky, either, so that no line survives in the minimum.
        empty = any(row["bkgdtarg"] or row["is_imprt"] for row in exposures)
        if len(exposures) < FEW and not empty:
            self.few.append(stack)

    def lines(self):
        """Return the table of groups, and a line for each of what a person should look at."""
        table = [("program", "instrument", "detector", "band, grating", "science", "background",
                  "selfcal", "days")]  # fmt: skip
        for key, group in sorted(self.groups.items()):
            first, last = self.days[key]
            days = f"{last - first:.1f}" if first <= last else "?"
            table.append((*key, *(str(len(names)) for names in group.values()), days))
        found = columns(table[: MOST_LINES + 1])
        if len(table) > MOST_LINES + 1:
            found.append(f"... and {len(table) - MOST_LINES - 1} more groups: {POOL}")
        texts = {
            "alone, so that nothing would be flagged (skipped)": self.alone,
            "stack of mixed readout patterns, whose masks differ in depth (selfcal_match: "
            "READPATT keeps them apart)": self.readout,
            "stack of very different numbers of groups, whose masks differ in depth": self.depth,
            f"stack of fewer than {FEW} exposures without dedicated background (spectral lines "
            "may be flagged)": self.few,
        }
        return found + [
            f"{len(names)} {text if len(names) == 1 else text.replace('stack ', 'stacks ', 1)}: "
            f"{shortened(names)}"
            for text, names in texts.items()
            if names
        ]


def columns(table):
    """Return the rows of a table of texts as lines, the columns below each other."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def shortened(names, most=5):
    """Return the first few of some names as a text."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def pool_lines(rows):
    """Say how many exposures play a part, and why others do not: oddities line by line."""
    out = [row for row in rows if row["reason"]]
    usual = Counter(
        row["reason"].partition(" (")[0] for row in out if not unexpected(row["reason"])
    )
    strange = [f"{row['path']}: {row['reason']}" for row in out if unexpected(row["reason"])]
    if strange:
        usual["of which below"] = len(strange)
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(usual.items()))
    without = f", {len(out)} of them without a part ({kinds})" if out else ""
    lines = [f"exposures: {len(rows)}{without}; see {POOL}"]
    more = [f"... and {len(strange) - MOST_LINES} more"] if len(strange) > MOST_LINES else []
    return [*lines, *strange[:MOST_LINES], *more]


def unexpected(reason):
    """Tell whether an exposure should have played a part, so that the user is told of it."""
    return reason.startswith(("unreadable", "no ", "its name"))


# ---- all of it -----------------------------------------------------------------------------------


def new_associations(recipes, rows):
    """Yield the file name, the association and the members of each exposure to be calibrated."""
    for row in rows:
        if not row["is_imprt"]:
            members = recipes.members(row)
            yield f"{row['name']}_spec2_asn.json", association_of(row, members), [members]


def copied_associations(patterns, recipes, rows, files, notes):
    """Yield the same of associations that exist; `notes` grows by a line for each that is not."""
    by_name = {row["name"]: row for row in rows}
    paths, faults = find_associations(patterns)
    notes += faults
    for path in paths.values():
        if os.path.realpath(os.path.dirname(path)) == os.path.realpath(FOLDER):
            notes.append(f"{path}: copies go to {FOLDER}; have from_associations in another folder")
            continue
        try:
            association = read_association(path)
        except Fault as fault:
            notes += str(fault).splitlines()
            continue
        folder = os.path.dirname(path)
        copy, members, lost = with_selfcal(association, folder, recipes, by_name, files)
        notes += [f"{path}: {name}: no such file beside it or in exposures" for name in lost]
        if any(role == "science" for product in members for _, role in product):
            yield os.path.basename(path), copy, members
        else:
            notes.append(f"{path}: its science exposure plays no part; not copied")


def members_there(path, rows):
    """Read the members of an association that was edited by hand, as of `new_associations`."""
    by_name = {row["name"]: row for row in rows}
    return [
        [
            (by_name[exposure_name(member["expname"])], member["exptype"].lower())
            for member in product["members"]
            if exposure_name(member["expname"]) in by_name
        ]
        for product in read_association(path)["products"]
    ]


def pool_table(rows):
    """Return the pool as CSV."""
    file = io.StringIO()
    table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


def write_associations(made, rows, files, checks, force_single=False):
    """
    Write associations one by one, so that memory does not grow with their number.

    Parameters
    ----------
    made : iterable of (str, dict, list)
        As of `new_associations`.
    rows : list of dict
        The exposures that play a part; they learn their roles and their stack.
    files : Files
    checks : Checks
    force_single : bool
        As of the config.
    """
    roles, stacks, own = defaultdict(set), defaultdict(set), {}
    for name, association, products in made:
        path = f"{FOLDER}/{name}"
        if not files.write(path, json.dumps(association, indent=4) + "\n"):
            products = members_there(path, rows)
        for members in filter(None, products):
            stack = stack_of(members, force_single)
            own.update((row["name"], stack) for row, role in members if role == "science")
            for row, role in members:
                roles[row["name"]].add(role)
                stacks[row["name"]].add(stack)
            checks.add(members, stack)
    for row in rows:
        name = row["name"]
        row["roles"] = " ".join(sorted(roles[name], key=ROLES.index))
        row["stack"] = own.get(name) or " ".join(sorted(stacks[name]))
        row["reason"] = "" if roles[name] else "in no association"


def main(arguments):
    """Write ``associations/``, and print what a person checks."""
    if not arguments.exposures:
        raise Fault("config: exposures is empty; name a folder of exposures")
    paths, notes = find_exposures(arguments.exposures)
    if not paths:
        raise Fault("\n".join(notes))
    match = arguments.selfcal_match
    pool, more = read_pool(paths, arguments.backgrounds, match)
    rows = [row for row in pool if not row["reason"]]
    if faults := same_names(rows):
        raise Fault("\n".join(faults))
    notes += more
    notes += [
        f"selfcal_match: no exposure has {keyword} in its header; correct it"
        for i, keyword in enumerate(match)
        if rows and all(row["match"][i] is None for row in rows)
    ]
    days, most, programs = (
        arguments.selfcal_days,
        arguments.selfcal_most,
        arguments.selfcal_programs,
    )
    recipes = Recipes(rows, days, most, programs)
    made = new_associations(recipes, rows)
    if arguments.from_associations:
        tree = {os.path.basename(row["path"]): row["path"] for row in pool}
        made = copied_associations(arguments.from_associations, recipes, rows, tree, notes)
    files, checks = Files(), Checks()
    write_associations(made, rows, files, checks, arguments.force_single)
    files.write(POOL, pool_table(pool))
    files.remember()
    print("\n".join(pool_lines(pool) + checks.lines() + files.lines()))
    for note in notes:
        warn(note)
    if not checks.groups:
        raise Fault(f"{POOL}: nothing to calibrate among {len(pool)} exposures; see its reasons")


def options():
    """Return the command line."""
    options = parser(__doc__)
    options.add_argument("exposures", nargs="*", help="folders, globs or files")
    options.add_argument("--backgrounds", nargs="*", default=[], help="are dedicated backgrounds")
    options.add_argument(
        "--selfcal-match", nargs="*", default=[], help="keywords that selfcal exposures share"
    )
    options.add_argument("--selfcal-days", type=float, default=0, help="largest distance; 0: any")
    options.add_argument("--selfcal-most", type=int, default=0, help="so many at most; 0: all")
    options.add_argument("--selfcal-programs", choices=["same", "any"], default="same")
    options.add_argument(
        "--from-associations", nargs="*", default=[], help="copy these, add selfcal members"
    )
    options.add_argument("--force-single", action="store_true", help="as of the run")
    return options
