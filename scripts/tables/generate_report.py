"""What ``generate`` says: the groups, the stacks that deserve a look, the exposures not used."""

import os
from collections import Counter, defaultdict

import pandas as pd

from badpix_selfcal.associations import COMBINED
from badpix_selfcal.exposures import CATALOG
from badpix_selfcal.labels import count, name_first, shorten_lines
from badpix_selfcal.paths import SKIPPED

ROLES = ("science", "background", "imprint", "selfcal")
TABULATED = ("science", "background", "selfcal")
FEW = 4  # exposures of a stack without dedicated background: lines may be flagged
# Beginnings of reasons of exposures that should have been used, or that are in the way.
UNEXPECTED = ("unreadable", "no ", "its name", "second file", "calibrated", "already")


def fill_catalog(catalog, products):
    """Fill in roles, stack and reason of the catalog, in place; `products` as of `main`."""
    roles, stacks, own = defaultdict(set), defaultdict(set), {}
    for stack, members in products:
        for role, labels in members.items():
            for label in labels:
                roles[label].add(role)
                stacks[label].add(stack)
        own |= {label: {stack} for label in members["science"]}
    used = catalog.index[catalog["reason"] == ""]
    catalog.loc[used, "roles"] = [" ".join(r for r in ROLES if r in roles[i]) for i in used]
    catalog.loc[used, "stack"] = [" ".join(sorted(own.get(i, stacks[i]))) for i in used]
    catalog.loc[used, "reason"] = ["" if roles[i] else "in no association" for i in used]


def tabulate_groups(catalog, products):
    """Return the table of groups as lines: how many exposures of each role, over how many days."""
    groups = defaultdict(lambda: defaultdict(set))
    for _, members in products:
        row = catalog.loc[members["science"][0]]
        element = row["band"] or f"{row['grating']}/{row['filter']}"
        instrument = "MIRI" if row["exp_type"] == "MIR_MRS" else "NIRSPEC"
        group = groups[row["program"], instrument, row["detector"], element]
        group["background" if row["bkgdtarg"] else "science"].add(row.name)
        for role in TABULATED[1:]:
            group[role].update(members.get(role, ()))
    rows = []
    for key, group in sorted(groups.items()):
        days = catalog.loc[sorted(set.union(*group.values())), "days"]
        counts = [len(group[role]) for role in TABULATED]
        rows.append((*key, *counts, f"{days.max() - days.min():.1f}".replace("nan", "?")))
    titles = ["program", "instrument", "detector", "band/grating", *TABULATED, "days"]
    title, *lines = pd.DataFrame(rows, columns=titles).to_string(index=False).splitlines()
    return [title, *shorten_lines(lines)]


def list_doubts(catalog, products):
    """Return a line for each kind of stack that deserves a look."""
    alone = [catalog["name"][members["science"][0]] for s, members in products if s == SKIPPED]
    mixed, depths, few = [], [], []
    for stack, members in dict(products).items():
        if stack == SKIPPED:
            continue
        combined = {label for role in COMBINED for label in members.get(role, ())}
        rows = catalog.loc[sorted(combined)]
        processing = list(rows["processing"])
        kinds = {kind: sorted({p[kind] for p in processing} - {""}) for kind in processing[0]}
        depth, n_groups = kinds.pop("depth"), pd.to_numeric(rows["ngroups"], errors="coerce")
        if n_groups.max() > 2 * n_groups.min() and not rows["band"].any():  # of MRS, depth says it
            depth.append(f"{n_groups.min():.0f} to {n_groups.max():.0f} groups")
        if len(depth) > 1:
            depths.append(f"{stack} ({', '.join(depth)})")
        if differing := [f"{k} {', '.join(v)}" for k, v in kinds.items() if len(v) > 1]:
            mixed.append(f"{stack} ({'; '.join(differing)})")
        # An imprint sees no sky either, so that no line survives in the minimum.
        if len(rows) < FEW and not (rows["bkgdtarg"] | rows["is_imprt"]).any():
            few.append(stack)
    found = {
        "alone, nothing would be flagged (skipped)": alone,
        "of mixed processing": mixed,
        "of mixed depth, whose bad-pixel masks differ (selfcal_match keeps READPATT or NGROUPS "
        "apart)": depths,
        f"of fewer than {FEW} exposures without dedicated background (spectral lines may be "
        "flagged)": few,
    }
    return [
        f"{count(len(names), 'exposure' if names is alone else 'stack')} {text}: "
        + name_first(names)
        for text, names in found.items()
        if names
    ]


def check_backgrounds(catalog, named):
    """Return a line for each pattern of the config's backgrounds that no exposure has as such."""
    notes = []
    for pattern, labels in named.items():
        rows = catalog.loc[labels]
        reasons = [reason for reason in rows["reason"] if reason]
        why = "it matches no exposure" if rows.empty else "no science of its detector and band"
        if not rows["roles"].str.contains("background").any():
            notes.append(
                f"backgrounds: {pattern}: not used, {next(iter(reasons), why)}; correct it"
            )
    return notes


def list_outcomes(outcomes, written):
    """
    Say what was written and what was not.

    Parameters
    ----------
    outcomes : dict of str to str
        "written", "unchanged" or "edited", by path; pool.csv is among them.
    written : collection of str
        Names of files of this and of earlier runs.

    Returns
    -------
    lines : list of str
    """
    edited = [path for path, outcome in outcomes.items() if outcome == "edited"]
    counts = Counter(outcome for path, outcome in outcomes.items() if path != CATALOG)
    folder = os.path.dirname(CATALOG)
    old = [n for n in sorted(written) if f"{folder}/{n}" not in outcomes]
    old = [name for name in old if os.path.exists(f"{folder}/{name}")]
    found = {
        "edited by hand and kept: {}; to make one again, delete it and run generate again": edited,
        "of an earlier generate, no longer made: {}; delete what is not wanted": old,
    }
    return [
        f"associations: {counts['written']} written, {counts['unchanged']} unchanged, in {folder}/",
        *(
            f"{len(found[text])} {text.format(name_first(found[text]))}"
            for text in found
            if found[text]
        ),
    ]


def list_purposes(catalog, products):
    """Say which associations calwebb_spec2 needs for which way to subtract a background."""
    n = sum("background" in members for _, members in products)
    rows = catalog.loc[[members["science"][0] for _, members in products]]
    own = list(rows.loc[rows["bkgdtarg"], "name"])
    found = {
        "with backgrounds, which calwebb_spec2 subtracts pixel by pixel; for a master background "
        "instead, give it --steps.bkg_subtract.skip=true": n,
        "of dedicated backgrounds; calibrate them for a master background alone: "
        + name_first(own): len(own),
    }  # fmt: skip
    return [f"{count(n, 'association')} {text}" for text, n in found.items() if n]


def list_unused(catalog):
    """Say how many exposures are used, and why others are not: the unexpected ones line by line."""
    unused = catalog[catalog["reason"] != ""]
    strange = unused["reason"].str.startswith(UNEXPECTED)
    kinds = unused.loc[~strange, "reason"].str.split(" (", regex=False).str[0].value_counts()
    counts = [f"{n} {kind}" for kind, n in kinds.sort_index().items()]
    counts += [f"{strange.sum()} listed below"] if strange.any() else []
    text = f", {len(unused)} of them not used ({', '.join(counts)})" if len(unused) else ""
    lines = unused["path"] + ": " + unused["reason"]
    return [f"exposures: {len(catalog)}{text}; see {CATALOG}", *shorten_lines(list(lines[strange]))]
