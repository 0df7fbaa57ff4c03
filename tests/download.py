"""A folder tree as a download has it, its exposures' headers as the telescope writes them."""

import numpy as np
from conftest import SHAPES, write_exposure

NO_GRATING = {"CHANNEL": None, "BAND": None}


def download(folder, name, primary=None, suffix="rate", planes=None, seed=0):
    """
    Write an exposure where the archive's download has it: in a folder of its own.

    What the name says (program, observation, visit, detector) is in the header, too.
    """
    program, observation, visit = name[2:7], name[7:10], name[10:13]
    detector = name.rpartition("_")[2].upper()
    miri = detector.startswith("MIRI")
    cards = {
        "PROGRAM": program,
        "OBSERVTN": observation,
        "VISIT": visit,
        "BKGDTARG": False,
        "TARGPROP": "SMP-LMC-058",
        "TARGNAME": "[BSDL94] 1",
        "IS_IMPRT": None if miri else False,
        "SUBARRAY": "FULL",
        "READPATT": "FASTR1" if miri else "NRSIRS2RAPID",
        "NGROUPS": 50,
        "PATTTYPE": "4-POINT" if miri else "CYCLING",
        "PATT_NUM": int(name.split("_")[2]),
        "EXPSTART": 60000 + int(observation) + int(name.split("_")[2]) / 100,
        **({"CHANNEL": "12" if detector == "MIRIFUSHORT" else "34", "BAND": "SHORT"}
           if miri else
           {"FILTER": "F290LP", "GRATING": "G395H", "GWA_XTIL": 0.35, "GWA_YTIL": 0.1}),
        **(primary or {}),
    }  # fmt: skip
    if planes is None:
        shape = SHAPES.get(detector, (8, 8))
        planes = {"SCI": np.ones(shape if seed is None else (8, 8), np.float32)}
    path = folder / name / f"{name}_{suffix}.fits"
    write_exposure(path, detector, seed or 0, planes, cards)
    return str(path)
