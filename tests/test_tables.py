"""From association files to the members table and to stacks."""

import json
import os

import pandas as pd
import pytest
from conftest import ROOT, call, write_association

from badpix_selfcal.names import exposure_name, stack_name, workdir_path
from badpix_selfcal.program import Fault
from badpix_selfcal.tables import (
    COLUMNS,
    SKIPPED,
    find_associations,
    member_rows,
    read_association,
    read_members,
)
from selfcal_rules.checks import member_faults, read_schema
from tables.associate import flagged_association

A, B, C = (f"jw01204001001_02101_0000{i}_mirifulong" for i in (1, 2, 3))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def members(*pairs):
    return [(f"{name}_rate.fits", exptype) for name, exptype in pairs]


def stacks(path, **kw):
    return [row[5] for row in member_rows(path, **kw)]


def test_a_row_for_every_member(here):
    pairs = [
        (A, "SCIENCE"),
        (B, "Background"),
        (C, "selfcal"),
        (A, "selfcal"),
        ("x_cat", "imprint"),
    ]
    path = write_association("asn/one_asn.json", ("p", members(*pairs)))
    stack = stack_name([A, B, C])
    assert member_rows(path) == [
        ("one_asn", "p", A, "science", f"asn/{A}_rate.fits", stack),
        ("one_asn", "p", B, "background", f"asn/{B}_rate.fits", stack),
        ("one_asn", "p", C, "selfcal", f"asn/{C}_rate.fits", stack),
        ("one_asn", "p", A, "selfcal", f"asn/{A}_rate.fits", stack),
        ("one_asn", "p", "x_cat", "imprint", "asn/x_cat_rate.fits", stack),
    ]


def test_paths_are_relative_below_the_working_directory_else_absolute(here, tmp_path_factory):
    other = tmp_path_factory.mktemp("archive")
    absolute = [(f"{other}/{A}_rate.fits", "science"), (f"{here}/rate/{B}.fits", "background")]
    path = write_association(
        here / "asn" / "x.json", ("p", [*absolute, ("../r/y.fits", "imprint")])
    )
    paths = [row[4] for row in member_rows(path)]
    assert paths == [f"{other}/{A}_rate.fits", f"rate/{B}.fits", "r/y.fits"]
    assert workdir_path(here) == str(here)
    assert workdir_path("~/x") == os.path.expanduser("~/x")
    assert workdir_path(f"{here}-2/x") == f"{here}-2/x"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/d/{A}_rate.fits", A),
        (f"{A}_assign_wcs.fits", A),
        (f"{A}_badpix_selfcal.fits", A),
        (f"{A}.fits", A),
        ("det_image_seq1_MIRIFULONG_12LONGexp1_rate.fits", "det_image_seq1_MIRIFULONG_12LONGexp1"),
        ("first_rate_rate.fits", "first_rate"),
        (f"{A}_rateints.fits", A),
        (f"{A}_assignwcs.fits", A),
        (f"{A}_assignwcsstep.fits", A),
        (f"{A}_badpix_selfcalstep.fits", A),
        (f"{A}_badpixselfcal.fits", A),
        (f"{A}_msa_flagging.fits", A),
        (f"{A}_msaflagging.fits", A),
        (f"{A}_cal.fits", f"{A}_cal"),
        (f"{A}_rate_x.fits", f"{A}_rate_x"),
    ],
)
def test_exposure_names(path, name):
    assert exposure_name(path) == name


def test_stack_names_depend_on_the_exposures_alone():
    name = stack_name([A, B, C])
    assert name == stack_name([C, A, B, A])
    assert name.startswith("jw01204001001_02101_mirifulong_3exp-")
    assert len(name.rpartition("-")[2]) == 12
    assert name != stack_name([A, B])
    assert stack_name([A]).startswith(A)
    far = [f"jw01204{obs}001_02101_00001_nrs1" for obs in ("001", "012")]
    assert stack_name(far).startswith("jw01204_nrs1_2exp-")
    assert stack_name(["a", "b"]).startswith("2exp-")


def test_stack_names_are_file_names_and_no_options():
    for names in (["a_-x", "b_-x"], [".a", ".b"], ["-", "--"], ["a" * 48, "a" * 47 + "b"]):
        name = stack_name(names)
        assert name[0].isalnum()
        assert len(name) <= 68


def test_a_linked_folder_is_where_it_really_is(here):
    """As the kernel has it: `..` leads to the parent of the folder that the link points to."""
    write_association("store/asn/x.json", ("p", [(f"../rate/{A}_rate.fits", "science")]))
    (here / "asn").symlink_to("store/asn")
    assert member_rows("asn/x.json")[0][4] == f"store/rate/{A}_rate.fits"


def test_one_stack_for_products_of_the_same_exposures(here):
    one = write_association("1.json", ("p", members((A, "science"), (B, "background"))))
    two = write_association(
        "2.json", ("p", members((B, "science"), (A, "selfcal"), (B, "selfcal")))
    )
    assert set(stacks(one)) == set(stacks(two))


def test_listed_members_decide_whether_a_product_is_skipped(here):
    alone = write_association("1.json", ("p", members((A, "science"), (B, "imprint"))))
    itself = write_association("2.json", ("p", members((A, "science"), (A, "selfcal"))))
    assert set(stacks(alone)) == {SKIPPED}
    assert set(stacks(alone, force_single=True)) == set(stacks(itself)) == {stack_name([A])}


def test_a_stack_for_each_product(here):
    path = write_association(
        "1.json",
        ("p", members((A, "science"), (B, "background"))),
        ("q", members((C, "science"))),
    )
    assert stacks(path) == [stack_name([A, B])] * 2 + [SKIPPED]


def test_associations_are_found_by_glob_path_or_list(here):
    for name in ("a/1.json", "a/2.json", "b/3.json"):
        write_association(name, ("p", members((A, "science"))))
    assert list(find_associations("a/*.json")[0].values()) == ["a/1.json", "a/2.json"]
    paths, faults = find_associations([f"{here}/b/3.json", "a/*.json", "a/1.json"])
    assert sorted(paths.values()) == ["a/1.json", "a/2.json", "b/3.json"]
    assert faults == []


def test_two_stars_are_folders_of_any_depth(here):
    for name in ("1.json", "a/2.json", "a/b/3.json"):
        write_association(name, ("p", members((A, "science"))))
    assert list(find_associations("**/*.json")[0]) == ["1", "2", "3"]


def test_what_plays_no_part_may_have_any_name(here):
    name = f"{'long ' * 20}.fits"
    path = write_association("x.json", ("p", [(f"{A}_rate.fits", "science"), (name, "imprint")]))
    assert [row[3] for row in member_rows(path)] == ["science", "imprint"]


def test_a_path_with_brackets_may_be_meant_literally(here):
    write_association("a[1].json", ("p", members((A, "science"))))
    assert find_associations("a[1].json") == ({"a[1]": "a[1].json"}, [])


def test_faults_of_finding(here):
    for name in ("a/1.json", "b/1.json"):
        write_association(name, ("p", members((A, "science"))))
    _, faults = find_associations(["*/1.json", "c/*.json"])
    assert len(faults) == 2
    assert "a/1.json" in faults[0]
    assert "b/1.json" in faults[0]
    assert faults[1].startswith("c/*.json: no association")


def product(**changes):
    return {"name": "p", "members": [{"expname": "a.fits", "exptype": "science"}], **changes}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ([], "no list of products"),
        ({}, "no list of products"),
        ({"asn_type": "spec3", "products": [product()]}, "a Level-3 association"),
        ({"products": []}, "no list of products"),
        ({"products": "p"}, "no list of products"),
        ({"products": [3]}, "product 1 has no name"),
        ({"products": [product(name=None)]}, "product 1 has no name"),
        ({"products": [product(name="../p")]}, "product 1 has no name"),
        ({"products": [product(), product()]}, "product p comes twice"),
        ({"products": [product(members=None)]}, "product p has no list of members"),
        ({"products": [product(members=[])]}, "product p has no list of members"),
        ({"products": [product(members=["a.fits"])]}, "lacks a text"),
        ({"products": [product(members=[{"expname": "a.fits"}])]}, "lacks a text"),
        ({"products": [product(members=[{"expname": "", "exptype": "science"}])]}, "lacks a text"),
        ({"products": [product(members=[{"expname": 1, "exptype": "science"}])]}, "lacks a text"),
        (
            {"products": [product(members=[{"expname": "a.fits", "exptype": "imprint"}])]},
            "0 science members",
        ),
        (
            {"products": [product(members=[{"expname": "a.fits", "exptype": "science"}] * 2)]},
            "2 science members",
        ),
        (
            {"products": [product(members=[{"expname": "a b.fits", "exptype": "science"}])]},
            "a b.fits: file names may hold",
        ),
        (
            {"products": [product(members=[{"expname": "a" * 49, "exptype": "science"}])]},
            "48 of them",
        ),
        (
            {"products": [product(members=[{"expname": "a{b}/c.fits", "exptype": "science"}])]},
            "holds a brace",
        ),
        (
            {"products": [product(members=[{"expname": "\ud800/c.fits", "exptype": "science"}])]},
            "cannot be printed",
        ),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_faulty_associations(here, content, fault):
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)
    (here / "x.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Fault) as raised:
        read_association("x.json")
    (line,) = str(raised.value).splitlines()
    assert line.startswith("x.json: ")
    assert fault in line
    assert ";" in line


def test_all_faults_are_listed(here):
    (here / "1.json").write_text("{")
    (here / "2.json").write_text(json.dumps({"products": [product(members=[]), {}]}))
    _, rows, faults = read_members("*.json")
    assert rows == []
    assert [line.partition(":")[0] for line in faults] == ["1.json", "2.json", "2.json"]


def test_flagged_association_keeps_all_but_what_changes(here):
    pairs = [(A, "SCIENCE"), (B, "background"), (C, "selfcal"), ("leak", "imprint")]
    path = write_association("asn/x.json", ("p", members(*pairs)), note={"kept": [1, 2]})
    association = read_association(path)
    association["products"][0]["members"][1]["tweak"] = "kept"
    stack = stack_name([A, B, C])
    flagged = flagged_association(association, [stack], "asn", "results/associations")
    assert flagged == {
        **association,
        "products": [
            {
                "name": "p",
                "stack": stack,
                "members": [
                    {
                        "expname": f"../flagged/{stack}/{A}_badpix_selfcal.fits",
                        "exptype": "SCIENCE",
                    },
                    {
                        "expname": f"../flagged/{stack}/{B}_badpix_selfcal.fits",
                        "exptype": "background",
                        "tweak": "kept",
                    },
                    {"expname": "../../asn/leak_rate.fits", "exptype": "imprint"},
                ],
            }
        ],
    }


def test_the_view_of_an_association_is_made_anew(here):
    """Of a product that has gone, no link stays."""
    two = [(name, members((name, "science"), (name, "selfcal"))) for name in (A, B)]
    path = write_association("x_asn.json", *two)
    names = ("associate", path, "results/associations/x_asn.json", "results/by_association/x_asn")
    call(*names, "--stacks", stack_name([A]), stack_name([B]))
    assert sorted(os.listdir("results/by_association/x_asn")) == [A, B]
    call(*names[:1], write_association("x_asn.json", two[0]), *names[2:], "--stacks", "s-1")
    assert os.listdir("results/by_association/x_asn") == [A]
    links = {os.readlink(p) for p in (here / "results/by_association/x_asn" / A).iterdir()}
    stack, flagged = "../../../stacks/s-1", "../../../flagged/s-1"
    assert links == {
        *(f"{stack}/{name}.fits" for name in ("minimum", "median", "flags")),
        f"{flagged}/{A}_badpix_selfcal.fits",
    }


def test_the_members_table_is_checked_by_its_schema(here):
    schema = read_schema(ROOT / "workflow" / "schemas" / "members.schema.yaml")
    path = write_association("x.json", ("p", members((A, "science"), (B, "background"))))
    for name in (A, B):
        (here / f"{name}_rate.fits").touch()
    table = pd.DataFrame(member_rows(path), columns=COLUMNS)
    assert list(table) == schema["required"] == list(schema["properties"])
    assert member_faults(table, schema) == []
    table.loc[0, "stack"] = "nonsense"
    table.loc[1, "exptype"] = "back ground"
    faults = member_faults(table, schema)
    assert [line.split()[0:3] for line in faults] == [
        ["x.json:", "exptype", "'back"],
        ["x.json:", "stack", "'nonsense'"],
    ]
