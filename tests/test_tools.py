"""What is asked for by name: what plan foresees, what prune takes; the rows of the summary."""

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import call, flag, write_exposure

from badpix_selfcal.associations import COLUMNS
from badpix_selfcal.errors import InputError
from badpix_selfcal.parameters import PARAMETERS
from badpix_selfcal.summary import CARDS, list_warnings, summarize
from tools.plan import measure_results

STACK, OTHER = "s-0123456789ab", "t-0123456789ab"
ROWS = [
    ("x_asn", "p", "a", "science", "a_rate.fits", STACK),
    ("x_asn", "p", "b", "background", "b_rate.fits", STACK),
    ("x_asn", "p", "c", "selfcal", "c_rate.fits", STACK),
    ("x_asn", "p", "d", "imprint", "d_rate.fits", STACK),
    ("y_asn", "q", "e", "science", "e_rate.fits", "skipped"),
]
MEMBERS = pd.DataFrame(ROWS, columns=COLUMNS)
DEFAULTS = {p.name: p.default for p in PARAMETERS} | {"save_flagged_bkg": True}
FLAGGED = [(STACK, "a"), (STACK, "b"), ("skipped", "e")]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        members = [{"expname": os.path.basename(LINKS[0])}]
        text = json.dumps({"products": [{"name": "p", "stack": STACK, "members": members}]})
        (folder / path).write_text(text if "/associations/" in path else "12345")


def write_members(folder, members=MEMBERS):
    (folder / "results").mkdir(parents=True, exist_ok=True)
    members.to_csv(folder / "results/members.csv", index=False)


# ---- prune ---------------------------------------------------------------------------------------

KEPT = (
    *(f"results/stacks/{STACK}/{name}.fits" for name in ("minimum", "median", "flags")),
    f"results/tune/{STACK}/1/score.csv",
    f"results/figures/{STACK}/flags.png",
    *(f"results/flagged/{stack}/{name}_badpix_selfcal.fits" for stack, name in FLAGGED),
    *("results/associations/x_asn.json", "results/associations/y_asn.json"),
    *("results/summary.csv", "results/report.html"),
    *(f"results/report/{STACK}.{form}" for form in ("html", "png")),
    *("a_rate.fits", "logs/median.log", "results/notes.txt"),
)
LEFT = (
    f"results/stacks/{OTHER}/minimum.fits",
    f"results/tune/{OTHER}/1/score.csv",
    f"results/figures/{OTHER}/flags.png",
    *(f"results/report/{OTHER}.{form}" for form in ("html", "png")),
    f"results/flagged/{OTHER}/a_badpix_selfcal.fits",
    "results/flagged/skipped/a_badpix_selfcal.fits",
    "results/associations/z_asn.json",
)
# The links of views and those that flagged associations name, kept and left.
LINKS = [f"results/associations/{name}_badpix_selfcal_{STACK[2:]}.fits" for name in "az"]
LINKS += [f"results/by_association/{name}_asn/p/minimum.fits" for name in "xz"]


@pytest.mark.parametrize("prefix", ["", "sub/"])
def test_prune_takes_what_no_association_asks_for_and_nothing_else(here, capsys, prefix):
    """Tuning and figures of a stack go with the stack, and stay with it."""
    folder = here / prefix
    touch(folder, *KEPT, *LEFT)
    write_members(folder)
    for link in LINKS:
        (folder / link).parent.mkdir(parents=True, exist_ok=True)
        (folder / link).symlink_to("../members.csv")

    def prune(*words):
        os.chdir(here)
        call("prune", f"{prefix}results/members.csv", *words)
        return capsys.readouterr().out.splitlines()

    listed = prune()
    # Folders of stacks and views as a whole, files by themselves.
    found, left = listed[:-1], (*LEFT, *LINKS[1::2])
    assert len(found) == len(left)
    assert all(any(path.startswith(line) for line in found) for path in left)
    assert listed[-1] == "10 results, 0 MB, to delete with the target prune_delete"
    assert all(os.path.lexists(folder / path) for path in (*KEPT, *left))
    assert prune("--delete")[-1] == "10 results, 0 MB, deleted"
    assert all(os.path.lexists(folder / path) for path in (*KEPT, *LINKS[::2]))
    assert not any(os.path.lexists(folder / line) for line in found)
    assert sorted(os.listdir(folder / "results/flagged")) == [STACK, "skipped"]
    assert prune() == ["0 results, 0 MB, to delete with the target prune_delete"]


def test_nothing_is_deleted_while_a_run_is_going_on(here):
    """Its locks name other files than members.csv, which alone is ours."""
    touch(here, LEFT[0], ".snakemake/locks/0.input.lock")
    write_members(here)
    lock = here / ".snakemake/locks/0.input.lock"
    lock.write_text("results/members.csv\na_rate.fits\n")
    with pytest.raises(InputError, match="a run is going on; wait for its end"):
        call("prune", "results/members.csv", "--delete")
    call("prune", "results/members.csv")
    assert os.path.exists(LEFT[0])
    lock.write_text("results/members.csv\n\n")
    call("prune", "results/members.csv", "--delete")
    assert not os.path.exists(LEFT[0])


# ---- plan ----------------------------------------------------------------------------------------


def test_plan_knows_the_sizes(here):
    """Equal to those of real files; the next test has what exists."""
    exposures = [write_exposure(f"{name}_rate.fits", seed=i) for i, name in enumerate("abcde")]
    files = flag(here, exposures[:3], edge_mode="shrink", threshold="sigma")
    names = ("minimum", "excluded", "median", "noise", "flags")
    data = {}
    for name in names:
        with fits.open(files[name], memmap=False) as hdus:
            data[name] = sum(hdu.data.nbytes for hdu in hdus if hdu.data is not None)
    sizes, temporary = measure_results(MEMBERS, DEFAULTS | {"threshold": "sigma"})
    whole = os.path.getsize("a_rate.fits")
    assert sizes == {
        **{f"results/stacks/{STACK}/{name}.fits": n for name, n in data.items()},
        **{f"results/flagged/{s}/{e}_badpix_selfcal.fits": whole for s, e in FLAGGED},
    }
    minimum = f"results/stacks/{STACK}/minimum.fits"
    assert temporary == {minimum: 3 * 4 * 48 * 64}


def test_plan_says_whether_there_is_room(here, capsys, monkeypatch):
    """Results, and temporary files of as many stacks as there are cores, at most."""
    rows = [(f"x{i}_asn", "p", f"e{i}", role, f"e{i}_rate.fits", f"s{i}-0123456789ab")
            for i in range(3) for role in ("science", "selfcal")]  # fmt: skip
    rows += [("x0_asn", "p", f"e{i}", "background", f"e{i}_rate.fits", rows[0][5]) for i in (1, 2)]
    rows += [("x0_asn", "p", "e3", "background", "e3_rate.fits", rows[0][5])]
    write_members(here, pd.DataFrame(rows, columns=COLUMNS))
    for i in range(4):
        write_exposure(f"e{i}_rate.fits", planes={"SCI": np.ones((1000, 1000), np.float32)})

    def plan(cores, **config):
        config = json.dumps(DEFAULTS | config)
        call("plan", "results/members.csv", "--config", config, "--cores", cores)
        return capsys.readouterr().out

    said = plan(2)
    assert "products:  3, in 3 associations" in said
    assert "files:     15 of 15 FITS files are missing" in said
    assert "space:     57 MB more for results; at most 20 MB" in said
    assert "for temporary files, of 2 stacks at a time;" in said
    assert "space:     45 MB more for results" in plan(2, save_flagged_bkg=False)
    assert "at most 24 MB" in plan(8)
    # What is replaced takes no more room.
    touch(here, f"results/flagged/{rows[0][5]}/e0_badpix_selfcal.fits")
    assert "space:     53 MB more for results" in plan(2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=70 * 10**6))
    plan(8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=68 * 10**6))
    with pytest.raises(InputError, match="too little space, 69 MB are needed; make room or choose"):
        plan(1)


# ---- summary -------------------------------------------------------------------------------------


COMPLETE = {"S_BPXSLF": "COMPLETE", "BPXTHHI": 0.0}
FALSE = {"BPXNHI": 100, "BPXNFALS": 50, "BPXEFALS": 5}


def test_the_warnings_of_the_summary_advise_nothing_that_is_there_already():
    assert list_warnings(COMPLETE | {"BPXTHLO": -1.0}) == []
    nothing = ["no valid pixel in the minimum, nothing flagged"]
    assert list_warnings({"S_BPXSLF": "COMPLETE"}) == nothing
    nothing = ["no background or selfcal exposure, nothing flagged"]
    assert list_warnings({"S_BPXSLF": "SKIPPED"}) == nothing
    assert list_warnings(COMPLETE | {"BPXE0012": "e12", "BPXW0012": "dim"}) == ["e12: dim"]
    for n_exposures, n_dedicated, advice in (
        (1, 0, "add dedicated backgrounds"),
        (12, 0, "add dedicated backgrounds"),
        (3, 2, "add selfcal exposures of other positions or targets"),
        (4, 1, "look at runs.png of the target figures"),
    ):
        counts = {"BPXNEXP": n_exposures, "BPXNBKG": n_dedicated}
        (warning,) = list_warnings(COMPLETE | FALSE | counts)
        assert warning.endswith(f"; {advice}")
    edges = COMPLETE | FALSE | {"BPXEDGE": "zero", "BPXNEDGE": 26}
    assert list_warnings(edges)[0].endswith("; set edge_mode: shrink, as many lie at the ends")


def test_the_rows_of_the_summary(here):
    """A row per product, each column from its card; an exposure counts once."""
    again = ("x_asn", "p", "a", "selfcal", "a_rate.fits", STACK)
    members = pd.DataFrame([*ROWS[:-1], again], columns=COLUMNS)
    cards = {card: i for i, card in enumerate(CARDS.values())}
    path = f"results/flagged/{STACK}/a_badpix_selfcal.fits"
    write_exposure(path, primary=cards | {"S_BPXSLF": "COMPLETE"})
    (row,) = summarize(members)[0].to_dict("records")
    row.pop("warnings")
    first = {"association": "x_asn", "product": "p", "science": "a", "stack": STACK}
    expected = dict(zip(CARDS, range(len(CARDS)), strict=True))
    assert row == {**first, "status": "COMPLETE", "n_exposures": 3, **expected}
