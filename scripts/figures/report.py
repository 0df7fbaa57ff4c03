"""Write the page of a run: a card for each stack, its products, what is not flagged, provenance."""

import base64
import json
import os

import pandas as pd

from badpix_selfcal.associations import COMBINED
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.figure_table import FIGURES
from badpix_selfcal.fits_io import read_primary
from badpix_selfcal.flag_diagnostics import LONG
from badpix_selfcal.labels import format_settings, format_target, format_title, list_exposures
from badpix_selfcal.page_templates import load_template
from badpix_selfcal.paths import SKIPPED
from badpix_selfcal.summary import list_warnings

FAILED = ("failed", "not reached")
FROM_SUMMARY = ("program", "target", "n_new", "warnings")


def collect_roles(members):
    """
    Collect the roles of each exposure in each stack.

    Parameters
    ----------
    members : DataFrame
        The table members.csv.

    Returns
    -------
    roles : dict of str to dict of str to list of str
        By stack, by exposure: of science, background, selfcal; an exposure may have all of them.
    """
    rows = members[members["exptype"].isin(COMBINED) & (members["stack"] != SKIPPED)]
    roles = {}
    for (stack, exposure), found in rows.groupby(["stack", "exposure"], sort=False)["exptype"]:
        own = [role for role in COMBINED if role in set(found)]
        roles.setdefault(stack, {})[exposure] = own
    return roles


def format_roles(roles):
    """Count exposures by their first role, such as "6 exposures: 4 science, 2 background"."""
    first = [own[0] for own in roles.values()]
    text = ", ".join(f"{first.count(role)} {role}" for role in COMBINED if role in first)
    return f"{len(first)} exposure{'s' if len(first) > 1 else ''}: {text}"


def list_products(members, summary, status):
    """
    List the products with their status.

    Parameters
    ----------
    members, summary : DataFrame
        The tables members.csv and summary.csv.
    status : DataFrame
        The table status.csv of a run that failed; empty otherwise.

    Returns
    -------
    products : list of dict
        In the order of members: association, product, science, stack, of the summary FROM_SUMMARY,
        status, message.
    """
    columns = ["association", "product", "exposure", "stack"]
    products = members.loc[members["exptype"] == "science", columns]
    products = products.rename(columns={"exposure": "science"})
    found = summary[["association", "product", *FROM_SUMMARY]]
    products = products.merge(found, "left").merge(status, "left").fillna("").to_dict("records")
    for row in products:
        if row["status"] in FAILED:
            where = f"at {row['stage']}: " if row["stage"] else ""
            row["message"] = where + row["message"]
        elif row["stack"] == SKIPPED:
            row.update(status="skipped", message=row["warnings"])
        else:
            row.update(status="done", message="")
    return products


def read_file(path):
    """Return the content of a file; empty if it is missing."""
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def make_card(stack, roles, products, root):
    """
    Collect what the page says of a stack.

    Parameters
    ----------
    stack : str
        Its name.
    roles : dict of str to list of str
        From `collect_roles`, of this stack.
    products : list of dict
        From `list_products`, of this stack.
    root : str
        The folder of the results.

    Returns
    -------
    card : dict
        Without a header where the stack has no flags.
    """
    targets = dict.fromkeys(format_target(row["program"], row["target"]) for row in products)
    card = {"stack": stack, "title": stack, "products": products, "warnings": []}
    card |= {"roles": format_roles(roles), "target": "; ".join(filter(None, targets))}
    flags = os.path.join(root, "stacks", stack, "flags.fits")
    if not os.path.exists(flags):
        return card
    header = read_primary(flags)
    if n_dedicated := header.get("BPXNBKG"):
        card["roles"] += f"; {n_dedicated} are dedicated backgrounds"
    figures, regions = os.path.join(root, "figures", stack), f"figures/{stack}/flags.reg"
    thumbnail = read_file(os.path.join(root, "report", f"{stack}.png"))
    return {
        **card,
        "header": header,
        "warnings": list_warnings(header),
        "title": format_title(header),
        "settings": format_settings(header),
        "unit": header.get("BUNIT", ""),
        "exposures": [
            (name, ", ".join(roles.get(name, ())), pedestal, share)
            for name, pedestal, share, _ in list_exposures(header)
        ],
        "thumbnail": base64.b64encode(thumbnail).decode(),
        "figures": [f for f in FIGURES if os.path.exists(f"{figures}/{f.name}.png")],
        "tuned": read_file(os.path.join(root, "tune", stack, "suggestion.txt")).decode().strip(),
        "regions": regions if os.path.exists(os.path.join(root, regions)) else "",
    }


def read_table(path, columns=()):
    """Read a CSV table as a DataFrame of texts; without one, an empty table of `columns`."""
    if not path or not os.path.exists(path):
        return pd.DataFrame(columns=list(columns), dtype=str)
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("members", help="members.csv")
    options.add_argument("summary", help="summary.csv")
    options.add_argument("output", help="report.html, in the folder of the results")
    options.add_argument("--provenance", default="", help="provenance.json")
    options.add_argument("--status", help="status.csv of a run that failed")
    return options


def main(arguments):
    """Write ``report.html``."""
    members = read_table(arguments.members)
    summary = read_table(arguments.summary, ("association", "product", *FROM_SUMMARY))
    status = read_table(arguments.status, ("association", "status", "stage", "message"))
    products = list_products(members, summary, status)
    root = os.path.dirname(arguments.output)
    cards = [
        make_card(stack, roles, [row for row in products if row["stack"] == stack], root)
        for stack, roles in collect_roles(members).items()
    ]
    text = load_template("report.html").render(
        cards=sorted(cards, key=lambda card: (card["title"], card["target"])),
        products=products,
        long=LONG,
        provenance=json.loads(read_file(arguments.provenance) or "{}"),
        shared=len(read_table(os.path.join(root, "figures", "shared.csv"))),
    )
    write_text(arguments.output, text)
