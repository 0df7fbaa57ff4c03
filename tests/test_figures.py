"""Figures, the report's tables, the tuning: that they are made, and that their numbers are true."""

import csv
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, Workflow, call, flag, planes_of, write_association, write_exposure
from matplotlib.image import imread

from badpix_selfcal.detectors import DETECTORS
from badpix_selfcal.deviants import seem_good, significance_of
from badpix_selfcal.dq import NAMES
from badpix_selfcal.injection import STRENGTHS
from badpix_selfcal.labels import title
from badpix_selfcal.parameters import SETTING
from badpix_selfcal.pictures import indexed
from badpix_selfcal.running_median import running_median
from badpix_selfcal.spread import local_scatter, scatter
from badpix_selfcal.wavelengths import wavelengths_at
from demo.recall import rows_of
from demo.simulate import exposure
from demo.truth import unknown_bad_pixels
from figures.draw_shared import shared_rows
from figures.draw_stack import (
    Stack,
    dominance,
    expected_beyond,
    known_rows,
    long_runs,
    neighbours,
    regions,
)
from figures.report import products_of, words_of_roles
from stages.threshold import flag_outliers
from tune.draw_tune import by_setting, by_strength, suggest
from tune.inject import injection
from tune.score import score

FIGURES = (
    *("flags", "stages", "histogram", "tails", "cuts", "places", "sources", "runs"),
    "known",
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def is_picture(path):
    """Tell whether a file is a picture with data in colour; axes and letters are black on white."""
    colour = np.ptp(imread(path)[..., :3], axis=2) > 0.1
    return np.count_nonzero(colour) > 100


# ---- a stack -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run of three nods and the figures of their stack, and of a product that is skipped."""
    workflow = Workflow(tmp_path_factory.mktemp("drawn"))
    for i in range(4):
        write_exposure(workflow.path("asn", f"e{i}_nrs1_rate.fits"), seed=i)
    names = [f"e{i}_nrs1_rate.fits" for i in range(4)]
    nods = [(names[0], "science"), (names[1], "background"), (names[2], "selfcal")]
    nods += [("e9_nrs1_rate.fits", "imprint")]
    write_association(workflow.path("asn/three_asn.json"), ("three", nods))
    write_association(workflow.path("asn/alone_asn.json"), ("alone", [(names[3], "science")]))
    one = "asn/three_asn.json"
    workflow.said = workflow.run("--", "figures", associations=one).stdout
    workflow.run("--quiet", "all")
    return workflow


def test_what_is_asked_for_by_name_says_where_it_is(drawn):
    assert "figures: see results/figures/" in drawn.said
    assert "no association" not in drawn.said


def test_every_figure_is_there(drawn):
    (folder,) = drawn.path("results/figures").glob("*/")
    vectors = {f"{name}.svg" for name in ("histogram", "tails", "cuts", "places", "known")}
    pictures = {f"{name}.png" for name in FIGURES}
    assert {p.name for p in folder.iterdir()} == (pictures | vectors | {"numbers.csv", "flags.reg"})
    assert all("</svg>" in (folder / name).read_text() for name in vectors)
    # No run is long in so small an image, and short ones are grey.
    assert [name for name in FIGURES if not is_picture(folder / f"{name}.png")] == ["runs"]


def test_numbers_are_those_of_the_flags(drawn):
    (path,) = drawn.path("results/figures").glob("*/numbers.csv")
    numbers = dict(csv.reader(path.read_text().splitlines()))
    (flags_path,) = drawn.path("results/stacks").glob("*/flags.fits")
    flags, header = fits.getdata(flags_path, header=True)
    assert int(numbers["flagged high"]) == (flags == 2).sum()
    assert int(numbers["flagged low"]) == (flags == 1).sum()
    assert (
        int(numbers["of them at the edge"]) == (flags[:, :7] > 0).sum() + (flags[:, -7:] > 0).sum()
    )
    assert float(numbers["high threshold [DN/s]"]) == pytest.approx(header["BPXTHHI"], rel=1e-4)
    assert numbers["kernel_size"] == "15"


def test_regions_are_where_the_flags_are(drawn):
    """In image coordinates, which begin with 1."""
    (path,) = drawn.path("results/figures").glob("*/flags.reg")
    (flags_path,) = drawn.path("results/stacks").glob("*/flags.fits")
    flags = fits.getdata(flags_path)
    boxes = re.findall(r"^box\((\d+),(\d+),1,1,0\) .*tag={(\w+)}", path.read_text(), re.M)
    found = np.zeros_like(flags)
    for x, y, kind in boxes:
        found[int(y) - 1, int(x) - 1] = {"low": 1, "high": 2}[kind]
    assert np.array_equal(found, flags)


def test_regions_say_the_wavelength():
    flags = np.array([[0, 2]], np.uint8)
    lines = regions(flags, np.array([[np.nan, 5.125]], np.float32))
    assert lines[-1] == "box(2,1,1,1,0) # color=orange tag={high} tag={5.1250 um}"


def test_roles_are_counted():
    roles = {"a": {"science", "selfcal"}, "b": {"background", "selfcal"}}
    said = "1 science, 1 background, 2 selfcal (2 files; one may have several roles)"
    assert words_of_roles(roles) == said
    assert words_of_roles({"a": {"science"}, "b": {"background"}}) == "1 science, 1 background"


def test_what_became_of_products():
    names = ("association", "product", "exposure", "exptype", "path", "stack")
    members = [
        dict(zip(names, (name, name, name, "science", "", stack), strict=True))
        for name, stack in (("a", "s"), ("b", "skipped"), ("c", "t"), ("d", "u"))
    ]
    summary = [{"association": n, "product": n, "warnings": f"of {n}", "n_new": "3"} for n in "abc"]
    status = [
        {"association": "c", "status": "failed", "stage": "pedestal", "message": "m"},
        {"association": "d", "status": "not reached", "stage": "", "message": ""},
    ]
    found = products_of(members, summary, status)
    assert [(row["status"], row["message"]) for row in found] == [
        ("done", ""),
        ("skipped", "of b"),
        ("failed", "at pedestal: m"),
        ("not reached", ""),
    ]
    assert found[0]["n_new"] == "3"


def test_flags_that_stacks_share():
    a, b = np.zeros((2, 10, 10), np.uint8)
    a[0, :4] = 2
    b[0, 2:5] = 2
    b[1, 0] = 1
    rows = shared_rows("NRS1", [({"BPXSTACK": "a"}, a), ({"BPXSTACK": "b"}, b)])
    assert ("NRS1", "high", "a", "b", 4, 3, 2, 0.12) in rows
    assert ("NRS1", "low", "b", "a", 1, 0, 0, 0.0) in rows
    assert len(rows) == 4


def test_known_bits_against_chance():
    dq, flags = np.zeros((10, 10), np.uint32), np.zeros((10, 10), np.uint8)
    dq[0, :5] = 1
    dq[5, 5] = 1 << 31
    flags[0, 0], flags[1, 1], flags[9, 9] = 2, 1, 2
    rows = {name: rest for name, *rest in known_rows(flags, dq)}
    assert rows["DO_NOT_USE"] == [1, pytest.approx(3 * 0.05)]
    assert rows["REFERENCE_PIXEL"] == [0, pytest.approx(0.03)]
    assert rows["beside a\nDO_NOT_USE pixel"] == [1, pytest.approx(3 * 0.07)]
    assert len(rows) == 3


def test_names_of_dq_are_those_of_jwst():
    from stdatamodels.jwst.datamodels.dqflags import pixel

    assert {name: 1 << bit for bit, name in enumerate(NAMES)} == {
        name: value for name, value in pixel.items() if value
    }


def test_neighbours():
    mask = np.zeros((5, 6), bool)
    mask[0, 0] = mask[3, 4] = True
    found = {tuple(map(int, place)) for place in np.argwhere(neighbours(mask))}
    assert found == {(0, 0), (0, 1), (1, 0), (1, 1)} | {
        (y, x) for y in (2, 3, 4) for x in (3, 4, 5)
    }


@pytest.mark.parametrize("axis", [1, 2])
def test_long_runs(axis):
    flagged = np.zeros((3, 8), bool)
    flagged[0, :3] = flagged[1, 2:4] = flagged[2, 4:] = True
    expected = flagged.copy()
    expected[1] = False
    flagged, expected = (flagged, expected) if axis == 1 else (flagged.T, expected.T)
    assert np.array_equal(long_runs(flagged, axis), expected)


def test_dominance():
    source = np.array([[1, 1, 2, 2], [1, 2, 2, 2]])
    share, number = dominance(source, 2, tile=2)
    assert share.tolist() == [[0.75, 1.0]]
    assert number.tolist() == [[1, 2]]


@pytest.mark.parametrize("n", [1, 4])
def test_what_noise_gives_is_what_noise_gave(rng, n):
    """The minimum of several exposures, whose noise differs from slice to slice."""
    sigma = np.where(np.arange(500) % 16 < 12, 1.0, 0.2)
    image = rng.normal(0, 1, (n, 400, 500)).min(axis=0)
    image -= np.median(image)
    unit = scatter(image)
    image, level = image * sigma, np.broadcast_to(unit * sigma, image.shape)
    around = local_scatter(image, 2)
    for column in (6, 14):  # in a slice, and in a gap
        assert np.median(around[:, column]) == pytest.approx(level[0, column], rel=0.1)
    for expected, side in zip(
        expected_beyond(level, np.array([1.5, 2.5]), n), (-image, image), strict=True
    ):
        found = [np.count_nonzero(side > threshold) for threshold in (1.5, 2.5)]
        assert found == pytest.approx(expected, rel=0.1, abs=15)


def test_colours_of_a_picture_stay_if_there_are_few():
    words = np.array([[1, 1, 0xFF0000], [2, 2, 0xFE0101]], np.uint32)
    numbers, palette = indexed(words, most=4)
    assert np.array_equal(palette[numbers], words)
    numbers, palette = indexed(words, most=2)
    assert palette.tolist() == [1, 2]
    numbers, palette = indexed(np.array([[7, 7, 0xFF0000, 0xFF0000, 0xFE0101]], np.uint32), most=2)
    assert palette[numbers].tolist() == [[7, 7, 0xFF0000, 0xFF0000, 0xFF0000]]
    assert indexed(np.array([[9]], np.uint32))[1].tolist() == [9]  # none of another picture's


def test_a_stack_in_words():
    miri = {"DETECTOR": "MIRIFULONG", "CHANNEL": "34", "BAND": "SHORT"}
    assert title(miri) == "MIRI MRS, channels 3 and 4, band SHORT"
    del miri["BAND"]
    assert title(miri) == "MIRI MRS, channels 3 and 4, several bands"
    nirspec = {"DETECTOR": "NRS2", "GRATING": "PRISM", "FILTER": "CLEAR"}
    assert title(nirspec) == "NIRSpec IFU, PRISM/CLEAR, NRS2"


def test_wavelengths_of_an_exposure_with_a_wcs(tmp_path):
    import gwcs
    from astropy import coordinates, units
    from astropy.modeling.models import Identity, Mapping, Shift
    from gwcs import coordinate_frames
    from stdatamodels.jwst.datamodels import IFUImageModel

    detector = coordinate_frames.Frame2D(name="detector", unit=(units.pix, units.pix))
    sky = coordinate_frames.CelestialFrame(
        reference_frame=coordinates.ICRS(), axes_order=(0, 1), name="sky"
    )
    wave = coordinate_frames.SpectralFrame(
        axes_order=(2,), unit=(units.um,), axes_names=("lam",), name="wave"
    )
    world = coordinate_frames.CompositeFrame([sky, wave], name="world")
    transform = Mapping((0, 1, 1)) | Identity(2) & Shift(5)  # 5 micron and the row
    path = str(tmp_path / "e_assign_wcs.fits")
    with IFUImageModel((8, 9)) as model:
        model.meta.wcs = gwcs.WCS([(detector, transform), (world, None)])
        model.meta.cal_step.assign_wcs = "COMPLETE"
        model.save(path)
    found = wavelengths_at(path, np.array([0, 3]), np.array([2, 2]))
    assert found.tolist() == [5, 8]
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header["S_WCS"]
    assert np.isnan(wavelengths_at(path, np.array([0]), np.array([2]))).all()


def test_a_changed_threshold_draws_again(drawn):
    jobs = drawn.jobs("--", "all", "figures", config=["flagfrac_upper=0.01"])
    assert jobs["draw_stack"] == 1
    assert drawn.jobs("--", "all", "figures") == {}


@pytest.mark.parametrize(
    ("case", "without_colour"),
    [
        ("no valid pixel", {"cuts", "tails"}),
        ("constant", {"cuts", "runs", "tails"}),
        ("nothing flagged of many", {"cuts"}),
        ("one exposure without an axis", {"runs"}),
    ],
)
def test_figures_of_what_is_out_of_the_ordinary(tmp_path, capsys, case, without_colour):
    """Nothing is said to the user; what there is to show is shown."""
    planes = planes_of((48, 64))
    if case == "no valid pixel":
        planes["SCI"][:] = np.nan
    if case == "constant":
        planes["SCI"][:] = 1
    no_axis = case == "one exposure without an axis"
    cards = {"EXP_TYPE": "NRS_MSASPEC"} if no_axis else {}
    science = {"DISPAXIS": None} if no_axis else {}
    n = 1 if no_axis else 40 if case == "nothing flagged of many" else 2
    exposures = [
        write_exposure(tmp_path / f"e{i}.fits", planes=planes, primary=cards, science=science)
        for i in range(n)
    ]
    fraction = 0 if case == "nothing flagged of many" else 0.01
    parameters = {"flagfrac_upper": fraction, "flagfrac_lower": fraction}
    files = flag(tmp_path, exposures, {}, **parameters)
    capsys.readouterr()
    stages = [files[name] for name in ("minimum", "median", "flags")]
    call("draw_stack", *stages, exposures[0], tmp_path / "figures")
    assert capsys.readouterr().err == ""
    found = {name for name in FIGURES if is_picture(tmp_path / "figures" / f"{name}.png")}
    assert set(FIGURES) - found == without_colour
    flagged = tmp_path / "flagged.fits"
    call("write_back", exposures[0], files["flags"], flagged)
    page = tmp_path / "page.html"
    capsys.readouterr()
    call("blink", *stages, exposures[0], flagged, page, tmp_path / "small.png")
    assert capsys.readouterr().err == ""
    assert "nan" not in page.read_text().partition('id="facts">')[2].partition("<")[0].lower()


def test_figures_in_units_of_the_noise(tmp_path, capsys):
    exposures = [write_exposure(tmp_path / f"e{i}_nrs1_rate.fits", seed=i) for i in range(2)]
    parameters = {"edge_mode": "shrink", "threshold": "sigma"}
    files = flag(tmp_path, exposures, {}, **parameters)
    stages = [files[name] for name in ("minimum", "median", "flags")]
    capsys.readouterr()
    call("draw_stack", *stages, exposures[0], tmp_path / "figures", "--noise", files["noise"])
    assert capsys.readouterr().err == ""
    assert all(is_picture(tmp_path / "figures" / f"{name}.png") for name in FIGURES)
    assert "(minimum - median) / noise" in (tmp_path / "figures/histogram.svg").read_text()
    with open(tmp_path / "figures/numbers.csv", newline="") as file:
        numbers = dict(csv.reader(file))
    assert (numbers["threshold"], float(numbers["nsigma_lower"])) == ("sigma", 7)
    assert "flagfrac_lower" not in numbers
    stack = Stack(*stages, exposures[0], files["noise"])
    noise = fits.getdata(files["noise"])
    low, high = stack.band
    assert np.array_equal(high, 5 * noise, equal_nan=True)
    assert np.array_equal(low, -7 * noise, equal_nan=True)
    assert np.array_equal(stack.excess > stack.high, stack.flags == 2)


def test_a_plain_run_imports_no_matplotlib(nods):
    """Nor do the programs of its rules."""
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "--cores", "2", "--quiet"]
    command += ["all", "--snakefile", ROOT / "Snakefile", "--config", "associations=asn/*.json"]
    done = subprocess.run(command, cwd=nods.folder, capture_output=True, text=True)
    assert done.returncode == 0
    assert "pandas" in done.stderr
    assert "matplotlib" not in done.stderr
    ran = {path.name.removesuffix(".log") for path in nods.path("logs").iterdir()}
    assert {"pedestal", "minimum", "median", "threshold", "write_back", "summary"} <= ran
    rooms = {path.stem: path.parent.name for path in (ROOT / "scripts").glob("*/*.py")}
    source = f"import sys, {', '.join(f'{rooms[name]}.{name}' for name in sorted(ran))}"
    done = subprocess.run(
        [sys.executable, "-c", f"{source}; print(*sys.modules)"],
        cwd=ROOT / "scripts", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "stages.median" in done.stdout.split()
    assert "matplotlib" not in done.stdout.split()


# ---- the demo's truth ----------------------------------------------------------------------------


def test_recall_and_precision():
    truth = np.zeros((10, 10), np.float32)
    truth[0, :4] = (0.3, 3.0, 8.0, 8.0)
    truth[1, :2] = (-0.2, -4.0)
    flags = np.zeros((10, 10), np.uint8)
    flags[0, 1:3] = flags[5, 5] = 2
    flags[1, 1] = flags[0, 0] = 1
    valid = np.ones((10, 10), bool)
    valid[0, 3] = False
    rows = rows_of("s", flags, truth, valid)
    by_name = {(row[1], row[2]): row[3:] for row in rows}
    assert by_name["high", "0.2 to 0.5"] == (1, 0, "0.000")
    assert by_name["high", "5 to 10"] == (1, 1, "1.000")
    assert by_name["high", "0.2 to 10"] == (3, 2, "0.667", 3, "0.667")
    assert by_name["low", "-0.1 to -5"] == (2, 1, "0.500", 2, "0.500")


# ---- tuning --------------------------------------------------------------------------------------


def test_injections_are_graded_and_free(rng):
    free = rng.random((500, 600)) < 0.7
    added = injection(free, 0.5, rng)
    assert added.dtype == np.float32
    assert (added[~free] == 0).all()
    values, counts = np.unique(added[added != 0], return_counts=True)
    assert np.array_equal(values, 0.5 * np.array(sorted([*STRENGTHS, *(-s for s in STRENGTHS)])))
    assert len(set(counts)) == 1
    assert counts[0] == round(1e-4 * free.sum() / len(STRENGTHS))


def test_noise_is_that_of_the_middle(rng):
    image = rng.normal(3, 0.2, (400, 400)).astype(np.float32)
    image[rng.random(image.shape) < 0.01] = 1e6
    image[:10] = np.nan
    assert scatter(image) == pytest.approx(0.2, rel=0.02)
    assert scatter(np.full((3, 3), np.nan)) == 0


def test_scores_count_found_and_others():
    added, difference = np.zeros((2, 20, 20), np.float32)
    added[0, :5] = 0.1 * 6
    added[1, :5] = -0.1 * 6
    difference[:] = added
    difference[5, 5], difference[6, 6], difference[7, 7] = 0.1 * 11, 0.1 * 1, -5.0
    flags = np.zeros((20, 20), np.uint8)
    flags[0, :3] = flags[5, 5] = flags[6, 6] = 2
    flags[1, :2] = flags[7, 7] = flags[0, 4] = 1  # the last as the wrong kind
    significance = difference / np.float32(0.1)
    significance[7, 7] = np.nan  # not judged
    rows = {row[:2]: row[2:] for row in score(flags, difference, added, 0.1, significance)}
    assert rows["high", 6] == (5, 3, 0, 0)
    assert rows["low", 6] == (5, 2, 0, 0)
    assert rows["high", 10] == (0, 0, 1, 0)
    assert rows["high", 2] == (0, 0, 1, 1)  # what seems weaker is counted with the weakest
    assert rows["low", 40] == (0, 0, 1, 1)
    assert sum(n for *_, n, _ in rows.values()) == 3


def test_error_bars_are_of_the_injections():
    rows = []
    for i, found in enumerate((2, 4, 6)):
        for strength, n in ((2, 0), (10, found)):
            setting = (15, "zero", "fraction", 0.001, 0.001, 7.0, 5.0)
            rows.append((*setting, "high", strength, 10, n, 5, 2, i))
    columns = (*SETTING, "kind", "strength", "injected", "found", "others", "false", "injection")
    table = by_strength(pd.DataFrame(rows, columns=columns))
    strong = table.set_index("strength").loc[10]
    assert strong["recall"] == pytest.approx(0.4)
    assert strong["recall_error"] == pytest.approx(0.2 / np.sqrt(3))
    (point,) = by_setting(table).to_dict("records")
    assert point["recall"] == pytest.approx(0.2)
    assert (point["others"], point["false"]) == (10, 4)
    assert np.isnan(point["half_found_from"])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run of the tuning on two nods, with four settings, of which two and two share a median."""
    workflow = Workflow(tmp_path_factory.mktemp("tuned"))
    for i in range(2):
        write_exposure(workflow.path("asn", f"e{i}_nrs1_rate.fits"), seed=i)
    nods = [("e0_nrs1_rate.fits", "science"), ("e1_nrs1_rate.fits", "background")]
    write_association(workflow.path("asn/x_asn.json"), ("p", nods))
    workflow.path("grid.csv").write_text(
        "kernel_size,edge_mode,threshold,flagfrac_lower,flagfrac_upper,nsigma_upper\n"
        "15,zero,fraction,0.01,0.01,\n15,zero,fraction,0.02,0.02,\n"
        "7,shrink,fraction,0.01,0.01,\n7,zero,sigma,,,6\n"  # whose windows shrink, too
    )
    jobs = workflow.jobs("--", "tune", config=["tune=grid.csv"])
    said = workflow.run("--quiet", "all", "--", "tune", config=["tune=grid.csv"]).stdout
    return workflow, jobs, said


def test_tuning_shares_what_settings_have_in_common(tuned):
    _, jobs, _ = tuned
    own = {"inject": 5, "tune_pedestal": 5, "tune_minimum": 5, "tune_median": 10,
           "tune_noise": 5, "tune_threshold": 20, "score": 5, "draw_tune": 1}  # fmt: skip
    assert {rule: n for rule, n in jobs.items() if rule in own} == own
    assert jobs["threshold"] == 1


def test_every_setting_of_the_workflows_own_table_is_planned(tuned):
    workflow, *_ = tuned
    settings = pd.read_csv(ROOT / "workflow" / "tune.csv")
    assert workflow.jobs("--", "tune")["tune_threshold"] == 5 * len(settings)


def test_tuning_keeps_its_tables_and_figures_alone(tuned):
    workflow, *_ = tuned
    (folder,) = workflow.path("results/tune").iterdir()
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    pictures = {f"{name}.png" for name in ("recall_high", "recall_low", "cost")}
    assert files - {f"{i}/score.csv" for i in range(1, 6)} == {
        *pictures, "recall.csv", "settings.csv", "suggestion.txt",
    }  # fmt: skip
    assert workflow.jobs("--", "tune", config=["tune=grid.csv"]) == {}
    other = workflow.jobs("--", "tune", config=["tune=grid.csv", "dispersion_axis=2"])
    assert other["tune_median"] == 10


def test_tuning_suggests_a_setting_and_the_page_shows_it(tuned):
    workflow, _, said = tuned
    (folder,) = workflow.path("results/tune").iterdir()
    line = (folder / "suggestion.txt").read_text().strip()
    assert f"tune: {folder.name}: {line}" in said
    assert line in workflow.path("logs/draw_tune", f"{folder.name}.log").read_text()
    setting, again = suggest(pd.read_csv(folder / "settings.csv"))
    assert again == line
    assert f"threshold: {setting['threshold']}" in line
    workflow.run("--quiet", "all", "--", "report")
    page = workflow.path("results/report.html").read_text()
    assert line in page
    assert f'src="tune/{folder.name}/cost.png"' in page
    (folder / "suggestion.txt").write_text("suggested otherwise\n")
    assert workflow.jobs("--", "report") == {"report": 1}
    (folder / "suggestion.txt").write_text(f"{line}\n")


def points_of(*rows):
    """Return rows for `suggest`: flagfrac, recall, other flags, false ones, of each kind alike."""
    return pd.DataFrame([
        {**dict.fromkeys(SETTING, 0), "threshold": "fraction", "flagfrac_upper": cut, "kind": kind,
         "recall": recall, "recall_error": 0.02, "others": others, "false": false}
        for cut, recall, others, false in rows for kind in ("high", "low")
    ])  # fmt: skip


@pytest.mark.parametrize(("rows", "chosen", "why"), [
    ([(1, 0.5, 1000, 10), (2, 0.7, 2000, 180), (4, 0.9, 4000, 2000)], 2, "the most with at most"),
    ([(1, 0.69, 1000, 10), (2, 0.7, 2000, 180)], 1, "the most with at most"),  # within its error
    ([(1, 0.5, 1000, 500), (2, 0.7, 2000, 800)], 2, "no setting has at most 10%"),
])  # fmt: skip
def test_what_is_suggested(rows, chosen, why):
    setting, line = suggest(points_of(*rows))
    assert setting["flagfrac_upper"] == chosen
    assert why in line
    assert f"flagfrac_upper: {chosen}" in line
    assert "nsigma" not in line
    assert "\n" not in line


def test_the_estimate_of_false_flags_against_the_truth():
    """On a piece of the demo's detector: within a sixth wherever there are many false flags."""
    detector = DETECTORS["MIRIFUSHORT"]
    detector = replace(detector, shape=(1024, 516), halves=detector.halves[:1])
    truth = unknown_bad_pixels(detector.shape, np.random.default_rng(4))
    scenes = [(5.0, -0.45), (5.0, 0.45), (0.0, 0.0), (0.0, 0.0)]
    minimum = np.fmin.reduce([
        exposure(detector, truth, *at, 0.0, np.random.default_rng([4, i]))["data"]
        for i, at in enumerate(scenes)
    ])  # fmt: skip
    judged = significance_of(minimum, 2)
    median = running_median(minimum, 7, 2, "zero")
    for fraction in (0.002, 0.004):
        flags, *_ = flag_outliers(minimum, median, fraction, fraction)
        for value, sign in ((2, 1), (1, -1)):
            true = np.count_nonzero((flags == value) & (sign * truth <= 0))
            assert true > 500
            estimate = np.count_nonzero(seem_good(flags == value, judged, sign))
            assert estimate == pytest.approx(true, rel=1 / 6)


def test_without_an_axis_one_noise_holds_for_all(rng):
    image = rng.normal(0, 2, (60, 70)).astype(np.float32)
    image[30, 30] += 100
    found = significance_of(image, None)
    assert 40 < found[30, 30] < 60
    assert np.nanstd(found[:20]) == pytest.approx(1, rel=0.1)
    assert np.isnan(significance_of(np.full((9, 9), np.nan, np.float32), None)).all()


def test_tuning_says_what_is_found(tuned):
    workflow, *_ = tuned
    (folder,) = workflow.path("results/tune").iterdir()
    for name in ("recall_high", "recall_low", "cost"):
        assert is_picture(folder / f"{name}.png")
    recall = pd.read_csv(folder / "recall.csv")
    assert len(recall) == 4 * 2 * len(STRENGTHS)
    strong, weak = (recall[recall["strength"] == s]["recall"].mean() for s in (40, 2))
    assert strong > weak + 0.3
    settings = pd.read_csv(folder / "settings.csv").set_index("flagfrac_upper")
    assert settings.loc[0.02, "others"].sum() > settings.loc[0.01, "others"].sum() / 2
    assert settings["recall"].between(0, 1).all()


def test_tuning_flags_as_the_stages_do(tuned, tmp_path):
    """With real copies of the exposures, into which the same was added."""
    workflow, *_ = tuned
    (folder,) = workflow.path("results/tune").iterdir()
    before = {path for path in folder.rglob("*") if path.is_file()}
    one = f"results/tune/{folder.name}/2"
    workflow.run(
        "--quiet", "all", "--notemp", "--force", "--", f"{one}/score.csv", config=["tune=grid.csv"]
    )
    added = fits.getdata(folder / "2" / "added.fits")
    copies = []
    for i in range(2):
        with fits.open(workflow.path(f"asn/e{i}_nrs1_rate.fits")) as hdus:
            hdus["SCI"].data = hdus["SCI"].data + added
            hdus.writeto(tmp_path / f"c{i}.fits")
            copies.append(tmp_path / f"c{i}.fits")
    parameters = {"kernel_size": 7, "edge_mode": "shrink"}
    parameters |= {"flagfrac_lower": 0.01, "flagfrac_upper": 0.01}
    files = flag(tmp_path, copies, {}, **parameters)
    folder = folder / "2/kernel_size~7/edge_mode~shrink"
    (tuned_flags,) = folder.glob("threshold~fraction/*/*/*/*/flags.fits")
    assert np.array_equal(fits.getdata(files["flags"]), fits.getdata(tuned_flags))
    files = flag(tmp_path, copies, {}, **parameters, threshold="sigma", nsigma_upper=6)
    (tuned_flags,) = folder.glob("threshold~sigma/*/*/*/*/flags.fits")
    assert np.array_equal(fits.getdata(files["flags"]), fits.getdata(tuned_flags))
    for path in {path for path in folder.rglob("*") if path.is_file()} - before:
        path.unlink()


def test_a_faulty_table_of_settings_stops_the_run_before_it_begins(nods):
    header = "kernel_size,edge_mode,flagfrac_lower,flagfrac_upper"
    nods.path("grid.csv").write_text(f"{header}\n14,zero,0.1,0.9\n")
    done = nods.run(config=["tune=grid.csv"], check=False)
    assert done.returncode == 1
    assert "grid.csv: row 1: config: kernel_size: 14 is not" in done.stdout
    assert "grid.csv: row 1: config: flagfrac_upper: 0.9 is not" in done.stdout
    assert not nods.path("results").exists()
