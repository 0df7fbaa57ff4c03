"""Deletions and writes stay inside: whatever is linked, named or given as an option."""

import json
import os
from pathlib import Path

import pytest
from conftest import program, write_association, write_exposure

from badpix_selfcal.files import atomic_write

STACK = "jw01204_2exp-0123456789ab"


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with results that no association asks for, beside what is the user's."""
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("planned.json").write_text("[]")
    raw = tmp_path / "raw"
    for name in ("a_rate.fits", "a_badpix_selfcal.fits"):
        make(raw / name)
    return tmp_path


def make(path, text="x"):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def prune(*words):
    return program("prune", *words, "planned.json", cwd=os.getcwd()).stdout


def test_links_are_not_followed(results):
    """Of a folder of flagged exposures, of a stack, of a file, of a view."""
    raw = results / "raw"
    before = sorted(os.listdir(raw))
    for link in (f"flagged/{STACK}", f"stacks/{STACK}", f"figures/{STACK}", "by_association/one"):
        place = results / "results" / link
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(raw)
    other = f"results/flagged/{STACK[:-1]}c"
    os.makedirs(other)
    os.symlink(raw / "a_rate.fits", f"{other}/a_badpix_selfcal.fits")
    out = prune("--delete")
    assert "0 results" in out
    assert sorted(os.listdir(raw)) == before
    assert os.path.lexists(f"results/flagged/{STACK}")


def test_a_linked_folder_of_results_is_pruned_but_not_what_it_links_to(results, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk")
    os.symlink(disk, "results")
    own = make(f"results/flagged/{STACK}/a_badpix_selfcal.fits")
    os.symlink(results / "raw", f"results/flagged/{STACK}1")
    assert "1 results" in prune("--delete")
    assert not own.exists()
    assert (results / "raw/a_badpix_selfcal.fits").exists()


def test_what_is_the_users_stays(results):
    """JSON, folders and files of theirs in the folders of the results."""
    theirs = [
        make("results/associations/my_notes.json", '{"products": []}'),
        make("results/associations/my_asn.json", json.dumps({"products": [{"name": "p"}]})),
        make("results/stacks/notebook/minimum.fits"),
        make(f"results/stacks/{STACK}/my.fits"),
        make("results/flagged/mine/a_badpix_selfcal.fits"),
        make("results/by_association/one/p/notes.txt"),
        make("results/figures/paper/flags.png"),
    ]
    ours = [
        make(f"results/stacks/{STACK}/minimum.fits"),
        make(f"results/figures/{STACK}/flags.png"),
        make(f"results/tune/{STACK}/1/kernel_size~5/edge_mode~zero/median.fits"),
        make(f"results/flagged/{STACK}/a_badpix_selfcal.fits"),
        make("results/flagged/skipped/b_badpix_selfcal.fits"),
        make(f"results/flagged/{STACK}/.7-abc.part"),
        make(f"results/flagged/{STACK}/c_badpix_selfcal.fits.part"),
        make("results/associations/.7-abc.part"),
        make(
            "results/associations/old_asn.json",
            json.dumps({"products": [{"name": "p", "stack": STACK}]}),
        ),
    ]
    listed = prune()
    assert all(path.exists() for path in (*theirs, *ours))
    assert not any(f"{path}\n" in listed for path in theirs)
    out = prune("--delete")
    assert [path for path in theirs if not path.exists()] == []
    assert [path for path in ours if path.exists()] == []
    assert f"results/stacks/{STACK} holds files that are not the workflow's" in out
    assert not os.path.exists(f"results/figures/{STACK}")
    assert not os.path.exists(f"results/tune/{STACK}")


def test_a_view_given_by_hand(results):
    """A folder with anything but links in it stays as it is."""
    write_exposure("asn/a_rate.fits")
    path = write_association("asn/x_asn.json", ("p", [("a_rate.fits", "science")]))
    words = ["associate", path, "results/associations/x_asn.json"]
    make("precious/data.txt")
    os.symlink("data.txt", "precious/link")
    done = program(*words, "precious", "--stacks", "skipped", check=False, cwd=results)
    assert done.returncode == 1
    assert "precious/data.txt: no link of a view; name another folder" in done.stderr
    assert sorted(os.listdir("precious")) == ["data.txt", "link"]
    os.symlink("precious", "linked")
    done = program(*words, "linked", "--stacks", "skipped", check=False, cwd=results)
    assert "linked: a link" in done.stderr
    for _ in range(2):  # the second time, over the first
        program(*words, "view", "--stacks", "skipped", cwd=results)
    assert os.listdir("view/p") == ["a_badpix_selfcal.fits"]


@pytest.mark.parametrize("how", ["itself", "link", "another", "hard link"])
def test_a_log_never_overwrites_data(results, how):
    exposure = Path(write_exposure("a_rate.fits"))
    before = exposure.read_bytes()
    log = {"itself": "a_rate.fits", "link": "x.log", "another": "b_rate.fits", "hard link": "h.log"}
    if how == "link":
        os.symlink("a_rate.fits", "x.log")
    elif how == "another":
        os.link(exposure, "b_rate.fits")
    elif how == "hard link":
        os.link(exposure, "h.log")
    words = ["a_rate.fits", "--output", "p.fits", "--log", log[how]]
    done = program("pedestal", *words, check=False, cwd=results)
    assert done.returncode == 1
    assert "name another log" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert exposure.read_bytes() == before


def test_a_link_in_the_place_of_a_temporary_file_is_not_written_through(results):
    """Nor one in the place of the result, which is replaced."""
    exposure = Path(write_exposure("a_rate.fits"))
    before = exposure.read_bytes()
    os.symlink("a_rate.fits", "out.fits.part")
    os.symlink("a_rate.fits", "out.fits")
    program("skip", "a_rate.fits", "new/out.fits", cwd=results)
    with atomic_write("out.fits") as part, open(part, "w") as file:
        file.write("all")
    assert exposure.read_bytes() == before
    assert Path("out.fits").read_text() == "all"
    assert not os.path.islink("out.fits")
    assert os.readlink("out.fits.part") == "a_rate.fits"


def test_two_at_one_file_each_have_a_temporary_name(tmp_path):
    path = str(tmp_path / "x")
    with atomic_write(path) as one, atomic_write(path) as two:
        assert one != two
        for name in (one, two):
            Path(name).write_text(name)
    assert Path(path).read_text() == one
    assert os.listdir(tmp_path) == ["x"]


def test_a_name_of_the_longest_kind(tmp_path):
    path = tmp_path / ("x" * 250 + ".fits")
    with atomic_write(str(path)) as part, open(part, "w") as file:
        file.write("all")
    assert path.read_text() == "all"
