"""Figures, the report's tables, the tuning: they are there, and their numbers are true."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, Workflow, call, flag, planes_of, write_association, write_exposure
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from models import write_model

from badpix_selfcal.cli import list_programs
from badpix_selfcal.figure_table import FIGURES
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import format_title
from badpix_selfcal.median import running_median
from badpix_selfcal.outlier_counts import find_false_positives, measure_significance
from badpix_selfcal.parameters import SETTING
from badpix_selfcal.robust_stats import measure_scatter
from badpix_selfcal.save_figure import save_figure
from badpix_selfcal.threshold import flag_outliers
from badpix_selfcal.wavelengths import read_wavelengths
from demo.detectors import DETECTORS
from demo.simulate import simulate_exposure
from demo.simulate_bad_pixels import simulate_bad_pixels
from figures import draw_shared
from figures.draw_stack import format_regions
from figures.report import FROM_SUMMARY, collect_roles, format_roles, list_products
from figures.stack import Stack
from figures.stack_maps import draw_sources, draw_stages, find_dominant
from figures.stack_plots import draw_histogram, draw_places
from tune.draw_tune import average_scores, suggest, sum_strengths
from tune.inject import STRENGTHS, choose_injections
from tune.score import count_found, measure_dither

NAMES_OF_FIGURES = {figure.name for figure in FIGURES}
TUNE = ["tune=grid.csv"]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def is_picture(path):
    """Tell whether a file is a picture with data in colour; axes and letters are black on white."""
    colour = np.ptp(imread(path)[..., :3], axis=2) > 0.1
    return np.count_nonzero(colour) > 100


def read_stack(files, exposure, **more):
    files = {name: files[name] for name in ("minimum", "median", "flags")}
    return Stack(SimpleNamespace(**files, exposure=exposure, **more))


def read_numbers(folder):
    return dict(pd.read_csv(folder / "numbers.csv", header=None, dtype=str).to_numpy())


# ---- a run, with figures and tuning --------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """
    Figures, page and tuning of two nods, and of a product that is skipped.

    Of the four settings, two and two share a median.
    """
    workflow = Workflow(tmp_path_factory.mktemp("figures"))
    names = [f"e{i}_nrs1_rate.fits" for i in range(3)]
    for i, name in enumerate(names):
        # Dithers of a tenth of a milliarcsecond, across a right ascension of 0.
        pointing = {"RA_V1": (i - 0.5) * 1e-8 % 360, "DEC_V1": 60 + i * 3e-8}
        write_exposure(workflow.path("asn", name), seed=i, science=pointing)
    nods = [(names[0], "science"), (names[1], "background"), ("e9_nrs1_rate.fits", "imprint")]
    write_association(workflow.path("asn/nods_asn.json"), ("nods", nods))
    write_association(workflow.path("asn/alone_asn.json"), ("alone", [(names[2], "science")]))
    workflow.path("grid.csv").write_text(
        "kernel_size,edge_mode,threshold,flagfrac_lower,flagfrac_upper,nsigma_upper\n"
        "15,zero,fraction,0.01,0.01,\n15,zero,fraction,0.02,0.02,\n"
        "7,shrink,fraction,0.01,0.01,\n7,zero,sigma,,,6\n"  # its windows shrink, too
    )
    workflow.planned = workflow.jobs("--", "tune", config=TUNE)
    workflow.said = workflow.run("--", "figures", "tune", config=TUNE).stdout
    workflow.run("--quiet", "all", "--", "report", config=TUNE)
    (workflow.tuned,) = workflow.path("results/tune").iterdir()
    (workflow.figures,) = workflow.path("results/figures").glob("*/")
    (workflow.stack,) = workflow.path("results/stacks").iterdir()
    return workflow


def test_every_figure_is_there(run):
    assert "next: look at the pictures in results/figures/" in run.said
    vectors = {f"{figure.name}.svg" for figure in FIGURES if figure.vector}
    pictures = {f"{name}.png" for name in NAMES_OF_FIGURES}
    names = {path.name for path in run.figures.iterdir()}
    assert names == pictures | vectors | {"numbers.csv", "flags.reg"}
    assert all("</svg>" in (run.figures / name).read_text() for name in vectors)
    assert all(is_picture(run.figures / name) for name in pictures)


def test_numbers_and_regions_are_those_of_the_flags(run):
    numbers = read_numbers(run.figures)
    flags, header = fits.getdata(run.stack / "flags.fits", header=True)
    n_edge = (flags[:, :7] > 0).sum() + (flags[:, -7:] > 0).sum()
    counts = {"flagged high": (flags == 2).sum(), "flagged low": (flags == 1).sum()}
    counts |= {"of them at the edge": n_edge, "exposures": 2, "kernel_size": 15}
    assert {name: int(numbers[name]) for name in counts} == counts
    assert float(numbers["high threshold [DN/s]"]) == pytest.approx(header["BPXTHHI"], rel=1e-4)
    # In image coordinates, which begin with 1.
    text = (run.figures / "flags.reg").read_text()
    found = np.zeros_like(flags)
    for x, y, kind in re.findall(r"^box\((\d+),(\d+),1,1,0\) .*tag={(\w+)}", text, re.M):
        found[int(y) - 1, int(x) - 1] = {"low": 1, "high": 2}[kind]
    assert np.array_equal(found, flags)
    lines = format_regions(np.array([[0, 2]], np.uint8), np.array([[np.nan, 5.125]], np.float32))
    assert lines.splitlines()[-1] == "box(2,1,1,1,0) # color=orange tag={high} tag={5.1250 um}"


def test_what_draws_and_tunes_again(run):
    assert run.jobs("--", "all", "figures", "tune", "report", config=TUNE) == {}
    jobs = run.jobs("--", "figures", "tune", config=[*TUNE, "flagfrac_upper=0.01"])
    assert (jobs["draw_stack"], jobs["score"]) == (1, 5)  # other pixels are free
    jobs = run.jobs("--", "tune", config=[*TUNE, "dispersion_axis=2"])
    assert jobs["score"] == 5
    suggestion = run.tuned / "suggestion.txt"
    line = suggestion.read_text()
    suggestion.write_text("suggested otherwise\n")
    assert run.jobs("--", "report", config=TUNE) == {"report": 1}
    suggestion.write_text(line)


@pytest.mark.parametrize(("case", "without_colour"), [
    ("no valid pixel", {"cuts"}),
    ("constant", {"cuts", "runs"}),
    ("nothing flagged of many", {"cuts"}),
    ("one exposure", set()),
])  # fmt: skip
def test_figures_of_unusual_stacks(tmp_path, capsys, case, without_colour):
    """Nothing is said to the user; what there is to show is shown."""
    planes = planes_of((48, 64))
    if case in ("no valid pixel", "constant"):
        planes["SCI"][:] = 1 if case == "constant" else np.nan
    n = {"nothing flagged of many": 40, "one exposure": 1}.get(case, 2)
    exposures = [write_exposure(tmp_path / f"e{i}.fits", planes=planes) for i in range(n)]
    fraction = 0 if case == "nothing flagged of many" else 0.01
    files = flag(tmp_path, exposures, flagfrac_upper=fraction, flagfrac_lower=fraction)
    capsys.readouterr()
    inputs = *(files[name] for name in ("minimum", "median", "flags")), exposures[0]
    call("draw_stack", *inputs, tmp_path / "figures")
    found = {n for n in NAMES_OF_FIGURES if is_picture(tmp_path / "figures" / f"{n}.png")}
    assert found == NAMES_OF_FIGURES - without_colour
    page = tmp_path / "page.html"
    call("blink_page", *inputs, files["flagged"], page, tmp_path / "small.png")
    assert "nan" not in page.read_text().partition('id="facts">')[2].partition("<")[0].lower()
    assert capsys.readouterr().err == ""


def test_figures_in_units_of_the_noise(tmp_path):
    exposures = [write_exposure(tmp_path / f"e{i}_nrs1_rate.fits", seed=i) for i in range(2)]
    files = flag(tmp_path, exposures, edge_mode="shrink", threshold="sigma")
    inputs = *(files[name] for name in ("minimum", "median", "flags")), exposures[0]
    call("draw_stack", *inputs, tmp_path / "figures", "--noise", files["noise"])
    assert all(is_picture(tmp_path / "figures" / f"{name}.png") for name in NAMES_OF_FIGURES)
    assert "residual / noise" in (tmp_path / "figures/histogram.svg").read_text()
    numbers = read_numbers(tmp_path / "figures")
    assert (numbers["threshold"], float(numbers["nsigma_lower"])) == ("sigma", 7)
    assert "flagfrac_lower" not in numbers
    stack = read_stack(files, exposures[0], noise=files["noise"])
    noise = fits.getdata(files["noise"])
    assert np.array_equal(stack.band[2], 5 * noise, equal_nan=True)
    assert np.array_equal(stack.band[1], -7 * noise, equal_nan=True)
    assert np.array_equal(stack.scaled > stack.thresholds[2], stack.flags == 2)


def test_panels_have_one_order_and_say_of_what(tmp_path):
    """Along the dispersion first; no panel of pedestals where none is subtracted."""
    for detector, axes, n in (("NRS1", "xy", 2), ("MIRIFUSHORT", "yx", 3)):
        paths = [tmp_path / f"e{i}_{detector.lower()}_rate.fits" for i in range(2)]
        exposures = [write_exposure(path, detector, seed=i) for i, path in enumerate(paths)]
        stack, found = read_stack(flag(tmp_path / detector, exposures), exposures[0]), []
        for draw in (draw_places, draw_sources, draw_histogram, draw_stages):
            figure = Figure()
            draw(figure, stack)
            found.append([panel.get_xlabel() or panel.get_ylabel() for panel in figure.axes])
        places, sources, histogram, stages = found
        assert places[:2] == [f"{axis} [pixel]" for axis in axes]
        assert sources == ["x [pixel]", "share of the minimum", "pedestal [DN/s]"][:n]
        assert histogram == ["residual [DN/s]", "residual / noise"]
        assert stages[-2:] == ["minimum, median [DN/s]", "residual [DN/s]"]


def test_a_plain_run_imports_no_matplotlib(nods):
    """Nor do the programs of its rules."""
    groups = list_programs()
    programs = ", ".join(f"{group}.{n}" for group in ("stages", "tables") for n in groups[group])
    for wanted, folder, words in (
        ("pandas", nods.folder, nods.command("--dry-run", "--quiet", "all")[1:]),
        ("stages.median", ROOT / "scripts", ["-c", f"import {programs}"]),
    ):
        words = [sys.executable, "-X", "importtime", *words]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
        assert wanted in done.stderr
        assert "matplotlib" not in done.stderr


# ---- what figures and page count -----------------------------------------------------------------


def test_roles_and_status_of_products():
    names = ["association", "product", "exposure", "exptype", "path", "stack"]
    rows = [(*"aa", "e", "science", "", "s"), (*"aa", "e", "selfcal", "", "s")]
    rows += [(*"aa", "f", "background", "", "s"), (*"bb", "g", "science", "", "skipped")]
    rows += [(*"cc", "h", "science", "", "t"), (*"dd", "i", "science", "", "u")]
    members = pd.DataFrame(rows, columns=names)
    roles = collect_roles(members)
    assert roles["s"] == {"e": ["science", "selfcal"], "f": ["background"]}
    assert set(roles) == {"s", "t", "u"}
    assert format_roles(roles["s"]) == "2 exposures: 1 science, 1 background"
    assert format_roles({"a": ["selfcal"]}) == "1 exposure: 1 selfcal"
    counts = [(n, n, *FROM_SUMMARY[:2], "3", f"of {n}") for n in "abc"]
    summary = pd.DataFrame(counts, columns=["association", "product", *FROM_SUMMARY])
    status = [("c", "failed", "pedestal", "m"), ("d", "not reached", "", "")]
    status = pd.DataFrame(status, columns=["association", "status", "stage", "message"])
    found = list_products(members, summary, status)
    assert [(row["science"], row["status"], row["message"]) for row in found] == [
        ("e", "done", ""), ("g", "skipped", "of b"), ("h", "failed", "at pedestal: m"),
        ("i", "not reached", ""),
    ]  # fmt: skip
    assert (found[0]["n_new"], found[3]["n_new"]) == ("3", "")


def test_flags_that_stacks_share(tmp_path, monkeypatch):
    a, b = np.zeros((2, 10, 10), np.uint8)
    a[0, :4] = 2
    b[0, 2:5] = 2
    b[1, 0] = 1
    paths, figures = [], []
    for name, flags in {"a": a, "b": b, "c": a}.items():
        header = {"DETECTOR": "NRS2" if name == "c" else "NRS1", "BPXSTACK": name, "BPXNEXP": 2}
        fits.PrimaryHDU(flags, fits.Header(header)).writeto(tmp_path / name)
        paths.append(tmp_path / name)

    monkeypatch.setattr(draw_shared, "save_figure", lambda figure, path: figures.append(figure))
    call("draw_shared", *paths, "--table", tmp_path / "s.csv", "--picture", tmp_path / "s.png")
    rows = (tmp_path / "s.csv").read_text().splitlines()[1:]
    assert "NRS1,high,a,b,4,3,2,0.12" in rows
    assert "NRS1,low,b,a,1,0,0,0.0" in rows
    assert len(rows) == 4
    texts = {text.get_text() for text in figures[0].findobj(Text)}
    assert {"NRS2: one stack, nothing to compare", "50", "67"} <= texts


def test_the_exposure_that_sets_most():
    source = np.array([[1, 1, 2, 2, 0, 0], [1, 2, 2, 2, 0, 0]])
    assert np.array_equal(find_dominant(source, 2, tile=2), [[1, 2, np.nan]], equal_nan=True)


def test_a_picture_is_small_and_keeps_its_colours(tmp_path, rng):
    figure, paths = Figure(figsize=(6, 4), dpi=100), [tmp_path / "full.png", tmp_path / "few.png"]
    figure.subplots().imshow(rng.normal(size=(100, 100)), "PuOr_r")
    figure.savefig(paths[0], dpi=100)
    save_figure(figure, str(paths[1]))
    full, few = (imread(path)[..., :3] for path in paths)
    assert np.abs(full - few).max() < 12 / 255
    assert paths[1].stat().st_size < 0.8 * paths[0].stat().st_size


def test_titles():
    miri = {"DETECTOR": "MIRIFULONG", "CHANNEL": "34", "BAND": "SHORT"}
    assert format_title(miri) == "MIRI MRS, channels 3 and 4, band SHORT"
    assert format_title(miri | {"BAND": ""}) == "MIRI MRS, channels 3 and 4, several bands"
    nirspec = {"DETECTOR": "NRS2", "GRATING": "PRISM", "FILTER": "CLEAR"}
    assert format_title(nirspec) == "NIRSpec IFU, PRISM/CLEAR, NRS2"


def test_wavelengths_of_an_exposure_with_a_wcs(tmp_path):
    path = write_model(tmp_path / "e_assign_wcs.fits", "NRS1", 0)
    y, x = np.array([0, 30]), np.array([2, 2])
    assert read_wavelengths(path, y, x) == pytest.approx(np.array([5, 5.03]))
    fits.delval(path, "S_WCS")
    assert np.isnan(read_wavelengths(path, y, x)).all()


# ---- tuning --------------------------------------------------------------------------------------


def test_the_extent_of_the_pointings_is_measured(tmp_path):
    """Across a right ascension of 0; nothing where one pointing is unknown."""
    for i, (ra, dec) in enumerate(((359.99999, 60), (1e-5, 60 + 3e-5))):
        write_exposure(tmp_path / f"{i}.fits", science={"RA_V1": ra, "DEC_V1": dec})
    paths = [str(tmp_path / f"{i}.fits") for i in range(2)]
    assert measure_dither(paths) == pytest.approx(np.hypot(0.036, 0.108), rel=1e-4)
    assert np.isnan(measure_dither([*paths, write_exposure(tmp_path / "unknown.fits")]))


def test_tuning_keeps_its_tables_and_figures(run):
    assert run.planned["score"] == 5
    assert run.planned["threshold"] == 1
    files = {str(path.relative_to(run.tuned)) for path in run.tuned.rglob("*") if path.is_file()}
    pictures = {f"{name}.png" for name in ("recall_high", "recall_low", "cost")}
    tables = {"recall.csv", "settings.csv", "suggestion.txt"}
    assert files == pictures | tables | {f"{i}/score.csv" for i in range(1, 6)}
    assert all(is_picture(run.tuned / name) for name in pictures)


def test_tuning_says_what_is_found_and_the_page_shows_the_suggestion(run):
    recall = pd.read_csv(run.tuned / "recall.csv")
    assert len(recall) == 4 * 2 * len(STRENGTHS)
    strong, weak = (recall[recall["strength"] == s]["recall"].mean() for s in (40, 2))
    assert strong > weak + 0.3
    points = pd.read_csv(run.tuned / "settings.csv")
    assert points["recall"].between(0, 1).all()
    others = points.set_index("flagfrac_upper")["others"]
    assert others.loc[0.02].sum() > others.loc[0.01].sum() / 2
    line = (run.tuned / "suggestion.txt").read_text().strip()
    assert f"tune: {run.tuned.name}: {line}" in run.said
    setting, again = suggest(points)
    assert line.startswith(again)
    assert line.endswith("its dithers (0.00 arcsec) are smaller than the PSF: false flags on its "
                         "source cannot be known")  # fmt: skip
    assert f"threshold: {setting['threshold']}" in line
    page = run.path("results/report.html").read_text()
    assert line in page
    assert f'src="tune/{run.tuned.name}/cost.png"' in page


def test_tuning_flags_as_the_stages_do(run, tmp_path):
    """With copies of the exposures, to which the same was added."""
    minimum, median, flags = (
        fits.getdata(run.stack / f"{name}.fits") for name in ("minimum", "median", "flags")
    )
    residual, copies = minimum - median, []
    free, sigma = ~np.isnan(residual) & (flags == 0), measure_scatter(residual)
    added = choose_injections(free, sigma, np.random.default_rng([5, 2]))
    for i in range(2):
        with fits.open(run.path(f"asn/e{i}_nrs1_rate.fits")) as hdus:
            hdus["SCI"].data = hdus["SCI"].data + added
            hdus.writeto(tmp_path / f"c{i}.fits")
            copies.append(tmp_path / f"c{i}.fits")
    scores = pd.read_csv(run.tuned / "2" / "score.csv").query("kernel_size == 7")
    fraction = {"flagfrac_lower": 0.01, "flagfrac_upper": 0.01}
    sigma = {"threshold": "sigma", "nsigma_upper": 6}
    for kind, parameters in (("fraction", fraction), ("sigma", sigma)):
        files = flag(tmp_path, copies, kernel_size=7, edge_mode="shrink", **parameters)
        again = fits.getdata(files["flags"])
        rows = scores[scores["threshold"] == kind].groupby("kind")[["found", "others"]].sum()
        for name, value, sign in (("high", HIGH, 1), ("low", LOW, -1)):
            flagged = again == value
            counts = (flagged & (sign * added > 0)).sum(), (flagged & (added == 0)).sum()
            assert tuple(rows.loc[name]) == counts
            assert sum(counts)


def test_injections_are_graded_and_free(rng):
    free = rng.random((500, 600)) < 0.7
    added = choose_injections(free, 0.5, rng)
    assert added.dtype == np.float32
    assert (added[~free] == 0).all()
    values, counts = np.unique(added[added != 0], return_counts=True)
    assert np.array_equal(values, 0.5 * np.array(sorted([*STRENGTHS, *(-s for s in STRENGTHS)])))
    assert set(counts) == {round(1e-4 * free.sum() / len(STRENGTHS))}


def test_scores_count_found_and_others():
    added, residual = np.zeros((2, 20, 20), np.float32)
    added[0, :5] = 0.1 * 6
    added[1, :5] = -0.1 * 6
    residual[:] = added
    residual[5, 5], residual[6, 6], residual[7, 7] = 0.1 * 11, 0.1 * 1, -5.0
    flags = np.zeros((20, 20), np.uint8)
    flags[0, :3] = flags[5, 5] = flags[6, 6] = 2
    flags[1, :2] = flags[7, 7] = flags[0, 4] = 1  # the last as the wrong kind
    significance = residual / np.float32(0.1)
    significance[7, 7] = np.nan  # not judged
    smooth = np.zeros_like(residual)  # without structure: only weak flags are false
    found = count_found(flags, residual, added, 0.1, significance, smooth)
    rows = {row[:2]: row[2:] for row in found}
    expected = {("high", 6): (5, 3, 0, 0), ("low", 6): (5, 2, 0, 0), ("high", 10): (0, 0, 1, 0),
                ("high", 2): (0, 0, 1, 1),  # weaker ones count with the weakest
                ("low", 40): (0, 0, 1, 1)}  # fmt: skip
    assert {key: row for key, row in rows.items() if any(row)} == expected


def test_error_bars_are_of_the_injections():
    setting = (15, "zero", "fraction", 0.001, 0.001, 7.0, 5.0)
    rows = [
        (*setting, "high", strength, 10, n, 5, 2, i)
        for i, found in enumerate((2, 4, 6)) for strength, n in ((2, 0), (10, found))
    ]  # fmt: skip
    columns = (*SETTING, "kind", "strength", "injected", "found", "others", "false", "injection")
    table = average_scores(pd.DataFrame(rows, columns=columns))
    strong = table.set_index("strength").loc[10]
    assert strong["recall"] == pytest.approx(0.4)
    assert strong["recall_error"] == pytest.approx(0.2 / np.sqrt(3))
    (point,) = sum_strengths(table).to_dict("records")
    assert point["recall"] == pytest.approx(0.2)
    assert point["recall_error"] == pytest.approx(0.1 / np.sqrt(3))
    assert (point["others"], point["false"]) == (10, 4)
    assert np.isnan(point["half_found_from"])


@pytest.mark.parametrize(("rows", "chosen", "why"), [
    ([(1, 0.5, 1000, 10), (2, 0.7, 2000, 180), (4, 0.9, 4000, 2000)], 2, "the most with at most"),
    ([(1, 0.69, 1000, 10), (2, 0.7, 2000, 180)], 1, "the most with at most"),  # within its error
    ([(1, 0.5, 1000, 500), (2, 0.7, 2000, 800)], 2, "no setting has at most 10%"),
])  # fmt: skip
def test_what_is_suggested(rows, chosen, why):
    """Each row: flagfrac, recall, other flags, false ones, of each kind alike."""
    points = pd.DataFrame([
        {**dict.fromkeys(SETTING, 0), "threshold": "fraction", "flagfrac_upper": cut, "kind": kind,
         "recall": recall, "recall_error": 0.02, "others": others, "false": false}
        for cut, recall, others, false in rows for kind in ("high", "low")
    ])  # fmt: skip
    setting, line = suggest(points)
    assert setting["flagfrac_upper"] == chosen
    assert why in line
    assert f"flagfrac_upper: {chosen}" in line
    assert "nsigma" not in line
    assert "\n" not in line
    assert "(0.10 arcsec) are smaller than the PSF: false" in suggest(points, 0, 0.1, 0.2)[1]
    assert "where its dithers are" in suggest(points, 0, np.nan, 0.2)[1]
    assert "cannot be known" not in suggest(points)[1]


# ---- against the demo's truth --------------------------------------------------------------------


def test_the_estimate_of_false_positives_against_the_truth():
    """On a piece of the demo's detector: within a sixth wherever there are many."""
    detector = DETECTORS["MIRIFUSHORT"]
    detector = detector._replace(shape=(1024, 516), halves=detector.halves[:1])
    truth = simulate_bad_pixels(detector.shape, np.random.default_rng(4))
    scenes = [(5.0, -0.45), (5.0, 0.45), (0.0, 0.0), (0.0, 0.0)]
    minimum = np.fmin.reduce([
        simulate_exposure(detector, truth, *at, 0.0, np.random.default_rng([4, i]))["data"]
        for i, at in enumerate(scenes)
    ])  # fmt: skip
    significance = measure_significance(minimum, 2)
    median = running_median(minimum, 7, 2, "zero")
    for fraction in (0.002, 0.004):
        flags, *_ = flag_outliers(minimum, median, fraction, fraction)
        for value, sign in ((2, 1), (1, -1)):
            true = np.count_nonzero((flags == value) & (sign * truth <= 0))
            assert true > 500
            estimate = np.count_nonzero(find_false_positives(flags == value, significance, sign))
            assert estimate == pytest.approx(true, rel=1 / 6)
