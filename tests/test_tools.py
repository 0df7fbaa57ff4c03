"""What is asked for by name: what plan foresees, what prune takes; the columns of the summary."""

import json
import os
import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import call, program, write_exposure

from badpix_selfcal.headers import card
from badpix_selfcal.parameters import PARAMETERS, effective
from badpix_selfcal.program import Fault
from tables.summary import CARDS, products, row_of, warnings_of
from tools.plan import first_stale_stage, pending, sizes
from tools.prune import size

STACK, OTHER = "s-0123456789ab", "t-0123456789ab"
ROWS = [
    ("x_asn", "p", "a", "science", "a_rate.fits", STACK),
    ("x_asn", "p", "b", "background", "b_rate.fits", STACK),
    ("x_asn", "p", "c", "selfcal", "c_rate.fits", STACK),
    ("x_asn", "p", "d", "imprint", "d_rate.fits", STACK),
    ("y_asn", "q", "e", "science", "e_rate.fits", "skipped"),
]
DEFAULTS = {p.name: p.default for p in PARAMETERS} | {"save_flagged_bkg": True}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planned.json").write_text(json.dumps(ROWS))
    return tmp_path


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"products": [{"name": "p", "stack": STACK}]})
        (folder / path).write_text(text if "/associations/" in path else "12345")


def link(folder, *paths):
    """Make links of a view."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to("../../../members.csv")


# ---- prune ---------------------------------------------------------------------------------------

KEPT = (
    *(f"results/stacks/{STACK}/{name}.fits" for name in ("minimum", "median", "flags")),
    f"results/tune/{STACK}/1/added.fits",
    f"results/figures/{STACK}/flags.png",
    *(f"results/flagged/{STACK}/{name}_badpix_selfcal.fits" for name in "ab"),
    "results/flagged/skipped/e_badpix_selfcal.fits",
    *("results/associations/x_asn.json", "results/associations/y_asn.json"),
    *("results/members.csv", "results/summary.csv", "results/report.html"),
    *(f"results/report/{STACK}.{form}" for form in ("html", "png")),
    *("a_rate.fits", "logs/median.log", "results/notes.txt"),
)
LEFT = (
    f"results/stacks/{OTHER}/minimum.fits",
    f"results/tune/{OTHER}/1/added.fits",
    f"results/figures/{OTHER}/flags.png",
    *(f"results/report/{OTHER}.{form}" for form in ("html", "png")),
    *(f"results/flagged/{STACK}/{name}_badpix_selfcal.fits" for name in "cde"),
    f"results/flagged/{OTHER}/a_badpix_selfcal.fits",
    "results/flagged/skipped/a_badpix_selfcal.fits",
    "results/associations/z_asn.json",
)
VIEWS = [f"results/by_association/{name}_asn/p/minimum.fits" for name in "xz"]


@pytest.mark.parametrize("prefix", ["", "sub"])
def test_prune_takes_what_no_association_asks_for_and_nothing_else(here, prefix):
    """Tuning and figures of a stack go with the stack, and stay with it."""
    folder = here / prefix
    touch(folder, *KEPT, *LEFT)
    link(folder, *VIEWS)
    words = ("prune", "planned.json", "--prefix", prefix)
    listed = program(*words).stdout.splitlines()
    # Folders of stacks and views as a whole, files by themselves.
    found = {line for line in listed if line.startswith("results/")}
    assert len(found) == len(LEFT) + 1
    assert all(any(path.startswith(line) for line in found) for path in (*LEFT, VIEWS[1]))
    assert listed[-1] == "12 results, 0 MB, to delete with the target prune_delete"
    assert all((folder / path).exists() for path in (*KEPT, *LEFT))
    program(*words, "--delete")
    assert all((folder / path).exists() for path in (*KEPT, VIEWS[0]))
    assert not any((folder / line).exists() for line in found)
    assert sorted(os.listdir(folder / "results/flagged")) == [STACK, "skipped"]
    assert program(*words).stdout == "0 results, 0 MB, to delete with the target prune_delete\n"


def test_links_count_as_nothing(here):
    touch(here, "s/minimum.fits", "s/1/added.fits", "s/mine.txt")
    (here / "s/median.fits").symlink_to("minimum.fits")
    assert (size("s/minimum.fits"), size("s/median.fits"), size("s")) == (5, 0, 10)


# ---- plan ----------------------------------------------------------------------------------------


def write_cards(path, **cards):
    """Write a file of a stage, as far as plan looks at it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = [b"SIMPLE  =                    T".ljust(80), b"BITPIX  =                    8".ljust(80)]
    raw += [b"NAXIS   =                    0".ljust(80)]
    raw += [card(key, value, "") if isinstance(value, (str, int)) else
            f"{key:8}= {value:20}".ljust(80).encode() for key, value in cards.items()]  # fmt: skip
    path.write_bytes(b"".join([*raw, b"END".ljust(80)]).ljust(2880))


def make_stack(folder, **changed):
    """Write the files of the stack with the default parameters and what is changed."""
    values = effective(DEFAULTS | {"dispersion_axis": 2} | changed)
    cards = {p.card: values[p.name] for p in PARAMETERS if p.name in values}
    for name in ("minimum", "unusable", "median", "flags"):
        write_cards(folder / f"results/stacks/{STACK}/{name}.fits", **cards)


def test_plan_knows_from_which_stage_on_a_stack_is_made(here):
    def stale(**config):
        return first_stale_stage(STACK, DEFAULTS | config)

    assert stale() == "minimum"
    make_stack(here)
    assert stale() is None
    assert stale(kernel_size=17) == stale(dispersion_axis=1) == "median"
    assert stale(edge_mode="shrink") == "median"
    (here / f"results/stacks/{STACK}/unusable.fits").unlink()
    assert stale() is None
    assert stale(edge_mode="shrink") == stale(threshold="sigma") == "unusable"
    assert stale(dispersion_axis=2) is None
    assert stale(flagfrac_lower=0.01) == stale(flagfrac_upper=0.01) == "threshold"
    (here / f"results/stacks/{STACK}/median.fits").unlink()
    assert stale(flagfrac_upper=0.01) == "median"


def test_plan_counts_the_jobs_of_what_is_missing_and_of_what_follows(here):
    def jobs(config=DEFAULTS):
        return dict(Counter(pending(ROWS, config).values()))

    tables = {"members": 1, "checksums": 1, "summary": 1, "provenance": 1}
    stages = {"pedestal": 1, "minimum": 1, "median": 1, "threshold": 1}
    assert jobs() == {**stages, "write_back": 2, "skip": 1, "associate": 2, **tables}
    touch(here, *KEPT, "results/checksums.csv", "results/provenance.json")
    make_stack(here)
    assert jobs() == {}
    assert jobs(DEFAULTS | {"flagfrac_upper": 0.01}) == {
        "threshold": 1,
        "write_back": 2,
        "associate": 1,
        "summary": 1,
        "provenance": 1,
    }
    (here / "results/flagged/skipped/e_badpix_selfcal.fits").unlink()
    assert jobs() == {"skip": 1, "associate": 1, "summary": 1, "provenance": 1}
    touch(here, "results/flagged/skipped/e_badpix_selfcal.fits")
    (here / "results/associations/x_asn.json").unlink()
    assert jobs() == {"associate": 1, "summary": 1, "provenance": 1}


def test_plan_foresees_the_sizes_of_results(here):
    for name in "abcde":
        write_exposure(f"{name}_rate.fits", seed=1)
    found = sizes(ROWS)
    n, whole = 48 * 64, os.path.getsize("a_rate.fits")
    stack = {"pedestal": 3 * 4 * n, "minimum": 6 * n, "unusable": n, "median": 4 * n,
             "noise": 4 * n, "flags": n}  # fmt: skip
    flagged = [(STACK, "a"), (STACK, "b"), ("skipped", "e")]
    assert found == {
        **{f"results/stacks/{STACK}/{name}.fits": value for name, value in stack.items()},
        **{f"results/flagged/{s}/{e}_badpix_selfcal.fits": whole for s, e in flagged},
    }
    (here / "b_rate.fits").unlink()
    assert sizes(ROWS)[f"results/stacks/{STACK}/pedestal.fits"] == 2 * 4 * n


def test_plan_says_whether_there_is_room(here, monkeypatch):
    """The largest temporary files, one for each core, and what is not there yet."""
    rows = [(f"x{i}_asn", "p", f"e{i}", role, f"e{i}_rate.fits", f"s{i}-0123456789ab")
            for i in range(3) for role in ("science", "selfcal")]  # fmt: skip
    rows += [("x0_asn", "p", f"e{i}", "selfcal", f"e{i}_rate.fits", rows[0][5]) for i in (1, 2)]
    (here / "planned.json").write_text(json.dumps(rows))
    for i in range(3):
        write_exposure(f"e{i}_rate.fits", planes={"SCI": np.ones((1000, 1000), np.float32)})
    words = ("plan", "planned.json", "--config", json.dumps(DEFAULTS))
    said = program(*words, "--cores", "2").stdout
    assert "products:  3, in 3 associations" in said
    assert "files:     19 to make" in said
    assert "space:     61 MB more, 16 MB of it for the" in said
    assert "temporary files of 2 stacks at a time" in said
    assert "space:     65 MB more, 20 MB of it" in program(*words, "--cores", "8").stdout
    # What is replaced takes no more room.
    touch(here, f"results/flagged/{rows[0][5]}/e0_badpix_selfcal.fits")
    assert "space:     57 MB more, 16 MB of it" in program(*words, "--cores", "2").stdout
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=56 * 10**6))
    with pytest.raises(Fault, match="too little space; make room or choose another --directory"):
        call(*words, "--cores", "2")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=58 * 10**6))
    call(*words, "--cores", "2")


# ---- summary -------------------------------------------------------------------------------------


PRODUCT = {"n_exposures": 2, "n_background": 1}


@pytest.mark.parametrize(
    ("header", "warnings"),
    [
        ({"S_BPXSLF": "COMPLETE", "BPXTHLO": -1.0, "BPXTHHI": 1.0, "BPXAXIS": 2}, []),
        ({"S_BPXSLF": "COMPLETE"}, ["no valid pixel in the minimum, nothing flagged"]),
        ({"S_BPXSLF": "COMPLETE", "BPXTHLO": 0.0}, []),
        ({"S_BPXSLF": "SKIPPED"}, ["no background or selfcal exposure, nothing flagged"]),
        (
            {"S_BPXSLF": "COMPLETE", "BPXTHHI": 0.0, "BPXAXIS": 0},
            ["dispersion axis unknown, median in two dimensions"],
        ),
        ({"S_BPXSLF": "COMPLETE", "BPXTHHI": 0.0, "BPXNLINE": 0}, []),
        (
            {"S_BPXSLF": "COMPLETE", "BPXTHHI": 0.0, "BPXE0012": "e12", "BPXW0012": "dim",
             "BPXNLINE": 7},
            ["e12: dim", "7 flagged pixels repeat at one wavelength on bright structure, maybe a "
             "spectral line; add selfcal exposures of other positions or targets"],
        ),
    ],
)  # fmt: skip
def test_what_the_summary_warns_of(header, warnings):
    assert warnings_of(header, PRODUCT) == warnings
    assert row_of(header, PRODUCT)["warnings"] == ("; ".join(warnings) or None)


@pytest.mark.parametrize(
    ("product", "words"),
    [
        ({"n_exposures": 1, "n_background": 0}, "add dedicated backgrounds"),
        ({"n_exposures": 12, "n_background": 0}, "add dedicated backgrounds"),
        ({"n_exposures": 3, "n_background": 2}, "add selfcal exposures of other positions"),
        ({"n_exposures": 4, "n_background": 1}, "look at runs.png of the target figures"),
    ],
)
def test_advice_fits_the_stack(product, words):
    """Nobody is told to add what is listed already."""
    (warning,) = warnings_of({"S_BPXSLF": "COMPLETE", "BPXTHHI": 0.0, "BPXNLINE": 7}, product)
    assert words in warning
    assert warning.count("; ") == 1


def test_the_columns_of_the_summary():
    header = {card: i for i, card in enumerate(CARDS.values())} | {"S_BPXSLF": "COMPLETE"}
    row = row_of(header, PRODUCT)
    assert row.pop("status") == "COMPLETE"
    row.pop("warnings")
    assert row == dict(zip(CARDS, range(len(CARDS)), strict=True))
    assert {p.name for p in PARAMETERS} <= set(row)


def test_the_products_of_a_members_table():
    columns = ("association", "product", "exposure", "exptype", "path", "stack")
    again = ("x_asn", "p", "a", "selfcal", "a_rate.fits", STACK)
    rows = [dict(zip(columns, row, strict=True)) for row in [*ROWS, again]]
    assert products(rows) == [
        {"association": "x_asn", "product": "p", "stack": STACK, "science": "a",
         "n_exposures": 3, "n_background": 1},
        {"association": "y_asn", "product": "q", "stack": "skipped", "science": "e",
         "n_exposures": 1, "n_background": 0},
    ]  # fmt: skip
