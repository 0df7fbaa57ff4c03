"""From a folder of exposures, as a download has it, to associations: generate."""

import importlib.resources
import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from conftest import write_association
from download import archive, associations, download, generate, pool, roles
from jwst.associations import load_asn
from jwst.associations.load_as_asn import LoadAsLevel2Asn

from badpix_selfcal.associations import read_rows, stack_name
from badpix_selfcal.catalog import COLUMNS
from badpix_selfcal.errors import InputError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mrs(folder, detector="mirifushort", bands=("SHORT", "LONG"), program="01523", **primary):
    """Write four dithers of observation 003 and a dedicated background in 004, in some bands."""
    names = {}
    for i, band in enumerate(bands, start=1):
        for k in (1, 2, 3, 4):
            names[band, k] = f"jw{program}003001_0210{i}_0000{k}_{detector}"
            download(folder, names[band, k], {"BAND": band, **primary})
        names[band, "b"] = f"jw{program}004001_0210{i}_00001_{detector}"
        download(folder, names[band, "b"], {"BAND": band, "BKGDTARG": True, **primary})
    return names


def nirspec(folder, patterns=("CYCLING",), observation="005", detector="nrs1", **primary):
    """Write the positions of an observation, each of some PATTTYPE."""
    names = []
    for k, pattern in enumerate(patterns, start=1):
        names.append(f"jw02729{observation}001_02101_0000{k}_{detector}")
        download(folder, names[-1], {"PATTTYPE": pattern, **primary})
    return names


# ---- who goes with whom --------------------------------------------------------------------------


def test_mrs(here):
    """
    Background of the band, selfcal of all bands of the detector; itself never.

    A dedicated background is science of its own, without background, for master background
    subtraction. Other programs join when asked, as selfcal only.
    """
    names, long = mrs(here / "mast"), mrs(here / "mast", "mirifulong")
    other = mrs(here / "mast", program="01524")
    said = generate().stdout
    assert len(associations()) == len(names) + len(long) + len(other)
    assert "24 associations with backgrounds, which" in said
    assert "6 associations of dedicated backgrounds; " in said
    science, background = names["SHORT", 2], names["LONG", "b"]
    assert roles(science) == {
        "science": [science],
        "background": [names["SHORT", "b"]],
        "selfcal": sorted(set(names.values()) - {science}),
    }
    assert roles(background) == {
        "science": [background],
        "selfcal": sorted(set(names.values()) - {background}),
    }
    generate(selfcal_programs="any")
    assert roles(science)["selfcal"] == sorted({*names.values(), *other.values()} - {science})
    assert roles(science)["background"] == [names["SHORT", "b"]]


def test_nods_are_each_others_background(here):
    """Those of the observation at another position; the other observation is selfcal only."""
    nods = nirspec(here / "mast", ["4-POINT-NOD"] * 3)
    far = nirspec(here / "mast", ["4-POINT-NOD"] * 2, "006")
    lone = nirspec(here / "mast", ["2-POINT-NOD"], "008")
    dedicated = nirspec(here / "mast", ["NONE"], "007", BKGDTARG=True)
    generate()
    assert roles(nods[0]) == {
        "science": [nods[0]],
        "background": nods[1:],
        "selfcal": sorted([*nods[1:], *far, *lone, *dedicated]),
    }
    # Without partners there, as for dithers.
    assert roles(lone[0])["background"] == dedicated


@pytest.mark.parametrize("pattern", ["CYCLING", "NODDING", "NONE"])
def test_dithers_have_dedicated_backgrounds(here, pattern):
    """NOD counts as a word between hyphens, only; other gratings, filters, detectors are apart."""
    dithers = nirspec(here / "mast", [pattern] * 2)
    dedicated = nirspec(here / "mast", [pattern], "007", BKGDTARG=True)
    apart = {"GRATING": "G235H", "FILTER": "F170LP", "DETECTOR": "NRS2"}
    for i, (keyword, value) in enumerate(apart.items()):
        nirspec(here / "mast", ["CYCLING"], f"01{i}", **{keyword: value})
    generate()
    assert roles(dithers[1]) == {
        "science": [dithers[1]],
        "background": dedicated,
        "selfcal": [dithers[0], *dedicated],
    }
    assert "background" not in roles(dedicated[0])
    assert [pool()[f"jw0272901{i}001_02101_00001_nrs1"]["stack"] for i in range(3)] == (
        ["skipped"] * 3
    )


def test_imprints_of_the_observation_with_the_same_tilts(here):
    """As imprint with science and with backgrounds of their observation; all of them as selfcal."""
    (science,) = nirspec(here / "mast")
    (dedicated,) = nirspec(here / "mast", ["NONE"], "007", BKGDTARG=True, GWA_XTIL=0.2)
    (unknown,) = nirspec(here / "mast", observation="009", GRATING="G140H", GWA_XTIL=None)
    imprints, tilts = {}, (0.35, 0.35 + 9e-9, 0.35 + 2e-8, 0.35, 0.2)
    for k, (tilt, observation) in enumerate(zip(tilts, ["005"] * 3 + ["006", "007"], strict=True)):
        imprints[k] = f"jw02729{observation}001_03101_0000{k}_nrs1"
        cards = {"IS_IMPRT": True, "GWA_XTIL": tilt, "BKGDTARG": observation == "007"}
        download(here / "mast", imprints[k], cards)
    no_tilt = "jw02729009001_03101_00001_nrs1"
    download(here / "mast", no_tilt, {"IS_IMPRT": True, "GRATING": "G140H", "GWA_XTIL": None})
    generate()
    assert roles(science) == {
        "science": [science],
        "background": [dedicated],
        "imprint": [imprints[0], imprints[1], imprints[4]],
        "selfcal": sorted([dedicated, *imprints.values()]),
    }
    assert roles(dedicated)["imprint"] == [imprints[4]]
    assert roles(unknown) == {"science": [unknown], "selfcal": [no_tilt]}
    assert f"{imprints[0]}_spec2_asn.json" not in associations()
    assert pool()[imprints[0]]["roles"] == "imprint selfcal"
    assert pool()[imprints[3]]["roles"] == "selfcal"


def test_what_limits_selfcal_exposures(here):
    """Keywords, days, number: the nearest in time; of unknown date, the farthest."""
    names = mrs(here / "mast")
    science = names["LONG", 1]
    said = generate(selfcal_match=["BAND", "OBSERVTN"])
    assert roles(science)["selfcal"] == [names["LONG", k] for k in (2, 3, 4)]
    assert roles(science)["background"] == [names["LONG", "b"]]
    assert said.stderr == ""
    assert "selfcal_match: no exposure has BAMD" in generate(selfcal_match="BAMD").stdout
    # Without EXPSTART, by DATE-OBS.
    dates = ("2026-10-11", "2026-10-12", "2026-10-15", "2026-10-10", None)
    times = []
    for k, date in enumerate(dates, start=1):
        times.append(f"jw01523003001_02101_0000{k}_mirifulong")
        cards = {"EXPSTART": None, "DATE-OBS": date, "TIME-OBS": "11:59:59.123"}
        download(here / "mast", times[-1], cards)
    generate(selfcal_max_days=1)
    assert roles(times[0])["selfcal"] == [times[1], times[3]]
    assert roles(times[4]) == {"science": [times[4]]}
    generate(selfcal_max_exposures=3)
    assert roles(times[0])["selfcal"] == times[1:4]
    generate(selfcal_max_exposures=1, selfcal_max_days=5)
    assert roles(times[2])["selfcal"] == [times[1]]


# ---- the catalog ---------------------------------------------------------------------------------


def test_the_catalog_has_every_exposure(here):
    """With its roles, or with the reason why it is not used; what should have been used is told."""
    names = mrs(here / "mast", bands=["SHORT"])
    out = {
        "jw01523003001_01101_00001_mirimage": ({"EXP_TYPE": "MIR_TACQ"}, "target acquisition"),
        "jw01523003001_01102_00001_mirimage": ({"EXP_TYPE": "MIR_IMAGE"}, "imaging (MIR_IMAGE)"),
        "jw01523003001_01103_00001_nrs1": ({"EXP_TYPE": "NRS_X"}, "another mode (NRS_X)"),
        "jw01523003001_01104_00001_nrs1": ({"EXP_TYPE": "NRS_WATA"}, "target acquisition (NRS_"),
        "jw01523003001_01105_00001_mirifulong": ({"PROGRAM": None}, "no PROGRAM in its header"),
        "jw01523003001_01106_00001_mirifulong": ({"DETECTOR": None}, "no DETECTOR in its header"),
        "jw01523003001_01107_00001_mirifulong": ({"EXP_TYPE": None}, "no EXP_TYPE"),
        "jw01523003001_01109_00001_nrs1": ({"GRATING": None}, "no GRATING in its header"),
        "jw01523003001_01110_00001_nrs1": ({"TELESCOP": "HST"}, "of another telescope (HST)"),
        "jw01523003001_01111_00001_nrs1": ({"DATAMODL": "CubeModel"}, "rateints"),
        "jw01523003001_01112_00001_nrs1": ({"DATAMODL": "SlitModel"}, "not a rate file (SlitMo"),
    }
    for name, (cards, _) in out.items():
        download(here / "mast", name, cards)
    broken = here / "mast" / names["SHORT", 3] / f"{names['SHORT', 3]}_rate.fits"
    broken.write_bytes(broken.read_bytes()[:-2880])
    (here / "mast/x_rate.fits").write_text("<html>not found</html>")
    said, rows = generate().stdout, pool()
    assert set(rows) == {*names.values(), *out, "x"}
    for name, (_, reason) in out.items():
        assert rows[name]["reason"].startswith(reason)
        assert rows[name]["roles"] == rows[name]["stack"] == ""
    row = rows[names["SHORT", "b"]]
    assert ",".join(row[column] for column in COLUMNS[2:-2]) == (
        "MIR_MRS,01523,004,001,SMP-LMC-058,MIRIFUSHORT,12,SHORT,,,FULL,FASTR1,50,4-POINT,1,,1.20.2,"
        "jwst_1464.pmap,True,False,2026-10-01T12:00:00,science background selfcal"
    )
    assert row["path"] == f"mast/{row['name']}/{row['name']}_rate.fits"
    assert row["stack"] == stack_name(set(names.values()) - {names["SHORT", 3]})
    assert "exposures: 17, 13 of them not used (" in said
    assert "2 target acquisition" in said
    assert "MIR_IMAGE" not in said
    assert "mirifulong_rate.fits: no PROGRAM in its header" in said
    assert "mast/x_rate.fits: unreadable: not FITS" in said
    assert re.search(rf"^mast/.*{names['SHORT', 3]}_rate.fits: unreadable: .*trunc", said, re.M)
    assert len(associations()) == 4


def test_bad_input(here):
    def error(exposures):
        with pytest.raises(InputError) as raised:
            generate(exposures)
        (line,) = str(raised.value).splitlines()
        return line

    assert "exposures is empty" in error("")
    assert "nowhere: no exposure" in error("nowhere")
    (here / "empty").mkdir()
    assert "empty: no exposure (*_rate.fits) found" in error("empty")
    name = "jw01523003001_02101_00001_mirifulong"
    path = download(here / "a", name)
    assert "a*: matches no FITS file; name the folder" in error("a*")
    assert not os.path.exists("associations")
    os.makedirs("b")
    os.link(path, f"b/{name}_rate.fits")
    assert "the same exposure name; keep one" in error(["a", "b"])
    download(here / "c", "jw01523003001_02101_00001_mirimage", {"EXP_TYPE": "MIR_IMAGE"})
    assert "associations/pool.csv: nothing to calibrate in it" in error("c")
    assert list(pool()) == ["jw01523003001_02101_00001_mirimage"]


def test_links_folders_and_globs(here):
    """
    One file is one exposure by whatever links it is reached; hidden folders are left out.

    Other files than rate come by a glob.
    """
    name = "jw01523003001_02101_0000{}_mirifulong"
    paths = [download(here / "data", name.format(k)) for k in (1, 2)]
    download(here / "data" / ".cache", name.format(3))
    os.symlink(here / "data", here / "linked")
    os.symlink(here / "data", here / "data" / "loop")
    generate(["linked", "data", paths[0]])
    assert list(pool()) == [name.format(1), name.format(2)]
    generate("data/*/*00001*_rate.fits")
    assert list(pool()) == [name.format(1)]
    generate("data/**/*_rate.fits")
    assert list(pool()) == [name.format(1), name.format(2)]
    download(here / "more", name.format(4), {"DATAMODL": "CubeModel"}, suffix="rateints")
    download(here / "more", name.format(5), suffix="assign_wcs")
    generate("more/*/*.fits")
    assert pool()[name.format(4)]["reason"].startswith("rateints")
    assert pool()[name.format(5)]["roles"] == "science"


# ---- the files are the user's --------------------------------------------------------------------


def state():
    paths = [path for path in Path("associations").iterdir() if path.name != "generated.csv"]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_a_second_run_leaves_what_would_be_the_same(here, tmp_path_factory, monkeypatch):
    """And elsewhere, the same exposures give the same bytes."""
    mrs(here / "mast")
    generate()
    before = state()
    assert "0 written, 10 unchanged" in generate().stdout
    assert state() == before
    other = tmp_path_factory.mktemp("other")
    mrs(other / "mast")
    monkeypatch.chdir(other)
    generate()
    contents = [{name: content for name, (_, content) in s.items()} for s in (before, state())]
    assert contents[0] == contents[1]


def test_what_was_edited_by_hand_is_never_overwritten(here):
    """Without its record, nothing is."""
    names = mrs(here / "mast")
    generate()
    path = here / "associations" / f"{names['LONG', 1]}_spec2_asn.json"
    association = json.loads(path.read_text())
    association["products"][0]["members"] = association["products"][0]["members"][:2]
    path.write_text(json.dumps(association))
    new = "jw01523003001_02109_00001_mirifushort"
    download(here / "mast", new, {"BAND": "LONG"})
    said = generate().stdout
    assert "1 edited by hand and kept: associations/" + path.name in said
    assert "delete it and run generate again" in said
    assert "10 written, 0 unchanged" in said  # all others, as one exposure more is their selfcal
    assert json.loads(path.read_text()) == association
    # The catalog tells what is there.
    assert {row[5] for row in read_rows(path)} == {pool()[names["LONG", 1]]["stack"]}
    path.unlink()
    assert "1 written, 10 unchanged" in generate().stdout
    os.remove(here / "mast" / new / f"{new}_rate.fits")
    said = generate().stdout
    assert f"1 of an earlier generate, no longer made: {new}_spec2_asn.json" in said
    assert f"{new}_spec2_asn.json" in associations()
    (here / "associations" / "generated.csv").unlink()
    assert "0 written, 10 unchanged" in generate().stdout
    (here / "associations" / "generated.csv").unlink()
    said = generate(backgrounds=f"{names['SHORT', 1]}*").stdout
    assert "edited by hand" in said
    assert "background" in roles(names["SHORT", 1])


@pytest.mark.filterwarnings("ignore:Input association file contains path")
def test_the_associations_are_right_for_jwst_and_for_a_run(here):
    """By jwst's schema and its two ways to load; the catalog has the stacks of the run."""
    mrs(here / "mast", bands=["SHORT"])
    nirspec(here / "mast", ["4-POINT-NOD"] * 2)
    nirspec(here / "mast", ["CYCLING"], "009", GRATING="G140H")
    lib = importlib.resources.files("jwst.associations") / "lib"
    schema = json.loads((lib / "asn_schema_jw_level2b.json").read_text())
    for config in ({}, {"selfcal_max_exposures": 2}, {"force_single": True}):
        generate(**config)
        assert len(associations()) == 8
        for name in associations():
            path, exposure = f"associations/{name}", name.removesuffix("_spec2_asn.json")
            found = read_rows(path, config.get("force_single", False))
            assert {row[5] for row in found} == {pool()[exposure]["stack"]}
            text = Path(path).read_text()
            jsonschema.validate(json.loads(text), schema)
            loaded = load_asn(text)
            assert (loaded["asn_type"], loaded["asn_rule"]) == ("spec2", "DMSLevel2bBase")
            assert LoadAsLevel2Asn.load(path)["products"][0]["name"] == exposure


# ---- what to check -------------------------------------------------------------------------------


def test_the_table_of_groups_and_doubtful_stacks(here):
    """Few exposures with a dedicated background are no matter."""
    mrs(here / "mast")
    (alone,) = nirspec(here / "mast", ["CYCLING"], "008", GRATING="G140H")
    nods = nirspec(here / "mast", ["2-POINT-NOD"] * 2)
    slow = nirspec(here / "mast", ["CYCLING"] * 4, "006", detector="nrs2")
    extra = "jw02729006001_02105_00001_nrs2"
    download(here / "mast", extra, {"READPATT": "NRSIRS2", "NGROUPS": 24})
    nirspec(here / "mast", ["CYCLING"], "011", GRATING="G235H")
    nirspec(here / "mast", ["NONE"], "012", BKGDTARG=True, GRATING="G235H")
    said = generate().stdout
    lines = [line.split() for line in said.splitlines()]
    assert ["01523", "MIRI", "MIRIFUSHORT", "LONG", "4", "1", "10", "1.0"] in lines
    assert ["01523", "MIRI", "MIRIFUSHORT", "SHORT", "4", "1", "10", "1.0"] in lines
    assert ["02729", "NIRSPEC", "NRS1", "G395H/F290LP", "2", "2", "2", "0.0"] in lines
    assert f"1 exposure alone, nothing would be flagged (skipped): {alone}" in said
    few = re.search(r"^1 stack of fewer than 4 exposures .*: (.*)$", said, re.M)[1]
    assert few == stack_name(nods)
    stack = stack_name([*slow, extra])
    depth = re.search(r"^1 stack of mixed depth, .*: (.*)$", said, re.M)[1]
    assert depth == f"{stack} (NRSIRS2, NRSIRS2RAPID, 24 to 50 groups)"


# ---- associations that exist ---------------------------------------------------------------------


def test_selfcal_members_are_added_to_associations_that_exist(here):
    """Members beside an association come before those of the tree."""
    names = mrs(here / "mast")
    science = [names["SHORT", k] for k in (1, 2, 3, 4)]
    for name in science:
        archive(here / "asn", name, (names["SHORT", "b"], "background"), degraded_status="none")
    tree = here / "mast" / science[0] / f"{science[0]}_rate.fits"
    os.link(tree, here / "asn" / tree.name)
    generate(from_associations="asn/*.json")
    assert associations() == sorted(p.name for p in here.glob("asn/*.json"))
    for i, name in enumerate(associations()):
        before = json.loads((here / "asn" / name).read_text())
        after = json.loads((here / "associations" / name).read_text())
        members = after["products"][0].pop("members")
        given = before["products"][0].pop("members")
        assert after == before  # but for the members
        kept, added = members[: len(given)], members[len(given) :]
        assert [m["exptype"] for m in kept] == [m["exptype"] for m in given]
        assert [os.path.basename(m["expname"]) for m in kept] == [m["expname"] for m in given]
        assert {m["exptype"] for m in added} == {"selfcal"}
        exposures = {os.path.basename(m["expname"]).removesuffix("_rate.fits") for m in added}
        assert exposures == set(names.values()) - {science[i]}
        for member in members:
            assert os.path.exists(os.path.join("associations", member["expname"]))
        if i == 0:
            assert members[0]["expname"] == f"../asn/{tree.name}"
    rows = pool()
    assert rows[science[0]]["stack"] == stack_name(names.values())
    assert rows[science[0]]["roles"] == "science selfcal"
    assert rows[names["LONG", "b"]]["roles"] == "selfcal"


def test_associations_that_are_not_copied_are_told(here):
    """One with selfcal members gets no more."""
    names = mrs(here / "mast", bands=["SHORT"])
    one, two, three = (names["SHORT", k] for k in (1, 2, 3))
    given = [(f"{one}_rate.fits", "science"), (f"{two}_rate.fits", "SELFCAL")]
    write_association(here / "asn" / "given_asn.json", (one, given))
    lost = [(f"{two}_rate.fits", "science"), ("lost_rate.fits", "background")]
    write_association(here / "asn" / "lost_asn.json", ("p", lost))
    write_association(here / "asn" / "unused_asn.json", ("p", [("x_rate.fits", "science")]))
    (here / "asn" / "broken_asn.json").write_text("{")
    said = generate(from_associations=["asn/*.json", "associations/*.json"]).stdout
    assert "unused_asn.json: its science exposure is not used; not copied" in said
    assert "broken_asn.json: not JSON" in said
    assert "lost_asn.json: asn/lost_rate.fits: neither there nor in exposures" in said
    assert associations() == ["given_asn.json", "lost_asn.json"]
    members = json.loads((here / "associations/given_asn.json").read_text())["products"][0]
    assert [m["exptype"] for m in members["members"]] == ["science", "SELFCAL"]
    assert pool()[three]["roles"] == "selfcal"  # of lost_asn.json
    with pytest.raises(InputError, match="nothing to calibrate"):
        generate(from_associations="associations/given*.json")
