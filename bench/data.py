"""Exposures and associations for the benchmarks, built once below a folder."""

import io
import json
import os
from pathlib import Path

import numpy as np
from astropy.io import fits

from demo.detectors import DETECTORS
from demo.simulate import EXPOSURE_TIME, simulate_exposure
from demo.simulate_bad_pixels import simulate_bad_pixels

PLANES = ("SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")


def write_exposures(folder, detector_name, number):
    """Simulate `number` exposures of a detector, as after assign_wcs; return their paths."""
    from stdatamodels.jwst.datamodels import IFUImageModel

    folder.mkdir(parents=True, exist_ok=True)
    detector = DETECTORS[detector_name]
    rng = np.random.default_rng(detector.seed)
    truth = simulate_bad_pixels(detector.shape, rng, defects=detector.defects)
    paths = []
    for i in range(number):
        path = folder / f"jw09003001001_02101_{i:05}_{detector_name.lower()}_rate.fits"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng([3, detector.seed, i])
        source, offset, pedestal = (5.0 if i % 3 else 0.0), rng.uniform(-1, 1), rng.normal(0, 0.05)
        planes = simulate_exposure(detector, truth, source, offset, pedestal, rng)
        with IFUImageModel(**planes) as model:
            meta = {
                **detector.meta,
                "instrument.detector": detector_name,
                "observation.date": "2026-10-01",
                "observation.time": "12:00:00",
                "exposure.exposure_time": EXPOSURE_TIME,
                # Without it the reference would take its slow two-dimensional kernel.
                "wcsinfo.dispersion_direction": detector.dispersion_axis,
            }
            for key, value in meta.items():
                model[f"meta.{key}"] = value
            part = folder / f"part-{i}.fits"
            model.save(str(part))
            os.replace(part, path)
    return paths


def link_exposures(folder, path, number):
    """Link an exposure under many names, for stacks of hundreds; return the links."""
    folder.mkdir(parents=True, exist_ok=True)
    links = [folder / path.name.replace("_02101_", f"_{i:05}_") for i in range(number)]
    for link in links:
        if not link.exists():
            os.link(path, link)
    return links


def write_association(folder, name, members):
    """Write an association of one product from (path, exptype) members."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        "asn_type": "spec2",
        "asn_rule": "bench",
        "asn_pool": "none",
        "products": [
            {
                "name": name,
                "members": [{"expname": str(p), "exptype": role} for p, role in members],
            }
        ],
    }
    (folder / f"{name}_asn.json").write_text(json.dumps(table))


def notebook_pattern(folder, paths, n_science):
    """Each science exposure's association lists all exposures as selfcal, the others as theirs."""
    backgrounds = [(p, "background") for p in paths[n_science:]]
    selfcal = [(p, "selfcal") for p in paths]
    for i, path in enumerate(paths[:n_science]):
        write_association(folder, f"p{i:05}", [(path, "science"), *backgrounds, *selfcal])


def archive_pattern(folder, paths, n_science):
    """Each science exposure's association lists it and the shared backgrounds."""
    backgrounds = [(p, "background") for p in paths[n_science:]]
    for i, path in enumerate(paths[:n_science]):
        write_association(folder, f"p{i:05}", [(path, "science"), *backgrounds])


def many_exposures(folder, number):
    """
    Write `number` MRS exposures with headers as long as the telescope's, and next to no pixels.

    In programs of 96: 2 detectors, 3 bands, 3 observations of 4 dithers, 4 backgrounds.
    """
    filler = {f"KEY{i:05}": f"value {i}" for i in range(330)}
    kinds = [
        (observation, k, detector, i, band)
        for observation in (1, 2, 3, 4)
        for k in (1, 2, 3, 4)
        for detector in ("MIRIFUSHORT", "MIRIFULONG")
        for i, band in enumerate(("SHORT", "MEDIUM", "LONG"), start=1)
    ]
    contents = []
    for observation, k, detector, i, band in kinds[:number]:
        cards = {
            "TELESCOP": "JWST", "INSTRUME": "MIRI", "EXP_TYPE": "MIR_MRS", "DETECTOR": detector,
            "PROGRAM": "NUMBR", "OBSERVTN": f"{observation:03}", "VISIT": "001", "BAND": band,
            "CHANNEL": "12" if detector == "MIRIFUSHORT" else "34", "BKGDTARG": observation == 4,
            "READPATT": "FASTR1", "NGROUPS": 50, "PATTTYPE": "4-POINT", "PATT_NUM": k,
            "EXPSTART": 60000.0 + observation, "TARGPROP": "BENCH",
        }  # fmt: skip
        primary = fits.PrimaryHDU(header=fits.Header({**cards, **filler}))
        planes = [fits.ImageHDU(np.ones((8, 8), np.float32), name=n) for n in PLANES]
        file = io.BytesIO()
        fits.HDUList([primary, *planes]).writeto(file)
        name = f"{observation:03}001_0210{i}_0000{k}_{detector.lower()}"
        contents.append((name, file.getvalue()))
    for n in range(number):
        program = f"{3000 + n // len(kinds):05}"
        rest, content = contents[n % len(kinds)]
        path = folder / f"jw{program}{rest}" / f"jw{program}{rest}_rate.fits"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(b"NUMBR", program.encode(), 1))


def many_tables(folder, number, pattern):
    """Write tables of `number` associations, in groups of 24, of exposures that are empty files."""
    for first in range(0, number, 24):
        n_science = min(24, number - first)
        n_other = 12 if pattern is notebook_pattern else 4
        paths = [
            folder / f"jw09{first // 24:03}001001_02101_{i:05}_mirifulong_rate.fits"
            for i in range(n_science + n_other)
        ]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        group = folder / f"asn{first:05}"
        pattern(group, paths, n_science)
        for path in group.iterdir():
            path.rename(path.with_name(f"g{first:05}{path.name}"))
    return str(Path(folder) / "asn*" / "*_asn.json")
