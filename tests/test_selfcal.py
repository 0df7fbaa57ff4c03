"""The package as notebooks use it: one call that does what the stages do."""

import ast
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from conftest import ROOT, flag, planes_of, write_exposure

import badpix_selfcal
from badpix_selfcal import InputError, apply_flags, flag_exposures, flag_planes

SETTINGS = [
    {},
    {"kernel_size": 21, "flagfrac_lower": 0.0005, "flagfrac_upper": 0.005},
    {"edge_mode": "shrink"},
    {"threshold": "sigma"},
]


@pytest.mark.parametrize("detector", ["MIRIFUSHORT", "NRS1"])
@pytest.mark.parametrize("parameters", SETTINGS)
def test_one_call_does_what_the_stages_do(tmp_path, detector, parameters):
    paths = [write_exposure(tmp_path / f"e{i}_rate.fits", detector, i) for i in range(3)]
    shrink = {"edge_mode": "shrink"} if parameters.get("threshold") == "sigma" else {}
    files = flag(tmp_path, paths, **parameters, **shrink)
    found = flag_exposures(paths, **parameters)
    header = fits.getheader(files["flags"])
    for image, name in (
        (found.minimum, "minimum"),
        (found.median, "median"),
        (found.flags, "flags"),
    ):
        assert np.array_equal(image, fits.getdata(files[name]), equal_nan=True), name
    assert np.array_equal(found.source, fits.getdata(files["minimum"], "SOURCE"))
    assert np.count_nonzero(found.bad) == header["BPXNLO"] + header["BPXNHI"] > 0
    if "threshold" not in parameters:
        thresholds = header["BPXTHLO"], header["BPXTHHI"]  # of 15 digits
        assert (found.low, found.high) == pytest.approx(thresholds, rel=1e-13)


def test_planes_need_no_file():
    planes = [planes_of((72, 530), seed) for seed in (0, 1)]
    before = planes[0]["SCI"].copy()
    found = flag_planes([p["SCI"] for p in planes], "mirifulong", 2)
    assert np.count_nonzero(found.bad) > 50
    assert np.array_equal(planes[0]["SCI"], before, equal_nan=True)
    apply_flags(planes[0], found.bad)
    assert np.isnan(planes[0]["SCI"][found.bad]).all()
    everywhere = flag_planes(
        [p["SCI"] for p in planes], "NRS1", 1, excluded=np.ones((72, 530), bool)
    )
    assert not everywhere.bad.any()


def test_pixels_that_come_and_go(tmp_path):
    planes = [planes_of((72, 530), seed) for seed in range(6)]
    for i, plane in enumerate(planes):
        plane["SCI"][40, 200] = 60 if i % 2 else 12  # bright in half of them
        plane["DQ"][40, 200] = 0
    paths = [
        write_exposure(
            tmp_path / f"e{i}_rate.fits", "MIRIFULONG", planes=plane,
            primary={"BKGDTARG": True} if i == 0 else {},
        )
        for i, plane in enumerate(planes)
    ]  # fmt: skip
    found = [
        flag_exposures(paths, threshold="sigma", repeat_fraction=fraction).flags[40, 200]
        for fraction in (0, 0.4)
    ]
    assert found == [0, 2]
    with pytest.raises(InputError, match="repeat_fraction needs a dedicated background"):
        flag_exposures(paths[1:], threshold="sigma", repeat_fraction=0.4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"threshold": "Sigma"}, "neither fraction nor sigma"),
        ({"edge_mode": "wrap"}, "neither zero nor shrink"),
        ({"kernel_size": 4}, "not odd"),
        ({"flagfrac_upper": 0.6}, "not in 0 to 0.5"),
        ({"threshold": "sigma", "nsigma_lower": 0}, "not positive"),
        ({"repeat_fraction": 0.5}, "needs threshold sigma"),
    ],
)
def test_parameters_out_of_range(parameters, message):
    with pytest.raises(ValueError, match=message):
        flag_planes([planes_of((48, 64))["SCI"]], "NRS1", 1, **parameters)


def test_exposures_that_do_not_belong(tmp_path):
    paths = [write_exposure(tmp_path / f"{d}_rate.fits", d) for d in ("NRS1", "MIRIFULONG")]
    with pytest.raises(InputError, match="shape"):
        flag_exposures(paths)
    with pytest.raises(ValueError, match="no exposure"):
        flag_exposures([])
    nan = planes_of((72, 530))
    nan["SCI"][:, 474:507] = np.nan
    path = write_exposure(tmp_path / "nan_rate.fits", "MIRIFULONG", planes=nan)
    with pytest.warns(UserWarning, match="no valid pixel between channels"):
        flag_exposures([paths[1], path])


def test_the_package_is_imported_without_its_libraries():
    """As the programs of a run import it hundreds of times."""
    code = "import badpix_selfcal, sys; print(*{'numpy', 'fitsio', 'typing'} & sys.modules.keys())"
    command = [sys.executable, "-Es", "-c", f"import sys; sys.path.insert(0, 'scripts'); {code}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_name_is_there_and_typed():
    tree = ast.parse((ROOT / "scripts/badpix_selfcal/__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert sorted(name.name for line in block.body for name in line.names) == sorted(
        badpix_selfcal.__all__
    )
    for name in badpix_selfcal.__all__:
        assert getattr(badpix_selfcal, name).__doc__
    with pytest.raises(AttributeError, match="flag_everything"):
        _ = badpix_selfcal.flag_everything
