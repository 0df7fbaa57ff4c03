"""What the Snakefile checks before any work: the config and the members table, by their schemas."""

import difflib
import os

import pandas as pd
import yaml

from badpix_selfcal import parameters
from badpix_selfcal.tables import COMBINED

NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"  # of exposures and associations, as in tables.NAME
FAULTS = ".snakemake/badpix_selfcal/faults.txt"


def read_schema(path):
    """Read a JSON schema written in YAML."""
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # in C where it is


def validator_of(rule):
    """Return what checks values by a rule of a schema."""
    import jsonschema  # which jobs on a cluster do without: they check nothing

    return jsonschema.Draft202012Validator(rule)


def own_config(defaults, is_module):
    """
    Return the config.yaml of the working directory, None if there is none of its own.

    Parameters
    ----------
    defaults : str
        The workflow's config.yaml, which lies there where the workflow runs in its own folder.
    is_module : bool
        Whether another workflow uses this one: a config.yaml there is that workflow's.
    """
    path = "config.yaml"
    if is_module or not os.path.exists(path) or os.path.samefile(path, defaults):
        return None
    return path


def complete(config, schema):
    """Fill in the defaults of a config; take "true" for true and 17.0 for 17."""
    for key, rule in schema["properties"].items():
        config.setdefault(key, rule["default"])
        value = config[key]
        if rule.get("type") == "boolean" and isinstance(value, str):
            config[key] = {"true": True, "false": False}.get(value.lower(), value)
        if rule.get("type") != "number" and isinstance(value, float) and value.is_integer():
            config[key] = int(value)


def config_faults(config, schema):
    """
    Check a config by its schema.

    Returns
    -------
    faults : list of str
        Unknown keys, values of the wrong type or out of range.
    """
    faults = []
    for key, value in config.items():
        rule = schema["properties"].get(key)
        if rule is None:
            near = difflib.get_close_matches(key, schema["properties"], 1, 0.5)
            known = near or sorted(schema["properties"])
            faults.append(f"config: unknown key {key}; known is {', '.join(known)}")
        elif value != value or not validator_of(rule).is_valid(value):
            faults.append(f"config: {key}: {value!r} is not {wanted(rule)}; {remedy(rule, value)}")
    return faults


def read_settings(path, schema):
    """
    Read a table of settings to compare, and check it by the config's schema.

    Returns
    -------
    settings : DataFrame or None
        With the columns of `parameters.SETTING`, of which the table may lack those of
        `parameters.SIGMA`; none where there are faults.
    faults : list of str
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        return None, [f"{path}: not a readable table ({error}); correct tune in the config"]
    wanted_columns = list(parameters.SETTING)
    needed = set(wanted_columns) - set(parameters.SIGMA)
    if not needed <= {*table.columns} <= {*wanted_columns} or not len(table):
        wanted_text = ", ".join(wanted_columns)
        return None, [f"{path}: a table of {wanted_text} is needed; correct the columns"]
    defaults = {name: schema["properties"][name]["default"] for name in wanted_columns}
    rows, faults = [], []
    for i, row in enumerate(table.to_dict("records"), start=1):
        # What a row leaves empty has its default, as has what plays no part with its threshold.
        row = defaults | {name: value for name, value in row.items() if value == value}
        complete(row, {"properties": {name: schema["properties"][name] for name in row}})
        found = config_faults(row, schema)
        faults += [f"{path}: row {i}: {fault}" for fault in found]
        rows.append(row if found else defaults | parameters.effective(row))
    return (None, faults) if faults else (pd.DataFrame(rows).drop_duplicates(), faults)


def wanted(rule):
    """Say in words which values a key of the config takes."""
    if "enum" in rule:
        return "one of " + ", ".join(str(value) for value in rule["enum"])
    if "anyOf" in rule:
        what = "a header keyword" if "pattern" in rule["anyOf"][0] else "a path, a glob"
        return f"{what} or a list of them"
    words = {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "string": "a path",
        "array": "a list of paths",
    }
    text = words[rule["type"]]
    if "not" in rule:
        text = "an odd number"
    if "maximum" in rule:
        return f"{text} from {rule['minimum']} to {rule['maximum']}"
    if "exclusiveMinimum" in rule:
        most = f", at most {rule['maximum']}" if "maximum" in rule else ""
        return f"{text} above {rule['exclusiveMinimum']}{most}"
    if "minimum" in rule:
        return f"{text}, {rule['minimum']} or more"
    return text


def remedy(rule, value):
    """Say what to do; it may be the trap of YAML 1.1, where 1e-3 is a text and 1.0e-3 a number."""
    if rule.get("type") in ("number", "integer") and isinstance(value, str):
        try:
            return f"YAML reads it as a text, write {float(value)!r}"
        except ValueError:
            pass
    return "correct it"


def member_faults(members, schema, made=()):
    """
    Check a members table by its schema, and that its exposures are there and are of one name.

    Parameters
    ----------
    members : DataFrame
        The members table.
    schema : dict
        Its schema, of which each column's rule is applied to the distinct values.
    made : set of str
        Paths that need not be there, as the workflow makes them.

    Returns
    -------
    faults : list of str
        Each with its associations.
    """
    faults = []
    for column, rule in schema["properties"].items():
        validator = validator_of(rule)
        for value in members[column].unique():
            if not validator.is_valid(value):
                where = associations_of(members[members[column] == value])
                faults.append(f"{where}: {column} {value!r} is not {rule}; rename it")
    combined = members[members["exptype"].isin(COMBINED)]
    files = combined.drop_duplicates(["exposure", "path"])
    for exposure, rows in files[files["exposure"].duplicated(keep=False)].groupby("exposure"):
        where = associations_of(combined[combined["exposure"] == exposure])
        paths = " and ".join(sorted(rows["path"]))
        faults.append(f"{paths}: two files of one exposure name, members of {where}; keep one")
    for path in files["path"]:
        if "{" in path or "}" in path:
            faults.append(f"{path}: a brace, which names a wildcard; rename the folder or file")
        elif path not in made and not os.path.isfile(path):
            where = associations_of(combined[combined["path"] == path])
            faults.append(
                f"{path}: no such file, a member of {where}; fetch it, name its folder in "
                "exposures, or set missing to leave_out"
            )
    return faults


def missing_members(members, made=()):
    """Return the first missing exposure of each association that misses one, as a line for it."""
    combined = members[members["exptype"].isin(COMBINED)]
    there = {path for path in combined["path"].unique() if path in made or os.path.isfile(path)}
    gone = combined[~combined["path"].isin(there)].drop_duplicates("association")
    remedy = "fetch it, or name its folder in exposures"
    return {
        association: f"{path}: no such file; {remedy}"
        for association, path in zip(gone["association"], gone["path"], strict=True)
    }


def member_warnings(members):
    """Return a line for each exptype that looks like a misspelt one of those that matter."""
    warnings = []
    for exptype in sorted(set(members["exptype"]) - set(COMBINED)):
        near = difflib.get_close_matches(exptype, COMBINED, 1, 0.7)
        if near:
            where = associations_of(members[members["exptype"] == exptype])
            warnings.append(f"{where}: exptype {exptype} plays no part; is {near[0]} meant?")
    return warnings


def first_of(faults, most=50):
    """Return the first of many faults and a line that counts the others; the log has them all."""
    if len(faults) <= most:
        return faults
    os.makedirs(os.path.dirname(FAULTS), exist_ok=True)
    with open(FAULTS, "w", encoding="utf-8") as file:
        file.writelines(f"{fault}\n" for fault in faults)
    return [*faults[:most], f"... and {len(faults) - most} more; all of them are in {FAULTS}"]


def associations_of(members):
    """Name the associations of some members, the first few of many."""
    names = members["association"].unique()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"{name}.json" for name in names[:3]) + more
