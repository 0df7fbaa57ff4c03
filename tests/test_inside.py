"""Deletions and writes stay inside: whatever is linked, named or given as an option."""

import json
import os
from pathlib import Path

import pytest
from conftest import call, program, write_association, write_exposure

from badpix_selfcal.associations import COLUMNS
from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.errors import InputError

STACK = "jw01204_2exp-0123456789ab"


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A run folder of which no association asks for anything, with files of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("a_rate.fits", "a_badpix_selfcal.fits"):
        make(f"raw/{name}")
    return tmp_path


def make(path, text="x"):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def prune(capsys):
    """A function that calls prune and returns what it prints."""

    def call_prune(*words):
        make("results/members.csv", ",".join(COLUMNS))
        call("prune", *words, "results/members.csv")
        return capsys.readouterr().out

    return call_prune


def test_links_are_not_followed(results, prune):
    """Of a folder of flagged exposures, of a stack, of figures, of a view, of a file."""
    raw = results / "raw"
    before = sorted(os.listdir(raw))
    for link in (f"flagged/{STACK}", f"stacks/{STACK}", f"figures/{STACK}", "by_association/one"):
        place = results / "results" / link
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(raw)
    other = f"results/flagged/{STACK[:-1]}c"
    os.makedirs(other)
    os.symlink(raw / "a_rate.fits", f"{other}/a_badpix_selfcal.fits")
    assert "0 results" in prune("--delete")
    assert sorted(os.listdir(raw)) == before
    assert os.path.lexists(f"results/flagged/{STACK}")


def test_a_linked_folder_of_results_is_pruned_but_not_what_it_links_to(results, prune):
    os.mkdir("disk")
    os.symlink("disk", "results")
    own = make(f"results/flagged/{STACK}/a_badpix_selfcal.fits")
    os.symlink(results / "raw", f"results/flagged/{STACK}1")
    assert "1 results" in prune("--delete")
    assert not own.exists()
    assert Path("raw/a_badpix_selfcal.fits").exists()


def test_what_is_the_users_stays(results, prune):
    """JSON, folders and files of theirs in the folders of the results."""
    theirs = [
        make("results/associations/my_notes.json", '{"products": []}'),
        make("results/associations/my_asn.json", json.dumps({"products": [{"name": "p"}]})),
        make("results/stacks/notebook/minimum.fits"),
        make(f"results/stacks/{STACK}/my.fits"),
        make("results/flagged/mine/a_badpix_selfcal.fits"),
        make("results/by_association/one/p/notes.txt"),
        make("results/figures/paper/flags.png"),
        make("results/report/notes.html"),
        make("results/x.part"),
    ]
    association = json.dumps({"products": [{"name": "p", "stack": STACK}]})
    ours = [
        make(f"results/stacks/{STACK}/minimum.fits"),
        make(f"results/figures/{STACK}/flags.png"),
        make(f"results/tune/{STACK}/1/score.csv"),
        make(f"results/flagged/{STACK}/a_badpix_selfcal.fits"),
        make(f"results/flagged/{STACK}/.snakemake_timestamp"),
        make("results/flagged/skipped/b_badpix_selfcal.fits"),
        make(f"results/stacks/{STACK}/.7-abc.part"),
        make("results/associations/.7-abc.part"),
        make("results/.abc_1.part/flags.fits"),  # of verify
        make("results/associations/old_asn.json", association),
    ]
    listed = prune()
    assert all(path.exists() for path in (*theirs, *ours))
    assert not any(f"{path}\n" in listed for path in theirs)
    out = prune("--delete")
    assert [path for path in theirs if not path.exists()] == []
    assert [path for path in ours if path.exists()] == []
    assert f"results/stacks/{STACK} holds files that are not the workflow's" in out
    for name in ("figures", "tune", "flagged"):
        assert not os.path.exists(f"results/{name}/{STACK}")


def test_a_view_given_by_hand(results):
    """A folder that exists, or a link, stays as it is."""
    write_exposure("asn/a_rate.fits")
    path = write_association("asn/x_asn.json", ("p", [("a_rate.fits", "science")]))

    def associate(view):
        call("associate", path, "results/associations/x_asn.json", view, "--stacks", "skipped")

    make("precious/data.txt")
    os.symlink("data.txt", "precious/link")
    os.symlink("precious", "linked")
    for view in ("precious", "linked"):
        with pytest.raises(InputError, match=f"{view}: exists; remove it, or name another folder"):
            associate(view)
    assert sorted(os.listdir("precious")) == ["data.txt", "link"]
    associate("view")
    assert os.listdir("view/p") == ["a_badpix_selfcal.fits"]


def test_links_in_the_place_of_a_result_or_a_temporary_file_are_not_written_through(results):
    exposure = Path(write_exposure("a_rate.fits"))
    before = exposure.read_bytes()
    for link in ("out.fits.part", "out.fits"):
        os.symlink("a_rate.fits", link)
    done = program("mark_skipped", "a_rate.fits", "out.fits", check=False, cwd=results)
    assert "a_rate.fits: read and written; name another output" in done.stderr
    with atomic_write("out.fits") as part, open(part, "w") as file:
        file.write("all")
    assert exposure.read_bytes() == before
    assert Path("out.fits").read_text() == "all"
    assert not os.path.islink("out.fits")
    assert os.readlink("out.fits.part") == "a_rate.fits"


def test_two_writers_of_one_file_have_their_own_temporary_names(tmp_path):
    """Also of the longest name that a file may have."""
    path = str(tmp_path / ("x" * 250 + ".fits"))
    with atomic_write(path) as one, atomic_write(path) as two:
        assert one != two
        for name in (one, two):
            Path(name).write_text(name)
    assert Path(path).read_text() == one
    assert os.listdir(tmp_path) == [os.path.basename(path)]
