"""From association files to the members table, to stacks, and to flagged associations."""

import json
import os

import pytest
from conftest import call, write_association

from badpix_selfcal.associations import (
    COLUMNS,
    exposure_name,
    find_associations,
    read_association,
    read_members,
    read_rows,
    stack_name,
)
from badpix_selfcal.errors import InputError
from badpix_selfcal.flagged_association import make_flagged_association
from badpix_selfcal.paths import SKIPPED, workdir_path

A, B, C = (f"jw01204001001_02101_0000{i}_mirifulong" for i in (1, 2, 3))
CONFIG = {"exposures": "", "force_single": False, "missing_members": "error"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def members(*pairs):
    return [(f"{name}_rate.fits", exptype) for name, exptype in pairs]


def stacks(path, **kw):
    return [row[5] for row in read_rows(path, **kw)]


# ---- names and paths -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/d/{A}_rate.fits", A),
        (f"{A}.fits", A),
        *((f"{A}_{suffix}.fits", A) for suffix in (
            "assign_wcs", "assignwcs", "assignwcsstep", "rateints", "badpix_selfcal",
            "badpixselfcal", "badpix_selfcalstep", "msa_flagging", "msaflagging")),
        ("det_image_seq1_MIRIFULONG_12LONGexp1_rate.fits", "det_image_seq1_MIRIFULONG_12LONGexp1"),
        ("first_rate_rate.fits", "first_rate"),
        (f"{A}_cal.fits", f"{A}_cal"),
        (f"{A}_rate_x.fits", f"{A}_rate_x"),
    ],
)  # fmt: skip
def test_exposure_names(path, name):
    assert exposure_name(path) == name


def test_stack_names_depend_on_the_exposures_alone():
    """And can be the name of a folder, and of no option."""
    name = stack_name([A, B, C])
    assert name == stack_name([C, A, B, A]) != stack_name([A, B])
    assert name.startswith("jw01204001001_02101_mirifulong_3exp-")
    assert len(name.rpartition("-")[2]) == 12
    assert stack_name([A]).startswith(A)
    far = [f"jw01204{obs}001_02101_00001_nrs1" for obs in ("001", "012")]
    assert stack_name(far).startswith("jw01204_nrs1_2exp-")
    assert stack_name(["a", "b"]).startswith("2exp-")
    for names in (["a_-x", "b_-x"], [".a", ".b"], ["-", "--"], ["a" * 48, "a" * 47 + "b"]):
        assert stack_name(names)[0].isalnum()
        assert len(stack_name(names)) <= 68


def test_paths_are_relative_below_the_working_directory_else_absolute(here, tmp_path_factory):
    """Linked folders are where they really are: there `..` leads to their parent."""
    other = tmp_path_factory.mktemp("archive")
    pairs = [(f"{other}/{A}_rate.fits", "science"), (f"{here}/rate/{B}.fits", "background")]
    path = write_association("store/asn/x.json", ("p", [*pairs, ("../r/y.fits", "imprint")]))
    (here / "asn").symlink_to("store/asn")
    expected = [f"{other}/{A}_rate.fits", f"rate/{B}.fits", "store/r/y.fits"]
    for link in (path, "asn/x.json"):
        assert [row[4] for row in read_rows(link)] == expected
    assert workdir_path(here) == str(here)
    assert workdir_path("~/x") == os.path.expanduser("~/x")
    assert workdir_path(f"{here}-2/x") == f"{here}-2/x"


# ---- members and stacks --------------------------------------------------------------------------


def test_a_row_for_every_member(here):
    """Roles in any case; members of other roles may have any name."""
    long = "long " * 20
    pairs = [(A, "SCIENCE"), (B, "Background"), (C, "selfcal"), (A, "selfcal"), (long, "imprint")]
    path = write_association("asn/one_asn.json", ("p", members(*pairs)))
    stack = stack_name([A, B, C])
    assert read_rows(path) == [
        ("one_asn", "p", name, role.lower(), f"asn/{name}_rate.fits", stack) for name, role in pairs
    ]


def test_listed_members_decide_which_stack_a_product_has_or_whether_it_is_skipped(here):
    one = write_association("1.json", ("p", members((A, "science"), (B, "background"))))
    two = write_association(
        "2.json", ("p", members((B, "science"), (A, "selfcal"), (B, "selfcal")))
    )
    assert set(stacks(one)) == set(stacks(two)) == {stack_name([A, B])}
    alone = write_association("3.json", ("p", members((A, "science"), (B, "imprint"))))
    itself = write_association("4.json", ("p", members((A, "science"), (A, "selfcal"))))
    assert set(stacks(alone)) == {SKIPPED}
    assert set(stacks(alone, force_single=True)) == set(stacks(itself)) == {stack_name([A])}
    both = (("p", members((A, "science"), (B, "background"))), ("q", members((C, "science"))))
    assert stacks(write_association("5.json", *both)) == [stack_name([A, B])] * 2 + [SKIPPED]


def test_a_member_that_is_missing_is_an_error_or_leaves_its_association_out(here):
    """A selfcal member that is missing is dropped alone."""
    (here / f"{A}_rate.fits").touch()
    write_association("1.json", ("p", members((A, "science"), (C, "selfcal"), (A, "selfcal"))))
    write_association("2.json", ("p", members((A, "science"), (B, "background"))))
    table, paths, left_out, errors = read_members({**CONFIG, "associations": "*.json"})
    assert (list(table), list(paths), left_out, errors) == (list(COLUMNS), ["1", "2"], {}, [])
    skip = {**CONFIG, "associations": "*.json", "missing_members": "skip"}
    table, paths, left_out, errors = read_members(skip)
    assert (list(paths), list(left_out), errors) == (["1"], ["2"], [])
    assert left_out["2"].startswith(f"{B}_rate.fits: no such file; ")
    assert list(table["exptype"]) == ["science", "missing selfcal", "selfcal"]
    assert set(table["stack"]) == {stack_name([A])}
    assert read_members(skip, {f"{B}_rate.fits"})[2] == {}
    (here / f"{A}_rate.fits").unlink()
    (error,) = read_members(skip)[3]
    assert error.startswith(
        f"config: all 2 associations are left out: 1.json: {A}_rate.fits: no such"
    )


# ---- files ---------------------------------------------------------------------------------------


def test_associations_are_found_by_glob_path_or_list(here):
    for name in ("a/1.json", "a/2.json", "a/b/3.json", "b[4]/4.json"):
        write_association(name, ("p", members((A, "science"))))
    assert list(find_associations("a/*.json")[0].values()) == ["a/1.json", "a/2.json"]
    assert list(find_associations("a/**/*.json")[0]) == ["1", "2", "3"]
    paths, errors = find_associations([f"{here}/a/b/3.json", "a/*.json", "a/1.json"])
    assert sorted(paths.values()) == ["a/1.json", "a/2.json", "a/b/3.json"]
    assert errors == []
    # Brackets may be meant literally.
    assert find_associations("b[4]/4.json") == ({"4": "b[4]/4.json"}, [])


def test_errors_of_finding(here):
    for name in ("a/1.json", "b/1.json", "a{b}.json"):
        write_association(name, ("p", members((A, "science"))))
    os.mkfifo("fifo.json")
    _, errors = find_associations(["*/1.json", "c/*.json", "fifo.json", "a{b}.json"])
    assert [error.partition(";")[0] for error in errors] == [
        "b/1.json: a/1.json has the same file name",
        "c/*.json: no association file matches",
        "fifo.json: no regular file",
        "a{b}.json: a brace, which names a wildcard",
    ]


def product(*pairs, **changes):
    pairs = pairs or [("a.fits", "science")]
    return {
        "name": "p",
        "members": [{"expname": name, "exptype": role} for name, role in pairs],
        **changes,
    }


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "no list of products"),
        ({"products": []}, "no list of products"),
        ({"asn_type": "spec3", "products": [product()]}, "a Level-3 association"),
        ([3], "product 1 has no name"),
        ([product(name="a/.p")], "product 1 has no name"),
        ([product(name="p" * 256)], "a name of 256 letters"),
        ([product(), product()], "product p comes twice"),
        ([product(members=[])], "product p has no list of members"),
        ([product(members=["a.fits"])], "lacks a text"),
        ([product(members=[{"expname": "a.fits"}])], "lacks a text"),
        ([product(("", "science"))], "lacks a text"),
        ([product((1, "science"))], "lacks a text"),
        ([product(("a.fits", "imprint"))], "0 science members"),
        ([product(("a.fits", "science"), ("b.fits", "science"))], "2 science members"),
        ([product(("a b.fits", "science"))], "a b.fits: file names may hold"),
        ([product(("a" * 49, "science"))], "48 of them"),
        ([product(("a{b}/c.fits", "science"))], "holds a brace"),
        ([product(("\ud800/c.fits", "science"))], "cannot be printed"),
        ([product(("a.fits", "science"), ("b.fits", "\ud800"))], "cannot be printed"),
    ],
)
def test_faulty_associations(here, content, error):
    if isinstance(content, list) and content:
        content = {"products": content}
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (here / "x.json").write_bytes(text)
    with pytest.raises(InputError) as raised:
        read_association("x.json")
    (line,) = str(raised.value).splitlines()
    assert line.startswith("x.json: ")
    assert error in line
    assert ";" in line


def test_all_errors_are_listed(here):
    (here / "1.json").write_text("{")
    (here / "2.json").write_text(json.dumps({"products": [product(members=[]), {}]}))
    table, *_, errors = read_members({**CONFIG, "associations": "*.json"})
    assert not len(table)
    assert [line.partition(":")[0] for line in errors] == ["1.json", "2.json", "2.json"]


# ---- flagged associations ------------------------------------------------------------------------


@pytest.mark.parametrize("saved", [("science", "background"), ("science",)])
def test_a_flagged_association_keeps_all_but_what_changes(here, saved):
    """Members are named after links beside it; one that lies elsewhere is found there."""
    pairs = [(A, "SCIENCE"), (B, "background"), (C, "selfcal"), ("leak", "imprint"), ("x", "dark")]
    path = write_association("asn/x.json", ("p", members(*pairs)), note={"kept": [1, 2]})
    (here / "asn" / "leak_rate.fits").touch()
    association = read_association(path)
    association["products"][0]["members"][1]["tweak"] = "kept"
    stack = stack_name([A, B, C])
    found, links = make_flagged_association(
        association, [stack], "asn", "results/associations",
        prefix="", others=["/far/x_rate.fits"], saved=saved,
    )  # fmt: skip
    (product,) = found["products"]
    assert found == {**association, "products": [product]}
    assert (product["name"], product["stack"]) == ("p", stack)
    science, background, leak, dark = product["members"]
    assert (science["exptype"], background["tweak"]) == ("SCIENCE", "kept")
    assert dark == {"expname": "/far/x_rate.fits", "exptype": "dark"}
    flagged = f"../flagged/{stack}/{{}}_badpix_selfcal.fits"
    assert links[science["expname"]] == flagged.format(A)
    original = f"../../asn/{B}_rate.fits"
    assert links[background["expname"]] == (flagged.format(B) if len(saved) > 1 else original)
    assert links[leak["expname"]] == "../../asn/leak_rate.fits"
    assert len(links) == 3
    assert not any("/" in name for name in links)


def test_the_view_of_an_association(here):
    path = write_association("x_asn.json", (A, members((A, "science"), (A, "selfcal"))))
    words = ("results/associations/x_asn.json", "results/by_association/x_asn", "--stacks")
    call("associate", path, *words, "s-1", "--stages", "minimum", "threshold")
    assert os.listdir("results/by_association/x_asn") == [A]
    links = {os.readlink(p) for p in (here / "results/by_association/x_asn" / A).iterdir()}
    assert links == {
        *(f"../../../stacks/s-1/{name}.fits" for name in ("minimum", "flags")),
        f"../../../flagged/s-1/{A}_badpix_selfcal.fits",
    }
