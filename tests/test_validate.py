"""Validation of config, settings and members before any work."""

import math

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from snakemake.exceptions import WorkflowError

from badpix_selfcal.labels import shorten_lines
from badpix_selfcal.parameters import OPTIONAL, SETTING
from tune_settings import read_settings
from validate_inputs import (
    find_config_errors,
    find_member_errors,
    find_member_warnings,
    validate_config,
)

PATH = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SCHEMA = yaml.safe_load(PATH.read_text())["properties"]
OTHERWISE = "name its folder in exposures, or set missing_members to skip"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- config --------------------------------------------------------------------------------------


def test_a_config_is_filled_in():
    """With the defaults of config.yaml; --config makes texts of true and false."""
    config = {"kernel_size": 21.0, "force_single": "true", "save_flagged_bkg": "false"}
    assert validate_config(config, PATH) == SCHEMA
    defaults = yaml.safe_load((ROOT / "config.yaml").read_text())
    own = {"kernel_size": 21, "force_single": True, "save_flagged_bkg": False}
    assert config == {**defaults, **own}
    assert isinstance(config["kernel_size"], int)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("kernal_size: 5", "unknown key kernal_size; known is kernel_size"),
        ("zzz: 5", "unknown key zzz; known is associations, "),
        ("kernel_size: -3", "kernel_size: -3 is not an odd number from 1 to 9999; correct it"),
        ("kernel_size: 4", "kernel_size: 4 is not an odd number from 1 to 9999; correct it"),
        ("kernel_size: 5.0.0", "kernel_size: '5.0.0' is not an odd number from 1 to 9999; corr"),
        ("kernel_size: '17'", "YAML reads it as a text, write 17"),
        ("kernel_size: .nan", "kernel_size: nan is not"),
        ("flagfrac_upper: 0.6", "flagfrac_upper: 0.6 is not a number from 0 to 0.5; correct it"),
        ("flagfrac_upper: .nan", "flagfrac_upper: nan is not a number from 0 to 0.5"),
        ("flagfrac_upper: 1e-3", "YAML reads it as a text, write 0.001"),
        ("flagfrac_lower: few", "flagfrac_lower: 'few' is not a number from 0 to 0.5; correct it"),
        ("edge_mode: none", "edge_mode: 'none' is not one of zero, shrink; correct it"),
        ("dispersion_axis: 3", "dispersion_axis: 3 is not one of auto, 1, 2"),
        ("force_single: maybe", "force_single: 'maybe' is not true or false"),
        ("associations: 3", "3 is not a path, a glob or a list of them; quote it"),
        ("exposures: 01204", "exposures: 644 is not a path, a glob or a list of them; quote it"),
        ("tune: 3", "tune: 3 is not a path; correct it"),
    ],
)
def test_an_error_of_the_config_says_what_is_wanted(text, error):
    (found,) = find_config_errors(yaml.safe_load(text), SCHEMA)
    assert found.startswith("config: ")
    assert error in found


def test_all_errors_of_the_config_are_listed():
    config = {"kernal_size": 5, "flagfrac_upper": math.nan, "edge_mode": "none"}
    with pytest.raises(WorkflowError) as raised:
        validate_config(config, PATH)
    starts = [line.rpartition(";")[0] for line in str(raised.value).splitlines()]
    assert starts == [
        "config: unknown key kernal_size",
        "config: flagfrac_upper: nan is not a number from 0 to 0.5",
        "config: edge_mode: 'none' is not one of zero, shrink",
    ]


def test_many_errors_are_cut_short():
    errors = [f"{i}" for i in range(60)]
    assert shorten_lines(errors, 50) == [*errors[:50], "... and 10 more"]
    assert shorten_lines(errors[:50], 50) == errors[:50]


# ---- the settings that tune compares -------------------------------------------------------------


def test_settings_are_read_in_any_order_of_columns_and_once_each(here):
    row = {name: SCHEMA[name]["default"] for name in SETTING}
    table = pd.DataFrame([row, row, {**row, "kernel_size": 17}])
    table[list(SETTING)[::-1]].to_csv("grid.csv", index=False)
    found = read_settings("grid.csv", SCHEMA)
    assert list(found) == list(SETTING)
    assert list(found["kernel_size"]) == [15, 17]
    table.drop(columns=[*OPTIONAL]).to_csv("grid.csv", index=False)
    assert read_settings("grid.csv", SCHEMA).equals(found)
    # With threshold sigma, the parameters of fraction make no other setting.
    sigma = {**row, "threshold": "sigma"}
    table = pd.DataFrame([row, sigma, {**sigma, "flagfrac_upper": 0.1, "edge_mode": "shrink"}])
    table.to_csv("grid.csv", index=False)
    assert list(read_settings("grid.csv", SCHEMA)["edge_mode"]) == ["zero", "shrink"]


def test_errors_of_settings(here):
    row = {name: SCHEMA[name]["default"] for name in SETTING}
    table = pd.DataFrame([row, row])
    table.assign(kernel_size=[14, 16]).to_csv("grid.csv", index=False)
    with pytest.raises(WorkflowError) as raised:
        read_settings("grid.csv", SCHEMA)
    assert [line.split(" is not")[0] for line in str(raised.value).splitlines()] == [
        "grid.csv: row 1: config: kernel_size: 14",
        "grid.csv: row 2: config: kernel_size: 16",
    ]
    for faulty in (table[:0], table.drop(columns="edge_mode"), table.assign(more=1)):
        faulty.to_csv("grid.csv", index=False)
        with pytest.raises(WorkflowError, match=r"not a table of kernel_size, edge_mode, .*; corr"):
            read_settings("grid.csv", SCHEMA)
    (here / "empty.csv").touch()
    for name in ("none.csv", "empty.csv"):
        with pytest.raises(WorkflowError, match=f"{name}: not a readable table"):
            read_settings(name, SCHEMA)


# ---- members -------------------------------------------------------------------------------------


def members(*rows):
    """Return a members table: rows of association, exposure, exptype, path."""
    columns = ("association", "exposure", "exptype", "path")
    return pd.DataFrame(rows, columns=columns).assign(product="p", stack="s-0123456789ab")


def test_only_exposures_of_a_stack_must_exist(here):
    (here / "a.fits").touch()
    table = members(
        ("x", "a", "science", "a.fits"),
        ("x", "b", "background", "b.fits"),
        ("x", "c", "selfcal", "c.fits"),
        ("y", "c", "selfcal", "c.fits"),
        ("x", "d", "imprint", "d.fits"),
    )
    assert find_member_errors(table) == [
        f"b.fits: no such file, a member of x.json; fetch it, {OTHERWISE}",
        f"c.fits: no such file, a member of x.json, y.json; fetch it, {OTHERWISE}",
    ]
    assert find_member_errors(table, {"b.fits", "c.fits"}) == []


def test_one_exposure_name_is_one_file(here):
    for name in ("a.fits", "b.fits", "c$.fits"):
        (here / name).touch()
    rows = [(f"x{i}", "a", "science", "ab"[i % 2] + ".fits") for i in range(5)]
    assert find_member_errors(members(*rows)) == [
        "a.fits and b.fits: two files of one exposure name, "
        "members of x0.json, x1.json, x2.json and 2 more; let all name one of them"
    ]
    assert find_member_errors(members(rows[0], ("x", "a", "imprint", "b.fits"))) == []
    assert find_member_errors(members(("x", "c", "science", "c$.fits"))) == [
        "c$.fits: braces, brackets or $; rename the folder or file"
    ]


def test_only_a_role_that_looks_misspelt_is_warned_of():
    names = ("science", "backgroud", "imprint", "target_acquisition", "sciense")
    table = members(*((f"x{i}", "a", name, "a.fits") for i, name in enumerate(names)))
    assert find_member_warnings(table) == [
        "x1.json: exptype backgroud is ignored; is background meant?",
        "x4.json: exptype sciense is ignored; is science meant?",
    ]
