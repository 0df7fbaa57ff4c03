"""Validation of config and members before any work; each error is one line with its remedy."""

import difflib
import glob
import os

import jsonschema
import pandas as pd
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from badpix_selfcal.associations import COMBINED, MISSING, exposure_name
from badpix_selfcal.exposures import CATALOG, find_exposures
from badpix_selfcal.labels import count, name_first, shorten_lines
from badpix_selfcal.paths import workdir_patterns


def check_yaml(path):
    """Raise a `WorkflowError` that names a config file which is no YAML, and where."""
    try:
        with open(path, encoding="utf-8") as file:
            yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        fault = " ".join(str(error).split())
        raise WorkflowError(f"{path}: {fault}; quote globs in YAML") from error


def validate_config(config, path):
    """
    Fill in the defaults of a config, and validate it by its schema.

    Parameters
    ----------
    config : dict
    path : str
        The schema.

    Returns
    -------
    schema : dict
        Its properties, by key.

    Raises
    ------
    WorkflowError
        With a line for each key: the nearest known key, or the values that are allowed.
    """
    with open(path, encoding="utf-8") as file:
        schema = yaml.safe_load(file)["properties"]
    for key, value in config.items():
        kind = schema.get(key, {}).get("type")
        # Of --config, Snakemake reads True as a boolean, true as a text.
        if kind == "boolean" and value in ("true", "false"):
            config[key] = value == "true"
        elif kind == "integer" and isinstance(value, float) and value.is_integer():
            config[key] = int(value)
    try:
        validate(config, path)
    except WorkflowError as error:
        raise WorkflowError(*find_config_errors(config, schema)) from error
    if config["repeat_fraction"] and config["threshold"] != "sigma":
        raise WorkflowError("config: repeat_fraction needs threshold: sigma; set it, or set 0")
    return schema


def fill_associations(config):
    """Name the associations of the run folder, else the demo's, where the config names none."""
    if config["associations"]:
        return []
    own, demo = "associations/*_asn.json", "demo/associations/*_asn.json"
    config["associations"] = own if glob.glob(own) or not glob.glob(demo) else demo
    return [f"associations: {config['associations']}"]


def find_config_errors(config, schema):
    """Return the errors of a config, or of a row of a table of settings, one line per key."""
    errors = []
    for key, value in config.items():
        rule = schema.get(key)
        if rule is None:
            near = difflib.get_close_matches(key, schema, 1, 0.5) or sorted(schema)
            errors.append(f"config: unknown key {key}; known is {', '.join(near)}")
        elif value != value or not jsonschema.Draft202012Validator(rule).is_valid(value):
            allowed = rule.get("x-allowed") or "one of " + ", ".join(map(str, rule["enum"]))
            errors.append(f"config: {key}: {value!r} is not {allowed}; {find_remedy(rule, value)}")
    return errors


def find_remedy(rule, value):
    """Return the remedy for a value: in YAML 1.1, 1e-3 is a text, and 01204 is octal."""
    if rule.get("type") in ("number", "integer") and isinstance(value, str):
        try:
            return f"YAML reads it as a text, write {float(value)!r}"
        except ValueError:
            pass
    if "anyOf" in rule and int in {*map(type, value if isinstance(value, list) else [value])}:
        return "quote it, as YAML reads a number (01204 as an octal one)"
    return "correct it"


def find_member_errors(members, made=()):
    """
    Check that the exposures of a members table exist, and that names are unique.

    Parameters
    ----------
    members : DataFrame
    made : collection of str
        Exposures that need not exist, as the workflow makes them.

    Returns
    -------
    errors : list of str
        Each with its associations.
    """
    errors = []
    combined = members[members["exptype"].isin(COMBINED)]
    files = combined.drop_duplicates(["exposure", "path"])
    for exposure, rows in files[files["exposure"].duplicated(keep=False)].groupby("exposure"):
        where = name_associations(combined[combined["exposure"] == exposure])
        paths = " and ".join(sorted(rows["path"]))
        errors.append(
            f"{paths}: two files of one exposure name, members of {where}; let all name one of them"
        )
    for path in files["path"]:
        if set(path) & set("{}[]$"):
            errors.append(f"{path}: braces, brackets or $; rename the folder or file")
        elif path not in made and not os.path.isfile(path):
            where = name_associations(combined[combined["path"] == path])
            errors.append(
                f"{path}: no such file, a member of {where}; fetch it, name its folder in "
                "exposures, or set missing_members to skip"
            )
    return errors


def find_member_warnings(members):
    """Return a line for each kind of member, or of product, that is probably not as meant."""
    warnings = []
    for exptype in sorted(set(members["exptype"]) - {*COMBINED, MISSING}):
        if near := difflib.get_close_matches(exptype, COMBINED, 1, 0.7):
            where = name_associations(members[members["exptype"] == exptype])
            warnings.append(f"{where}: exptype {exptype} is ignored; is {near[0]} meant?")
    dropped = members[members["exptype"] == MISSING]
    if len(dropped):
        n, where = dropped["path"].nunique(), name_associations(dropped)
        text = f"{count(n, 'selfcal exposure')} missing and dropped, members of {where}"
        warnings.append(text)
    science = members[members["exptype"] == "science"]
    for product, rows in science[science["product"].duplicated(False)].groupby("product"):
        where = name_associations(rows)
        warnings.append(f"product {product} is in {where}: calwebb_spec2 writes all to one file")
    return shorten_lines(warnings)


def find_new_exposures(patterns, members):
    """Return a line that names the exposures that `generate` has not seen, if it has run."""
    if not patterns or not os.path.exists(CATALOG):
        return []
    known = {*pd.read_csv(CATALOG, dtype=str)["name"], *members["exposure"]}
    paths, _ = find_exposures(workdir_patterns(patterns))
    new = [path for path in paths if exposure_name(path) not in known]
    if not new:
        return []
    n = f"{count(len(new), 'exposure')} {'are' if new[1:] else 'is'}"
    return [f"{n} in no association ({name_first(new, 3)}); run generate"]


def name_associations(members):
    """Name the associations of some members, the first few of many."""
    return name_first([f"{name}.json" for name in members["association"].unique()], 3)
