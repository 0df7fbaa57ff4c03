"""Write the page of a run: a card for each stack, its products, what was left, how it was made."""

import base64
import csv
import json
import os

from badpix_selfcal.doubts import LONG
from badpix_selfcal.files import atomic_write
from badpix_selfcal.headers import read_primary
from badpix_selfcal.labels import settings, title
from badpix_selfcal.paths import SKIPPED
from badpix_selfcal.program import parser
from badpix_selfcal.tables import COMBINED
from badpix_selfcal.templates import environment

# Drawn by draw_stack; shown where they are there.
FIGURES = {
    "flags": "Flagged pixels on the minimum; the densest place of them, and a typical one",
    "stages": "Minimum, median and difference",
    "histogram": "The difference and its thresholds",
    "tails": "Pixels beyond a threshold, against what noise would give; what a flagfrac costs",
    "cuts": "Cuts along the dispersion through flagged pixels",
    "places": "Where the flags lie on the detector",
    "sources": "Which exposure set the minimum",
    "runs": "Runs of adjacent flags, and flags that may be of spectral lines",
    "known": "Flags against the DQ that the exposure had",
}


def roles_of(members):
    """
    Collect what each exposure is in each stack.

    Parameters
    ----------
    members : list of dict
        The rows of members.csv.

    Returns
    -------
    roles : dict of str to dict of str to set of str
        By stack, by exposure: science, background, selfcal; an exposure may be all of them.
    """
    found = {}
    for row in members:
        if row["exptype"] in COMBINED and row["stack"] != SKIPPED:
            stack = found.setdefault(row["stack"], {})
            stack.setdefault(row["exposure"], set()).add(row["exptype"])
    return found


def words_of_roles(roles):
    """Say how many exposures have which role: "6 exposures: 4 science, 2 background, 6 selfcal"."""
    counts = {role: sum(role in of for of in roles.values()) for role in COMBINED}
    words = ", ".join(f"{n} {role}" for role, n in counts.items() if n)
    twice = sum(counts.values()) > len(roles)
    return f"{words} ({len(roles)} files; one may have several roles)" if twice else words


def exposures_of(header, roles):
    """List the exposures of a stack: name, roles, pedestal, share of the minimum, warning."""
    rows = []
    for i in range(1, header["BPXNEXP"] + 1):
        name, pedestal, share, warning = (header.get(f"BPX{c}{i:04}") for c in "EPFW")
        has = [role for role in COMBINED if role in roles.get(name, ())]
        rows.append((name, ", ".join(has), pedestal, share, warning))
    return rows


def products_of(members, summary, status):
    """
    List what became of each product.

    Parameters
    ----------
    members, summary : list of dict
        The rows of members.csv and summary.csv.
    status : list of dict
        The rows of status.csv of a run that failed; empty after one that did not.

    Returns
    -------
    products : list of dict
        In the order of members: association, product, science, stack, status, message, and what
        the summary says.
    """
    counted = {(row["association"], row["product"]): row for row in summary}
    of_association = {row["association"]: row for row in status}
    found = []
    for row in members:
        if row["exptype"] == "science":
            key = row["association"], row["product"]
            known = counted.get(key, {})
            said = of_association.get(row["association"], {})
            failed = said.get("status") in ("failed", "not reached")
            skipped = row["stack"] == SKIPPED
            state = said["status"] if failed else "skipped" if skipped else "done"
            where = f"at {said['stage']}: " if said.get("stage") else ""
            found.append({
                **known,
                **{name: row[name] for name in ("association", "product", "stack")},
                "science": row["exposure"],
                "status": state,
                "message": f"{where}{said.get('message', '')}" if failed
                else known.get("warnings", "") if skipped else "",
            })  # fmt: skip
    return found


def counts_of(header):
    """List what a card says of the flags: name, number, explanation."""
    rows = [
        ("high", header["BPXNHI"], "warm pixels, above the high threshold"),
        ("low", header["BPXNLO"], "dead or over-subtracted ones, below the low threshold"),
        ("at the ends", header["BPXNEDGE"], "within half a kernel of the detector's ends"),
    ]
    if "BPXNRUN" in header:
        rows += [
            (f"in runs of {LONG} or more", header["BPXNRUN"], "along the dispersion"),
            ("line-like", header["BPXNLINE"], "bright, and at one wavelength in several slices"),
        ]
    return rows


def unique(texts):
    """Return the texts that say something, each once, in their order."""
    return list(dict.fromkeys(text for text in texts if text))


def tuned(stack, root):
    """Return the setting that the tuning of a stack suggests, in words; empty without a tuning."""
    path = os.path.join(root, "tune", stack, "suggestion.txt")
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def card_of(stack, roles, products, root):
    """
    Collect what the page says of a stack.

    Parameters
    ----------
    stack : str
        Its name.
    roles : dict of str to set of str
        As of `roles_of`, of this stack.
    products : list of dict
        As of `products_of`, of this stack.
    root : str
        The folder of the results.

    Returns
    -------
    card : dict
        Without a header where the stack was not made.
    """
    card = {
        "stack": stack,
        "products": products,
        "roles": words_of_roles(roles),
        "exposures": [(name, ", ".join(sorted(of)), *[None] * 3) for name, of in roles.items()],
        "warnings": unique(row.get("warnings") for row in products),
    }  # fmt: skip
    flags = os.path.join(root, "stacks", stack, "flags.fits")
    if not os.path.exists(flags):
        return {**card, "title": stack}
    header = read_primary(flags).values
    picture = os.path.join(root, "report", f"{stack}.png")
    thumbnail = ""
    if os.path.exists(picture):
        with open(picture, "rb") as file:
            thumbnail = base64.b64encode(file.read()).decode()
    figures = [
        (name, caption)
        for name, caption in FIGURES.items()
        if os.path.exists(os.path.join(root, "figures", stack, f"{name}.png"))
    ]
    regions = os.path.join("figures", stack, "flags.reg")
    return {
        **card,
        "header": header,
        "title": title(header),
        "settings": settings(header),
        "unit": header.get("BUNIT", ""),
        "counts": counts_of(header),
        "exposures": exposures_of(header, roles),
        "thumbnail": thumbnail,
        "figures": figures,
        "tuned": tuned(stack, root),
        "regions": regions if os.path.exists(os.path.join(root, regions)) else "",
    }


def read_table(path):
    """Read a CSV table as a list of dict; without one, an empty list."""
    if not path or not os.path.exists(path):
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read_provenance(path):
    """Read provenance.json; without one, an empty dict."""
    if not path or not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("members", help="members.csv")
    options.add_argument("summary", help="summary.csv")
    options.add_argument("output", help="report.html, in the folder of the results")
    options.add_argument("--provenance", help="provenance.json")
    options.add_argument("--recall", help="recall.csv of the demo")
    options.add_argument("--status", help="status.csv of a run that failed")
    return options


def main(arguments):
    """Write ``report.html``."""
    members, status = read_table(arguments.members), read_table(arguments.status)
    products = products_of(members, read_table(arguments.summary), status)
    root = os.path.dirname(arguments.output)
    cards = [
        card_of(stack, roles, [row for row in products if row["stack"] == stack], root)
        for stack, roles in roles_of(members).items()
    ]
    page = environment().get_template("report.html")
    text = page.render(
        cards=sorted(cards, key=lambda card: (card["title"], card["stack"])),
        products=products,
        left=[row for row in products if row["status"] != "done"],
        made=read_provenance(arguments.provenance),
        recall=read_table(arguments.recall),
        shared=os.path.exists(os.path.join(root, "figures", "shared.png")),
    )
    with atomic_write(arguments.output) as part, open(part, "w", encoding="utf-8") as file:
        file.write(text)
