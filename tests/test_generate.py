"""From a folder of exposures, as a download has it, to associations: generate."""

import csv
import importlib.resources
import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from conftest import program, write_association
from download import download
from jwst.associations import load_asn
from jwst.associations.load_as_asn import LoadAsLevel2Asn

from badpix_selfcal import pool as pool_module
from badpix_selfcal.names import stack_name
from badpix_selfcal.tables import member_rows

DETECTORS = ("mirifushort", "mirifulong")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mrs(folder, detector="mirifushort", bands=("SHORT", "LONG"), program="01523", **primary):
    """Four dithers of observation 003, a dedicated background in 004, in some bands."""
    names = {}
    for i, band in enumerate(bands, start=1):
        for k in (1, 2, 3, 4):
            names[band, k] = f"jw{program}003001_0210{i}_0000{k}_{detector}"
            download(folder, names[band, k], {"BAND": band, **primary})
        names[band, "b"] = f"jw{program}004001_0210{i}_00001_{detector}"
        download(folder, names[band, "b"], {"BAND": band, "BKGDTARG": True, **primary})
    return names


def generate(*words, check=True):
    return program("generate", *words, check=check)


def roles(name):
    """Return the exposures of each role in an association, as generate names and writes it."""
    (product,) = json.loads(Path(f"associations/{name}_spec2_asn.json").read_text())["products"]
    assert product["name"] == name
    found = {}
    for member in product["members"]:
        assert os.path.exists(os.path.join("associations", member["expname"]))
        exposure = os.path.basename(member["expname"]).removesuffix("_rate.fits")
        found.setdefault(member["exptype"], []).append(exposure)
    return found


def pool():
    with open("associations/pool.csv", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def associations():
    return sorted(name for name in os.listdir("associations") if name.endswith(".json"))


# ---- the recipes ---------------------------------------------------------------------------------


def test_mrs(here):
    """Background of the band, selfcal of all bands of the detector; itself never."""
    names = mrs(here / "mast")
    other = mrs(here / "mast", "mirifulong")
    generate("mast")
    assert len(associations()) == len(names) + len(other)
    science = names["SHORT", 2]
    assert roles(science) == {
        "science": [science],
        "background": [names["SHORT", "b"]],
        "selfcal": sorted(set(names.values()) - {science}),
    }


def test_a_dedicated_background_is_science_of_its_own(here):
    """For master background subtraction, without a background."""
    names = mrs(here / "mast")
    generate("mast")
    background = names["LONG", "b"]
    assert roles(background) == {
        "science": [background],
        "selfcal": sorted(set(names.values()) - {background}),
    }


def nirspec(folder, patterns=("CYCLING",), observation="005", detector="nrs1", **primary):
    """Two positions of an observation, each of some patterns' number."""
    names = []
    for k, pattern in enumerate(patterns, start=1):
        names.append(f"jw02729{observation}001_02101_0000{k}_{detector}")
        download(folder, names[-1], {"PATTTYPE": pattern, **primary})
    return names


def test_nods_are_each_others_background(here):
    """Those of the observation, of another position; the other observation is selfcal only."""
    nods = nirspec(here / "mast", ["4-POINT-NOD"] * 3)
    same_position = "jw02729005001_02103_00009_nrs1"
    download(here / "mast", same_position, {"PATTTYPE": "4-POINT-NOD", "PATT_NUM": 1})
    far = nirspec(here / "mast", ["4-POINT-NOD"] * 2, "006")
    dedicated = nirspec(here / "mast", ["NONE"], "007", BKGDTARG=True)
    generate("mast")
    assert roles(nods[0]) == {
        "science": [nods[0]],
        "background": nods[1:],
        "selfcal": sorted([*nods[1:], same_position, *far, *dedicated]),
    }


@pytest.mark.parametrize("pattern", ["CYCLING", "NODDING", "NONE"])
def test_dithers_have_dedicated_backgrounds(here, pattern):
    """NOD counts as a word between hyphens, only."""
    dithers = nirspec(here / "mast", [pattern] * 2)
    dedicated = nirspec(here / "mast", [pattern], "007", BKGDTARG=True)
    generate("mast")
    assert roles(dithers[1])["background"] == dedicated
    assert roles(dithers[1])["selfcal"] == [dithers[0], *dedicated]
    assert "background" not in roles(dedicated[0])


def test_a_nod_whose_partners_are_not_there_has_the_dedicated_background(here):
    (nod,) = nirspec(here / "mast", ["2-POINT-NOD"])
    dedicated = nirspec(here / "mast", ["NONE"], "007", BKGDTARG=True)
    generate("mast")
    assert roles(nod)["background"] == dedicated


@pytest.mark.parametrize("keyword", ["GRATING", "FILTER", "DETECTOR"])
def test_nirspec_groups_keep_apart(here, keyword):
    (one,) = nirspec(here / "mast", ["CYCLING"])
    value = {"GRATING": "G235H", "FILTER": "F170LP", "DETECTOR": "NRS2"}[keyword]
    nirspec(here / "mast", ["CYCLING"], "006", **{keyword: value})
    generate("mast")
    assert roles(one) == {"science": [one]}
    assert pool()[one]["stack"] == "skipped"


def test_imprints_of_the_observation_with_the_same_tilts(here):
    """As imprint with science and with backgrounds of their observation; all of them as selfcal."""
    (science,) = nirspec(here / "mast")
    (dedicated,) = nirspec(here / "mast", ["NONE"], "007", BKGDTARG=True, GWA_XTIL=0.2)
    imprints = {}
    for k, (observation, tilt) in enumerate(
        [("005", 0.35), ("005", 0.35 + 9e-9), ("005", 0.35 + 2e-8), ("006", 0.35), ("007", 0.2)]
    ):
        imprints[k] = f"jw02729{observation}001_03101_0000{k}_nrs1"
        cards = {"IS_IMPRT": True, "GWA_XTIL": tilt, "BKGDTARG": observation == "007"}
        download(here / "mast", imprints[k], cards)
    generate("mast")
    assert roles(science) == {
        "science": [science],
        "background": [dedicated],
        "imprint": [imprints[0], imprints[1], imprints[4]],
        "selfcal": sorted([dedicated, *imprints.values()]),
    }
    assert roles(dedicated)["imprint"] == [imprints[4]]
    assert f"{imprints[0]}_spec2_asn.json" not in associations()
    assert pool()[imprints[0]]["roles"] == "imprint selfcal"
    assert pool()[imprints[3]]["roles"] == "selfcal"


def test_imprints_without_tilts_agree_with_none(here):
    (science,) = nirspec(here / "mast", GWA_XTIL=None)
    name = "jw02729005001_03101_00001_nrs1"
    download(here / "mast", name, {"IS_IMPRT": True, "GWA_XTIL": None})
    generate("mast")
    assert roles(science) == {"science": [science], "selfcal": [name]}


def test_other_programs_join_when_asked(here):
    one, two = (
        mrs(here / "mast", bands=["SHORT"]),
        mrs(here / "mast", bands=["SHORT"], program="01524"),
    )
    generate("mast")
    science = one["SHORT", 1]
    assert roles(science)["selfcal"] == sorted(set(one.values()) - {science})
    generate("mast", "--selfcal-programs", "any")
    assert roles(science)["selfcal"] == sorted({*one.values(), *two.values()} - {science})
    assert roles(science)["background"] == [one["SHORT", "b"]]


def test_backgrounds_by_name_folder_or_glob(here):
    """Whatever the headers say."""
    names = mrs(here / "mast", bands=["SHORT"])
    declared = names["SHORT", 4]
    for words in (f"{declared}*", f"mast/{declared}", f"mast/*/{declared}_rate.fits"):
        generate("mast", "--backgrounds", words)
        assert roles(names["SHORT", 1])["background"] == [declared, names["SHORT", "b"]]
        assert "background" not in roles(declared)
        assert pool()[declared]["bkgdtarg"] == "True"
    assert "nothing: none of the exposures" in generate("mast", "--backgrounds", "nothing").stderr


def test_selfcal_match(here):
    names = mrs(here / "mast")
    generate("mast", "--selfcal-match", "BAND", "OBSERVTN")
    science = names["LONG", 1]
    assert roles(science)["selfcal"] == [names["LONG", k] for k in (2, 3, 4)]
    assert roles(science)["background"] == [names["LONG", "b"]]
    said = generate("mast", "--selfcal-match", "BAMD").stderr
    assert "selfcal_match: no exposure has BAMD" in said


def test_selfcal_days_and_most(here):
    """The nearest in time; of unknown date, the farthest."""
    names = []
    for k, day in enumerate((100.0, 100.5, 103.0, 99.0, None), start=1):
        names.append(f"jw01523003001_02101_0000{k}_mirifulong")
        cards = {"EXPSTART": day, **({} if day else {"DATE-OBS": None})}
        download(here / "mast", names[-1], cards)
    generate("mast", "--selfcal-days", "1")
    assert roles(names[0])["selfcal"] == [names[1], names[3]]
    assert roles(names[4]) == {"science": [names[4]]}
    generate("mast", "--selfcal-most", "3")
    assert roles(names[0])["selfcal"] == names[1:4]
    generate("mast", "--selfcal-most", "1", "--selfcal-days", "5")
    assert roles(names[2])["selfcal"] == [names[1]]


def test_dates_without_expstart(here):
    for k, day in ((1, "2026-10-01"), (2, "2026-10-02"), (3, "2026-10-05")):
        download(
            here / "mast",
            f"jw01523003001_02101_0000{k}_mirifulong",
            {"EXPSTART": None, "DATE-OBS": day, "TIME-OBS": "11:59:59.123"},
        )
    generate("mast", "--selfcal-days", "1")
    assert roles("jw01523003001_02101_00001_mirifulong")["selfcal"] == [
        "jw01523003001_02101_00002_mirifulong"
    ]


# ---- the pool ------------------------------------------------------------------------------------


def test_the_pool_has_every_exposure(here):
    """With its part, or with the reason why it plays none."""
    names = mrs(here / "mast", bands=["SHORT"])
    out = {
        "jw01523003001_01101_00001_mirimage": ({"EXP_TYPE": "MIR_TACQ"}, "target acquisition"),
        "jw01523003001_01102_00001_mirimage": ({"EXP_TYPE": "MIR_IMAGE"}, "imaging (MIR_IMAGE)"),
        "jw01523003001_01103_00001_nrs1": ({"EXP_TYPE": "NRS_MSASPEC"}, "another mode (NRS_MSA"),
        "jw01523003001_01104_00001_nrs1": ({"EXP_TYPE": "NRS_WATA"}, "target acquisition (NRS_"),
        "jw01523003001_01105_00001_mirifulong": ({"PROGRAM": None}, "no PROGRAM in its header"),
        "jw01523003001_01106_00001_mirifulong": ({"DETECTOR": None}, "no DETECTOR in its header"),
        "jw01523003001_01107_00001_mirifulong": ({"EXP_TYPE": None}, "no EXP_TYPE"),
        "jw01523003001_01108_00001_mirifulong": ({"S_PHOTOM": "COMPLETE"}, "calibrated"),
        "jw01523003001_01109_00001_nrs1": ({"GRATING": None}, "no GRATING in its header"),
        "jw01523003001_01110_00001_nrs1": ({"TELESCOP": "HST"}, "of another telescope (HST)"),
        "jw01523003001_01111_00001_nrs1": ({"DATAMODL": "CubeModel"}, "rateints"),
    }
    for name, (cards, _) in out.items():
        download(here / "mast", name, cards)
    said = generate("mast").stdout
    rows = pool()
    assert set(rows) == {*names.values(), *out}
    for name, (_, reason) in out.items():
        assert rows[name]["reason"].startswith(reason)
        assert rows[name]["roles"] == rows[name]["stack"] == ""
    row = rows[names["SHORT", "b"]]
    assert {key: row[key] for key in ("exp_type", "program", "observation", "visit", "detector",
                                      "channel", "band", "subarray", "readpatt", "ngroups",
                                      "patttype", "patt_num", "bkgdtarg", "is_imprt", "target",
                                      "date", "roles", "reason")} == {
        "exp_type": "MIR_MRS", "program": "01523", "observation": "004", "visit": "001",
        "detector": "MIRIFUSHORT", "channel": "12", "band": "SHORT", "subarray": "FULL",
        "readpatt": "FASTR1", "ngroups": "50", "patttype": "4-POINT", "patt_num": "1",
        "bkgdtarg": "True", "is_imprt": "False", "target": "SMP-LMC-058",
        "date": "2026-10-01T12:00:00", "roles": "science background selfcal", "reason": "",
    }  # fmt: skip
    assert row["path"] == f"mast/{row['name']}/{row['name']}_rate.fits"
    assert row["stack"] == stack_name(names.values())
    assert "exposures: 16, 11 of them without a part (" in said
    assert "2 target acquisition" in said
    assert "mirifulong_rate.fits: no PROGRAM in its header" in said
    assert "MIR_IMAGE" not in said


def test_the_reading_of_thousands_of_headers_shows_its_progress(monkeypatch, capsys):
    """A line for each thousand, and none for fewer."""
    monkeypatch.setattr(pool_module, "read_exposure", lambda path, _: {"name": path, "path": path})
    for n, expected in ((999, []), (2500, ["1000 of 2500", "2000 of 2500"])):
        rows, _ = pool_module.read_pool([f"e{i}" for i in range(n)])
        assert len(rows) == n
        said = capsys.readouterr().err.splitlines()
        assert said == [f"{count} headers read" for count in expected]


def test_the_stack_is_that_of_the_run(here):
    """For each exposure that is calibrated, as the members table of the run has it."""
    mrs(here / "mast")
    nirspec(here / "mast", ["4-POINT-NOD"] * 2)
    nirspec(here / "mast", ["CYCLING"], "009", GRATING="G140H")
    for words in ([], ["--selfcal-most", "2"], ["--force-single"]):
        generate("mast", *words)
        rows = pool()
        assert len(associations()) == 13
        for name in associations():
            stacks = {
                row[5] for row in member_rows(f"associations/{name}", "--force-single" in words)
            }
            assert stacks == {rows[name.removesuffix("_spec2_asn.json")]["stack"]}


def test_truncated_and_unreadable_exposures_are_told_and_the_rest_goes_on(here):
    names = mrs(here / "mast", bands=["SHORT"])
    broken = here / "mast" / names["SHORT", 3] / f"{names['SHORT', 3]}_rate.fits"
    broken.write_bytes(broken.read_bytes()[:-2880])
    html = here / "mast" / "x_rate.fits"
    html.write_text("<html>not found</html>")
    said = generate("mast").stdout
    assert pool()[names["SHORT", 3]]["reason"].startswith("unreadable: truncated after")
    assert pool()["x"]["reason"].startswith("unreadable: not a readable FITS file")
    assert re.search(rf"^mast/.*{names['SHORT', 3]}_rate.fits: unreadable: truncated", said, re.M)
    assert "mast/x_rate.fits: unreadable" in said
    assert len(associations()) == 4


def test_bad_input(here):
    def fault(*words):
        done = generate(*words, check=False)
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if "error: " in line]
        assert len(lines) == 1, done.stderr
        return lines[0]

    assert "exposures is empty" in fault()
    assert "nowhere: no exposure" in fault("nowhere")
    (here / "empty").mkdir()
    assert "empty: no exposure (*_rate.fits) found" in fault("empty")
    name = "jw01523003001_02101_00001_mirifulong"
    path = download(here / "a", name)
    assert "a*: matches no FITS file, but directories" in fault("a*")
    assert not os.path.exists("associations")
    os.makedirs("b")
    os.link(path, f"b/{name}_rate.fits")
    os.symlink(path, f"b/{name}_link_rate.fits")
    assert "is of the same exposure name; keep one" in fault("a", "b")
    download(here / "c", "jw01523003001_02101_00001_mirimage", {"EXP_TYPE": "MIR_IMAGE"})
    assert "nothing to calibrate among 1 exposures" in fault("c")
    assert list(pool()) == ["jw01523003001_02101_00001_mirimage"]


def test_links_folders_and_globs(here):
    """One file is one exposure by whatever links it is reached; hidden folders are left out."""
    name = "jw01523003001_02101_0000{}_mirifulong"
    paths = [download(here / "data", name.format(k)) for k in (1, 2)]
    download(here / "data" / ".cache", name.format(3))
    os.symlink(here / "data", here / "linked")
    os.symlink(here / "data", here / "data" / "loop")
    generate("linked", "data", paths[0])
    assert list(pool()) == [name.format(1), name.format(2)]
    generate("data/*/*00001*_rate.fits")
    assert list(pool()) == [name.format(1)]
    generate("data/**/*_rate.fits")
    assert list(pool()) == [name.format(1), name.format(2)]


def test_other_files_than_rate_by_a_glob(here):
    name = "jw01523003001_02101_00001_mirifulong"
    download(here / "data", name, suffix="rateints", primary={"DATAMODL": "CubeModel"})
    download(here / "data", name.replace("00001", "00002"), suffix="assign_wcs")
    generate("data/*/*.fits")
    assert pool()[name]["reason"].startswith("rateints")
    assert associations() == [f"{name.replace('00001', '00002')}_spec2_asn.json"]


# ---- the files are the user's --------------------------------------------------------------------


def state():
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in Path("associations").iterdir()
    }


def test_a_second_run_leaves_what_would_be_the_same(here):
    mrs(here / "mast")
    generate("mast")
    before = state()
    assert "0 written, 10 unchanged" in generate("mast").stdout
    assert state() == before


def test_the_same_exposures_give_the_same_bytes(here, tmp_path_factory, monkeypatch):
    mrs(here / "mast")
    generate("mast")
    first = {name: content for name, (_, content) in state().items()}
    other = tmp_path_factory.mktemp("other")
    mrs(other / "mast")
    monkeypatch.chdir(other)
    generate("mast")
    assert {name: content for name, (_, content) in state().items()} == first


def test_what_was_edited_by_hand_is_never_overwritten(here):
    names = mrs(here / "mast")
    generate("mast")
    path = here / "associations" / f"{names['LONG', 1]}_spec2_asn.json"
    association = json.loads(path.read_text())
    association["products"][0]["members"] = association["products"][0]["members"][:2]
    path.write_text(json.dumps(association))
    download(here / "mast", "jw01523003001_02109_00001_mirifushort", {"BAND": "LONG"})
    said = generate("mast").stdout
    assert "1 edited by hand and left as they are: associations/" + path.name in said
    assert "delete it and run generate again" in said
    assert "10 written, 0 unchanged" in said  # all others, as one exposure more is their selfcal
    assert json.loads(path.read_text()) == association
    # The pool tells what is there.
    stacks = {row[5] for row in member_rows(f"associations/{path.name}")}
    assert stacks == {pool()[names["LONG", 1]]["stack"]}
    assert "1 edited by hand" in generate("mast").stdout
    path.unlink()
    assert "1 written, 10 unchanged" in generate("mast").stdout


def test_without_its_record_nothing_is_overwritten(here):
    names = mrs(here / "mast", bands=["SHORT"])
    generate("mast")
    (here / "associations" / "generated.csv").unlink()
    assert "0 written, 5 unchanged" in generate("mast").stdout
    (here / "associations" / "generated.csv").unlink()
    said = generate("mast", "--backgrounds", f"{names['SHORT', 1]}*").stdout
    assert "edited by hand" in said
    assert "background" in roles(names["SHORT", 1])


def test_associations_that_are_no_longer_made_are_told_and_kept(here):
    names = mrs(here / "mast", bands=["SHORT"])
    generate("mast")
    gone = names["SHORT", 4]
    os.remove(here / "mast" / gone / f"{gone}_rate.fits")
    assert f"1 of an earlier generate, no longer made: {gone}_spec2_asn.json" in (
        generate("mast").stdout
    )
    assert f"{gone}_spec2_asn.json" in associations()


@pytest.mark.filterwarnings("ignore:Input association file contains path")
def test_jwst_takes_the_associations(here):
    """Its schema, its two ways to load."""
    mrs(here / "mast", bands=["SHORT"])
    nirspec(here / "mast", ["4-POINT-NOD"] * 2)
    generate("mast")
    lib = importlib.resources.files("jwst.associations") / "lib"
    schema = json.loads((lib / "asn_schema_jw_level2b.json").read_text())
    assert len(associations()) == 7
    for name in associations():
        path = f"associations/{name}"
        with open(path) as file:
            jsonschema.validate(json.load(file), schema)
        with open(path) as file:
            loaded = load_asn(file)
        assert loaded["asn_type"] == "spec2"
        assert loaded["asn_rule"] == "DMSLevel2bBase"
        product = LoadAsLevel2Asn.load(path)["products"][0]
        assert f"{product['name']}_spec2_asn.json" == name


# ---- what a person checks ------------------------------------------------------------------------


def test_the_table_of_groups(here):
    mrs(here / "mast")
    nirspec(here / "mast", ["4-POINT-NOD"] * 4)
    lines = [line.split() for line in generate("mast").stdout.splitlines()]
    assert ["01523", "MIRI", "MIRIFUSHORT", "LONG", "4", "1", "10", "1.0"] in lines
    assert ["01523", "MIRI", "MIRIFUSHORT", "SHORT", "4", "1", "10", "1.0"] in lines
    assert ["02729", "NIRSPEC", "NRS1", "G395H/F290LP", "4", "4", "4", "0.0"] in lines


def test_what_is_told_of_stacks(here):
    (alone,) = nirspec(here / "mast", ["CYCLING"], "008", GRATING="G140H")
    nods = nirspec(here / "mast", ["2-POINT-NOD"] * 2)
    slow = nirspec(here / "mast", ["CYCLING"] * 4, "006", detector="nrs2")
    extra = "jw02729006001_02105_00001_nrs2"
    download(here / "mast", extra, {"READPATT": "NRSIRS2", "NGROUPS": 24})
    said = generate("mast").stdout
    assert f"1 alone, so that nothing would be flagged (skipped): {alone}" in said
    few = re.search(r"^1 stack of fewer than 4 exposures .*: (.*)$", said, re.M)[1]
    assert few == stack_name(nods)
    stack = stack_name([*slow, extra])
    assert f": {stack} (NRSIRS2, NRSIRS2RAPID)" in said
    assert f": {stack} (24 to 50)" in said


def test_few_exposures_with_a_dedicated_background_are_no_matter(here):
    nirspec(here / "mast", ["CYCLING"])
    nirspec(here / "mast", ["NONE"], "007", BKGDTARG=True)
    said = generate("mast").stdout
    assert "fewer than" not in said
    assert "readout" not in said


# ---- associations that exist ---------------------------------------------------------------------


def archive(folder, names, *backgrounds, **other):
    """Write archive associations, members beside them by name."""
    for i, name in enumerate(names, start=1):
        pairs = [(f"{name}_rate.fits", "science")]
        pairs += [(f"{background}_rate.fits", "background") for background in backgrounds]
        path = folder / f"jw01523-o003_20261001t120000_spec2_{i:05}_asn.json"
        write_association(path, (name, pairs), **other)


def test_selfcal_members_are_added_to_associations_that_exist(here):
    names = mrs(here / "mast")
    science = [names["SHORT", k] for k in (1, 2, 3, 4)]
    archive(here / "asn", science, names["SHORT", "b"], degraded_status="none")
    generate("mast", "--from-associations", "asn/*.json")
    assert associations() == sorted(os.listdir("asn"))
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
    rows = pool()
    assert rows[science[0]]["stack"] == stack_name(names.values())
    assert rows[science[0]]["roles"] == "science selfcal"
    assert rows[names["LONG", "b"]]["roles"] == "selfcal"


def test_members_beside_an_association_come_before_those_of_the_tree(here):
    names = mrs(here / "mast", bands=["SHORT"])
    archive(here / "asn", [names["SHORT", 1]])
    tree = here / "mast" / names["SHORT", 1] / f"{names['SHORT', 1]}_rate.fits"
    os.link(tree, here / "asn" / tree.name)
    generate("mast", "--from-associations", "asn/*.json")
    (name,) = associations()
    members = json.loads((here / "associations" / name).read_text())["products"][0]["members"]
    assert members[0]["expname"] == f"../asn/{tree.name}"


def test_an_association_with_selfcal_members_gets_no_more(here):
    names = mrs(here / "mast", bands=["SHORT"])
    one, two = names["SHORT", 1], names["SHORT", 2]
    pairs = [(f"{one}_rate.fits", "science"), (f"{two}_rate.fits", "SELFCAL")]
    write_association(here / "asn" / "one_asn.json", (one, pairs))
    generate("mast", "--from-associations", "asn/*.json")
    members = json.loads((here / "associations" / "one_asn.json").read_text())["products"][0]
    assert [m["exptype"] for m in members["members"]] == ["science", "SELFCAL"]
    assert pool()[names["SHORT", 3]]["reason"] == "in no association"


def test_associations_that_are_not_copied_are_told(here):
    names = mrs(here / "mast", bands=["SHORT"])
    archive(here / "asn", [names["SHORT", 1]])
    lost = [(f"{names['SHORT', 2]}_rate.fits", "science"), ("lost_rate.fits", "background")]
    write_association(here / "asn" / "lost_asn.json", ("p", lost))
    write_association(here / "asn" / "image_asn.json", ("p", [("x_rate.fits", "science")]))
    write_association(here / "asn" / "three_asn.json", ("p", [("x", "science")]), asn_type="spec3")
    (here / "asn" / "broken_asn.json").write_text("{")
    done = generate("mast", "--from-associations", "asn/*.json", "associations/*.json")
    assert "image_asn.json: its science exposure plays no part; not copied" in done.stderr
    assert "three_asn.json: a Level-3 association" in done.stderr
    assert "broken_asn.json: not JSON" in done.stderr
    assert "lost_asn.json: lost_rate.fits: no such file beside it or in exposures" in done.stderr
    assert len(associations()) == 2
    assert "copies go to associations" in (
        generate("mast", "--from-associations", "associations/*.json", check=False).stderr
    )
