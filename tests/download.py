"""A folder tree as a download has it, its exposures' headers as the telescope writes them."""

import contextlib
import csv
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import yaml
from conftest import ROOT, SHAPES, call, write_association, write_exposure

DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())


def download(folder, name, primary=None, suffix="rate", planes=None, seed=0, science=None):
    """
    Write an exposure where the archive's download has it: in a folder of its own.

    What the name says (program, observation, visit, detector) is in the header, too.
    """
    program, observation, visit = name[2:7], name[7:10], name[10:13]
    _, activity, number, detector = name.upper().split("_")[:4]
    miri = detector.startswith("MIRI")
    cards = {
        "PROGRAM": program,
        "OBSERVTN": observation,
        "VISIT": visit,
        "VISIT_ID": program + observation + visit,
        "VISITGRP": activity[:2],
        "SEQ_ID": activity[2],
        "ACT_ID": activity[3:],
        "EXPOSURE": number,
        "BKGDTARG": False,
        "TARGPROP": "SMP-LMC-058",
        "TARGNAME": "[BSDL94] 1",
        "IS_IMPRT": None if miri else False,
        "SUBARRAY": "FULL",
        "READPATT": "FASTR1" if miri else "NRSIRS2RAPID",
        "NGROUPS": 50,
        "PATTTYPE": "4-POINT" if miri else "CYCLING",
        "PATT_NUM": int(number),
        "EXPSTART": 60000 + int(observation) + int(number) / 100,
        "CAL_VER": "1.20.2",
        "CRDS_CTX": "jwst_1464.pmap",
        **({"CHANNEL": "12" if detector == "MIRIFUSHORT" else "34", "BAND": "SHORT"}
           if miri else
           {"FILTER": "F290LP", "GRATING": "G395H", "GWA_XTIL": 0.35, "GWA_YTIL": 0.1}),
        **(primary or {}),
    }  # fmt: skip
    if planes is None:
        shape = SHAPES.get(detector, (8, 8))
        planes = {"SCI": np.ones(shape if seed is None else (8, 8), np.float32)}
    path = folder / name / f"{name}_{suffix}.fits"
    write_exposure(path, detector, seed or 0, planes, cards, science)
    return str(path)


def archive(folder, name, *others, candidate="o003", **asn):
    """Write an association as the archive has it: by its candidate, members beside it by name."""
    pairs = [(f"{name}_rate.fits", "science"), *((f"{n}_rate.fits", role) for n, role in others)]
    program, number = name[:7], int(name.split("_")[2])
    path = folder / f"{program}-{candidate}_20261001t120000_spec2_{number:05}_asn.json"
    return write_association(path, (name, pairs), asn_id=candidate, **asn)


def generate(exposures="mast", **config):
    """Run `generate` in this process with a config; return what it says."""
    said = SimpleNamespace(stdout=io.StringIO(), stderr=io.StringIO())
    text = json.dumps({**DEFAULTS, "exposures": exposures, **config})
    with contextlib.redirect_stdout(said.stdout), contextlib.redirect_stderr(said.stderr):
        call("generate", "--config", text)
    return SimpleNamespace(**{name: file.getvalue() for name, file in vars(said).items()})


def roles(name, folder="."):
    """Return the exposures of each role in an association, as generate names and writes it."""
    path = Path(folder, f"associations/{name}_spec2_asn.json")
    (product,) = json.loads(path.read_text())["products"]
    assert product["name"] == name
    found = {}
    for member in product["members"]:
        assert (path.parent / member["expname"]).exists()
        exposure = os.path.basename(member["expname"]).partition("_rate.fits")[0]
        found.setdefault(member["exptype"], []).append(exposure)
    return found


def pool(folder="."):
    """Return the rows of pool.csv by exposure."""
    with open(Path(folder, "associations/pool.csv"), newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def associations():
    """Return the file names of the associations that generate wrote."""
    return sorted(name for name in os.listdir("associations") if name.endswith(".json"))
