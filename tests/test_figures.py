"""Figures, the report's tables, the tuning: that they are made, and that their numbers are true."""

import csv
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, Workflow, call, flag, planes_of, write_association, write_exposure
from matplotlib.image import imread

from badpix_selfcal.injection import STRENGTHS
from badpix_selfcal.parameters import SETTING
from demo.recall import rows_of
from figures.draw_stack import Stack
from figures.overview import warning_rows
from tune.draw_tune import by_setting, by_strength
from tune.inject import injection, noise
from tune.score import score

FIGURES = ("flags", "stages", "histogram", "cuts", "places", "fractions", "sources", "runs")


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
    workflow.run("--quiet", "all", "--", "all", "figures")
    return workflow


def test_every_figure_is_there(drawn):
    (folder,) = drawn.path("results/figures").iterdir()
    vectors = {f"{name}.svg" for name in ("histogram", "cuts", "places", "fractions")}
    pictures = {f"{name}.png" for name in FIGURES}
    assert {p.name for p in folder.iterdir()} == pictures | vectors | {"numbers.csv"}
    assert all("</svg>" in (folder / name).read_text() for name in vectors)
    assert all(is_picture(folder / f"{name}.png") for name in FIGURES)


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


def test_products_are_counted_truly(drawn):
    table = pd.read_csv(drawn.path("results/report/products.csv")).set_index("product")
    (flags_path,) = drawn.path("results/stacks").glob("*/flags.fits")
    flags = fits.getdata(flags_path) > 0
    known = fits.getdata(drawn.path("asn/e0_nrs1_rate.fits"), "DQ") & 1 > 0
    row = table.loc["three"]
    assert (row["science"], row["background"], row["selfcal"], row["other"]) == (1, 1, 1, 1)
    assert row["flagged"] == row["high"] + row["low"] == flags.sum()
    assert row["already DO_NOT_USE"] == (flags & known).sum()
    assert row["new"] == (flags & ~known).sum()
    assert table.loc["alone", "status"] == "SKIPPED"
    assert np.isnan(table.loc["alone", "flagged"])


def test_warnings_come_first_and_skipped_products_before_them(drawn):
    page = drawn.path("results/report/overview.rst").read_text()
    assert "2 products: 1 complete in 1 stacks, 1 skipped" in page
    assert page.index("Warnings") < page.index("Products")
    first = pd.read_csv(drawn.path("results/report/warnings.csv")).iloc[0]
    assert first["product"] == "alone"
    assert "nothing flagged" in first["warning"]


def test_a_warning_of_a_stack_comes_once():
    rows = [
        {"product": f"p{i}", "stack": "s", "status": "COMPLETE", "warnings": "w"} for i in (1, 2)
    ]
    rows += [{"product": "q", "stack": "skipped", "status": "SKIPPED", "warnings": "none"}]
    rows += [{"product": "r", "stack": "t", "status": "COMPLETE", "warnings": ""}]
    assert warning_rows(rows) == [("q", "none"), ("p1 and 1 more of its stack", "w")]


def test_a_changed_threshold_draws_again(drawn):
    jobs = drawn.jobs("--", "all", "figures", config=["flagfrac_upper=0.01"])
    assert jobs["draw_stack"] == 1
    assert drawn.jobs("--", "all", "figures") == {}


@pytest.mark.parametrize(
    ("case", "without_colour"),
    [
        ("no valid pixel", {"cuts", "fractions"}),
        ("constant", {"cuts", "runs"}),
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
    call("draw_stack", *stages, tmp_path / "figures")
    assert capsys.readouterr().err == ""
    found = {name for name in FIGURES if is_picture(tmp_path / "figures" / f"{name}.png")}
    assert set(FIGURES) - found == without_colour


def test_figures_in_units_of_the_noise(tmp_path, capsys):
    exposures = [write_exposure(tmp_path / f"e{i}_nrs1_rate.fits", seed=i) for i in range(2)]
    parameters = {"edge_mode": "shrink", "threshold": "sigma"}
    files = flag(tmp_path, exposures, {}, **parameters)
    stages = [files[name] for name in ("minimum", "median", "flags")]
    capsys.readouterr()
    call("draw_stack", *stages, tmp_path / "figures", "--noise", files["noise"])
    assert capsys.readouterr().err == ""
    assert all(is_picture(tmp_path / "figures" / f"{name}.png") for name in FIGURES)
    assert "(minimum - median) / noise" in (tmp_path / "figures/histogram.svg").read_text()
    with open(tmp_path / "figures/numbers.csv", newline="") as file:
        numbers = dict(csv.reader(file))
    assert (numbers["threshold"], float(numbers["nsigma_lower"])) == ("sigma", 7)
    assert "flagfrac_lower" not in numbers
    stack = Stack(*stages, files["noise"])
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
    assert noise(image) == pytest.approx(0.2, rel=0.02)
    assert noise(np.full((3, 3), np.nan)) == 0


def test_scores_count_found_and_others():
    added, difference = np.zeros((2, 20, 20), np.float32)
    added[0, :5] = 0.1 * 6
    added[1, :5] = -0.1 * 6
    difference[:] = added
    difference[5, 5], difference[6, 6], difference[7, 7] = 0.1 * 11, 0.1 * 1, -5.0
    flags = np.zeros((20, 20), np.uint8)
    flags[0, :3] = flags[5, 5] = flags[6, 6] = 2
    flags[1, :2] = flags[7, 7] = flags[0, 4] = 1  # the last as the wrong kind
    rows = {row[:2]: row[2:] for row in score(flags, difference, added, 0.1)}
    assert rows["high", 6] == (5, 3, 0)
    assert rows["low", 6] == (5, 2, 0)
    assert rows["high", 10] == (0, 0, 1)
    assert rows["high", 2] == (0, 0, 1)  # what seems weaker is counted with the weakest
    assert rows["low", 40] == (0, 0, 1)
    assert sum(n for *_, n in rows.values()) == 3


def test_error_bars_are_of_the_injections():
    rows = []
    for i, found in enumerate((2, 4, 6)):
        for strength, n in ((2, 0), (10, found)):
            setting = (15, "zero", "fraction", 0.001, 0.001, 7.0, 5.0)
            rows.append((*setting, "high", strength, 10, n, 5, i))
    columns = (*SETTING, "kind", "strength", "injected", "found", "others", "injection")
    table = by_strength(pd.DataFrame(rows, columns=columns))
    strong = table.set_index("strength").loc[10]
    assert strong["recall"] == pytest.approx(0.4)
    assert strong["recall_error"] == pytest.approx(0.2 / np.sqrt(3))
    (point,) = by_setting(table).to_dict("records")
    assert point["recall"] == pytest.approx(0.2)
    assert (point["others"], point["others_weak"]) == (10, 5)
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
    workflow.run("--quiet", "all", "--", "tune", config=["tune=grid.csv"])
    return workflow, jobs


def test_tuning_shares_what_settings_have_in_common(tuned):
    workflow, jobs = tuned
    own = {"inject": 5, "tune_pedestal": 5, "tune_minimum": 5, "tune_median": 10,
           "tune_noise": 5, "tune_threshold": 20, "score": 5, "draw_tune": 1}  # fmt: skip
    assert {rule: n for rule, n in jobs.items() if rule in own} == own
    assert jobs["threshold"] == 1
    grid = workflow.path("grid.csv")
    more = grid.read_text() + "15,zero,,0.03,0.03,\n"
    workflow.path("more.csv").write_text(more)
    again = workflow.jobs("--", "tune", config=["tune=more.csv"])
    assert again == {"tune_threshold": 5, "score": 5, "draw_tune": 1, "tune": 1}


def test_tuning_says_what_is_found(tuned):
    workflow, _ = tuned
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
    workflow, _ = tuned
    (folder,) = workflow.path("results/tune").iterdir()
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


def test_a_faulty_table_of_settings_stops_the_run_before_it_begins(nods):
    header = "kernel_size,edge_mode,flagfrac_lower,flagfrac_upper"
    nods.path("grid.csv").write_text(f"{header}\n14,zero,0.1,0.9\n")
    done = nods.run(config=["tune=grid.csv"], check=False)
    assert done.returncode == 1
    assert "grid.csv: row 1: config: kernel_size: 14 is not" in done.stdout
    assert "grid.csv: row 1: config: flagfrac_upper: 0.9 is not" in done.stdout
    assert not nods.path("results").exists()
