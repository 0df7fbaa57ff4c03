"""What observers' folders hold: each case of issue 24, by its name, with the right result."""

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from astropy.io import fits
from conftest import ROOT, SHAPES, Workflow, call, flag, planes_of, write_association
from download import DEFAULTS, archive, download, generate, pool, roles
from jwst.associations.asn_from_list import asn_from_list
from jwst.associations.lib.rules_level2_base import DMSLevel2bBase
from jwst.associations.lib.rules_level3_base import DMS_Level3_Base

import validate_inputs
from badpix_selfcal.associations import read_association, read_members
from badpix_selfcal.cli import load
from badpix_selfcal.errors import InputError, LeftOutError

MRS = [f"jw01523003001_02101_0000{k}_mirifushort" for k in (1, 2)]
SKY = [f"jw01523004001_02101_0000{k}_mirifushort" for k in (1, 2)]
IFU = [f"jw02729005001_02101_0000{k}_nrs1" for k in (1, 2, 3, 4)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(associations="asn/*.json", **config):
    """Read the members of associations in `asn`, whose exposures are in `mast`."""
    return read_members({**DEFAULTS, "exposures": "mast", "associations": associations, **config})


def check(**config):
    """Return the rows of check.csv for the associations in `asn`."""
    return load("check").check_members(read(**config)[0], DEFAULTS).values.tolist()


def refuse(*paths):
    """Return the error of the stage pedestal for a stack."""
    with pytest.raises(InputError) as raised:
        call("pedestal", *paths, "--output", "pedestal.fits")
    return str(raised.value)


def test_archive_candidates_with_background_are_preferred(here):
    """An observation's without is superseded; of equal ones, the last by name is run."""
    download(here / "mast", SKY[0], {"BKGDTARG": True})
    for name in MRS:
        download(here / "mast", name)
        archive(here / "asn", name, candidate="o003")
    archive(here / "asn", MRS[0], (SKY[0], "background"), candidate="c1001")
    archive(here / "asn", MRS[0], (SKY[0], "background"), candidate="c1000")
    members, paths, left_out, errors = read()
    names = [f"jw01523-{c}_20261001t120000_spec2_0000{k}_asn" for c, k in
             (("c1001", 1), ("o003", 2), ("c1000", 1), ("o003", 1))]  # fmt: skip
    assert list(paths) == list(members["association"].unique()) == names[:2]
    reason = f"superseded by {names[0]}.json, of the same product (candidates: all runs both)"
    assert (errors, left_out) == ([], {names[2]: reason, names[3]: reason})
    members, *_, left_out, _ = read(candidates="all")
    assert (members["association"].nunique(), left_out) == (4, {})
    (warning,) = validate_inputs.find_member_warnings(members)
    assert warning.startswith(f"product {MRS[0]} is in jw01523-c1000")
    said = generate(from_associations="asn/*.json", backgrounds="mast").stdout
    assert "backgrounds: not used, as from_associations keeps the backgrounds of its assoc" in said
    assert pool()[MRS[0]]["roles"] == "science selfcal"
    assert f"{names[3]}.json: not copied: superseded by" in said
    assert sorted(p.stem for p in here.glob("associations/*.json")) == sorted(names[:2])


def test_derived_exposures_are_not_used_beside_the_original(here):
    """Whatever their names; in one stack they are refused, both named."""
    paths = [download(here / "mast", name) for name in IFU[:3]]
    derived = paths[0].replace("_rate", "_dithsub_rate")
    shutil.copy(paths[0], derived)
    # One that was saved under its own name, by stdatamodels.
    saved = here / "mast" / f"{IFU[1]}_x_rate.fits"
    with fits.open(paths[1]) as hdus:
        hdus[0].header["FILENAME"] = saved.name
        hdus.writeto(saved)
    said, rows = generate().stdout, pool()
    for second, original in ((f"{IFU[0]}_dithsub", IFU[0]), (f"{IFU[1]}_x", IFU[1])):
        assert rows[second]["reason"] == f"second file of an exposure ({original} is used)"
        assert f"{second}_rate.fits: second file of an exposure" in said
    assert roles(IFU[2])["selfcal"] == IFU[:2]
    pairs = [(paths[0], "science"), (paths[2], "background"), (derived, "selfcal")]
    write_association("asn/both_asn.json", ("p", pairs))
    wanted = f"the same exposure as {IFU[0]}_rate.fits"
    assert f"{derived}: {wanted} of the exposures before it" in refuse(*paths, derived)
    ((path, kind, what),) = check()
    assert (path, kind) == (os.path.relpath(derived), "error")
    assert what.startswith(wanted)


@pytest.mark.parametrize(
    "told", ["MOSTILNO", "visit", "visits", "passes", "imprints last", "one set", "no"]
)
def test_mosaic_tiles_keep_their_nods_and_imprints(here, told):
    """
    By MOSTILNO, visit or passes through the pattern; where nothing tells them, a line does.

    Imprints may have visits of their own; one set of them goes with all tiles.
    """
    science, imprints = [], []
    for i, (tile, position) in enumerate(((1, 1), (1, 2), (2, 1), (2, 2))):
        position = 3 if told == "no" and i == 1 else position
        for found, activity, imprint in ((science, "02101", False), (imprints, "03101", True)):
            if told == "one set" and imprint and tile == 2:
                continue
            visit = {"visit": tile, "visits": tile + 2 * imprint}.get(told, 1)
            name = f"jw02729005{visit:03}_{activity}_0000{i + 1}_nrs1"
            late = 0.05 if told == "passes" else 1
            cards = {"PATTTYPE": "2-POINT-NOD", "PATT_NUM": position, "IS_IMPRT": imprint,
                     "EXPSTART": 60000 + i / 10 + late * imprint,
                     "MOSTILNO": tile if told == "MOSTILNO" else None}  # fmt: skip
            download(here / "mast", name, cards)
            found.append(name)
    said = generate().stdout
    if told == "no":
        repeated = [science[0], science[2], imprints[0], imprints[2]]
        assert f"tells the tiles of a mosaic: {', '.join(sorted(repeated))}" in said
        assert {row["tile"] for row in pool().values()} == {"1?"}
        return
    silent = "PATT_NUM" not in said and "imprints" not in said
    assert silent or (f": {', '.join(imprints)}; check" in said and told == "one set")
    for i in range(4):
        tile = slice(0, 2) if i < 2 else slice(2, 4)
        found = roles(science[i])
        assert found["background"] == [name for name in science[tile] if name != science[i]]
        assert found["imprint"] == (imprints[tile] or imprints)
        assert len(found["selfcal"]) == 3 + len(imprints)
        assert pool()[science[i]]["tile"] == str(1 + i // 2)


def write_official(target, science, **others):
    """Write an association as the official notebooks do: by asn_from_list, of full paths."""
    written = asn_from_list([science], rule=DMSLevel2bBase)
    members = [{"expname": path, "exptype": role} for role, path in others.items()]
    written["products"][0]["members"] += members
    target.parent.mkdir(exist_ok=True)
    target.write_text(written.dump()[1])


@pytest.mark.filterwarnings("ignore:Input association file contains path")
def test_official_functions_write_paths_as_product_names(here):
    """And asn_type "None"; Level-3 associations of theirs are left out."""
    path = download(here / "mast", MRS[0])
    write_official(here / "asn/two_asn.json", path, selfcal=path)
    written = asn_from_list([path, path], rule=DMS_Level3_Base, product_name="cube")
    (here / "asn/three_asn.json").write_text(written.dump()[1])
    product = ("p", [(path, "science"), ("b_rate.fits", "science")])
    write_association("asn/hand_asn.json", product, asn_type=None, asn_rule=None)
    members, _, left_out, errors = read()
    assert (errors, set(members["product"])) == ([], {MRS[0]})
    assert read_association("asn/two_asn.json")["products"][0]["name"] == MRS[0]
    assert left_out == {
        "three_asn": "a Level-3 association (DMS_Level3_Base)",
        "hand_asn": "2 science members, as at Level 3",
    }
    assert "all 1 associations are left out: three_asn.json: a Level-3" in read("asn/th*")[3][0]


def test_other_modes_are_left_out_or_refused(here):
    """By the association where it says so, else by EXP_TYPE; without EXP_TYPE, DISPAXIS does."""
    kinds = {
        "mos": ({"asn_rule": "candidate_Asn_Lv2NRSMSA"}, IFU[0], "NIRSpec MOS"),
        "slit": ({"asn_rule": "Asn_Lv2NRSFSS"}, IFU[0], "NIRSpec fixed slits"),
        "image": ({"asn_type": "image2"}, IFU[0], "imaging"),
        "lrs": ({}, "jw01523003001_02101_00001_mirimage", "on the detector mirimage"),
    }
    for name, (asn, exposure, _) in kinds.items():
        product = ("p", [(f"{exposure}_rate.fits", "science")])
        write_association(f"asn/{name}_asn.json", product, **asn)
        with pytest.raises(LeftOutError, match="; give Level-2 associations of MRS or NIRSpec"):
            read_association(f"asn/{name}_asn.json")
    left_out = read()[2]
    for name, (_, _, mode) in kinds.items():
        assert left_out[f"{name}_asn"].startswith(f"of another mode, {mode}")
    paths = [download(here / "mast", name, {"EXP_TYPE": "NRS_MSASPEC"}) for name in IFU[:2]]
    pairs = [(paths[0], "science"), (paths[1], "background")]
    write_association("hand/x_asn.json", ("p", pairs))
    refused = "MOS (NRS_MSASPEC) is not supported; give exposures of MRS or NIRSpec IFU"
    assert refuse(*paths) == f"{paths[0]}: {refused}"
    assert [row[1:] for row in check(associations="hand/*")] == [["error", refused]] * 2
    assert pool_reason(here, paths[0]) == "MOS (NRS_MSASPEC)"
    unknown = download(here / "mast", IFU[2], {"EXP_TYPE": None})
    call("pedestal", unknown, "--output", "pedestal.fits")


def pool_reason(here, path):
    with pytest.raises(InputError, match="nothing to calibrate"):
        generate(path)
    (row,) = pool().values()
    return row["reason"]


def test_links_and_absolute_paths_lead_to_one_exposure(here):
    """Two files of one name are an error, whose remedy loses nothing."""
    paths = [download(here / "mast", name) for name in IFU[:2]]
    (here / "link").symlink_to(here / "mast")
    for i, background in enumerate((paths[1], f"../link/{IFU[1]}/{IFU[1]}_rate.fits")):
        pairs = [(f"../mast/{IFU[0]}/{IFU[0]}_rate.fits", "science"), (background, "background")]
        write_association(f"asn/{i}_asn.json", (f"p{i}", pairs))
    members, *_, errors = read()
    assert errors + validate_inputs.find_member_errors(members) == []
    assert members.groupby("exposure")["path"].nunique().max() == 1
    assert set(members["path"]) == {f"link/{IFU[1]}/{IFU[1]}_rate.fits", os.path.relpath(paths[0])}
    os.remove("link")
    shutil.copytree("mast", "link")
    (error,) = validate_inputs.find_member_errors(read()[0])
    assert "two files of one exposure name" in error
    assert error.endswith("let all name one of them")
    # Neither is taken where an association names another place.
    archive(here / "asn", IFU[0], (IFU[0], "selfcal"))
    (error,) = read("asn/jw*", exposures=["mast", "link"])[3]
    assert error.endswith(f"/{IFU[0]}_rate.fits have its name; keep one")


def test_named_backgrounds_are_used(here):
    """In every group of their detector and band, also of other programs, and instead of nods."""
    for name in (*MRS, *SKY):
        download(here / "mast", name, {"BAND": "LONG"} if name == MRS[1] else {})
    for name in IFU[:2]:
        download(here / "mast", name, {"PATTTYPE": "2-POINT-NOD"})
    other = "jw09999001001_02101_00001_nrs1"
    download(here / "elsewhere", other)
    for pattern in (f"{SKY[0]}*", f"mast/{SKY[0]}", f"mast/*/{SKY[0]}_rate.fits"):
        assert "backgrounds: " not in generate(backgrounds=[pattern, "elsewhere"]).stdout
        assert roles(MRS[0])["background"] == [SKY[0]]
        assert roles(IFU[0])["background"] == [other]
        assert other not in roles(IFU[0])["selfcal"]
        assert "background" not in roles(SKY[0])
        assert roles(other) == {"science": [other], "selfcal": IFU[:2]}
        assert "background" not in roles(MRS[1])
        assert pool()[SKY[0]]["bkgdtarg"] == "True"
    download(here / "mast", SKY[1], {"BAND": "MEDIUM"})
    download(here / "mast", IFU[2], {"EXP_TYPE": "NRS_LAMP"})
    said = generate(backgrounds=[f"{SKY[1]}*", f"{IFU[2]}*", "nothing"]).stdout
    assert f"{SKY[1]}*: not used, no science of its detector and band; correct it" in said
    assert f"{IFU[2]}*: not used, lamp (NRS_LAMP); correct it" in said
    assert "backgrounds: nothing: not used, it matches no exposure; correct it" in said


@pytest.mark.parametrize(
    "cards", [{"S_PHOTOM": "COMPLETE"}, {"S_FLAT": "COMPLETE"}, {"BUNIT": "MJy/sr"}]
)
def test_calibrated_members_are_refused(here, cards):
    paths = [download(here / "mast", name, science=cards) for name in IFU[:2]]
    write_association("asn/x_asn.json", ("p", [(paths[0], "science"), (paths[1], "background")]))
    assert ": calibrated already (S_PHOTOM, S_FLAT or BUNIT); use the rate file" in refuse(*paths)
    assert [row[1] for row in check()] == ["error", "error"]
    assert pool_reason(here, paths[0]) == "calibrated already (S_PHOTOM, S_FLAT or BUNIT)"


def test_mixed_processing_is_told_once_for_a_stack(here):
    """And mixed depth, as the masks of MRS are issued; CAL_VER and CRDS_CTX are in pool.csv."""
    same = {"CAL_VER": "1.20.1"}
    old = {"CAL_VER": "1.13.4", "CRDS_CTX": "jwst_1200.pmap", "S_CLNFNS": "COMPLETE"}
    names = [*MRS, *SKY]
    for name, cards in zip(names, (same, old, old, {"NGROUPS": 20}), strict=True):
        download(here / "mast", name, cards)
    said, rows = generate().stdout, pool()
    stack = rows[MRS[0]]["stack"]
    assert (
        f"1 stack of mixed processing: {stack} (CAL_VER 1.13, 1.20; CRDS_CTX jwst_1200.pmap, "
        "jwst_1464.pmap; S_CLNFNS done, not done)\n1 stack of mixed depth, "
    ) in said
    assert f"{stack} (FASTR1 below 50 groups, FASTR1 from 50 groups)" in said
    assert (rows[MRS[1]]["cal_ver"], rows[MRS[1]]["crds_ctx"]) == ("1.13.4", "jwst_1200.pmap")
    found = check(associations="associations/*.json")
    told = [(os.path.basename(row[0]), row[2].partition(" in the stack")[0]) for row in found]
    assert told == [
        (f"{name}_rate.fits", f"mixed processing, {what}")
        for name, what in (
            (MRS[1], "CAL_VER: 1.13 against 1.20"),
            (MRS[1], "CRDS_CTX: jwst_1200.pmap against jwst_1464.pmap"),
            (MRS[1], "S_CLNFNS: done against not done"),
            (SKY[1], "depth: FASTR1 below 50 groups against FASTR1 from 50 groups"),
        )
    ]


def test_no_light_reaches_nrs2_with_low_resolution(here):
    """Left out by generate, unless asked for; associations of them are run, with a warning."""
    for i, (detector, grating) in enumerate(
        (d, g) for d in ("nrs1", "nrs2") for g in ("PRISM", "G395M", "G395H")
    ):
        for k in (1, 2):
            name = f"jw02729{i:03}001_02101_0000{k}_{detector}"
            download(here / "mast", name, {"GRATING": grating})
    generate()
    rows = pool().values()
    dark = {f"{row['detector']} {row['grating']}" for row in rows if row["reason"]}
    assert dark == {"NRS2 PRISM", "NRS2 G395M"}
    reasons = [f"without light (NRS2 with {grating})" for grating in ("PRISM", "G395M")]
    assert {row["reason"] for row in rows} == {"", *reasons}
    generate(keep_unlit=True)
    assert not any(row["reason"] for row in pool().values())
    told = [row[2] for row in check(associations="associations/*nrs2*.json") if "light" in row[2]]
    assert len(told) == 2
    assert told[0].startswith("no light reaches NRS2 with PRISM in the stack jw02729003")


def write_gzipped(path):
    """Replace a file by a gzipped one; return its path."""
    with open(path, "rb") as file, gzip.open(f"{path}.gz", "wb") as gzipped:
        shutil.copyfileobj(file, gzipped)
    os.remove(path)
    return f"{path}.gz"


@pytest.mark.parametrize("kind", ["plain", "compressed"])
def test_gzipped_exposures_are_read_like_any_other(here, kind):
    """Of any storage; flagged ones are written uncompressed; a damaged one is refused."""
    planes = [planes_of(SHAPES["NRS1"], seed) for seed in range(2)]
    paths = [download(here / "mast", n, planes=p) for n, p in zip(IFU, planes, strict=False)]
    if kind == "compressed":
        with fits.open(paths[0]) as hdus:
            image = {"data": hdus["SCI"].data, "header": hdus["SCI"].header, "name": "SCI"}
            hdus["SCI"] = fits.CompImageHDU(**image, compression_type="GZIP_1", quantize_level=0)
            hdus.writeto(paths[0], overwrite=True)
    expected = flag(here, paths)["flagged"]
    os.rename(expected, "expected")
    gzipped = [write_gzipped(path) for path in paths]
    flag(here, gzipped)
    assert sorted(os.listdir("flagged")) == [f"{n}_badpix_selfcal.fits" for n in IFU[:2]]
    for name in os.listdir("flagged"):
        with fits.open(f"flagged/{name}") as found, fits.open(f"expected/{name}") as wanted:
            for plane in ("SCI", "ERR", "DQ"):
                assert np.array_equal(found[plane].data, wanted[plane].data, equal_nan=True)
    # Members are named without .gz, as the archive's associations do.
    archive(here / "asn", IFU[0], (IFU[1], "background"))
    assert list(read()[0]["path"]) == [os.path.relpath(path) for path in gzipped]
    assert check() == []
    generate()
    assert roles(IFU[0])["selfcal"] == [IFU[1]]
    with open(gzipped[0], "r+b") as file:
        file.truncate(os.path.getsize(gzipped[0]) - 100)
    assert "not a readable FITS file" in refuse(*gzipped)
    assert pool_reason(here, gzipped[0]).startswith("unreadable: ")


def test_small_things(here):
    """Octal numbers of YAML, files of macOS, selfcal members that are missing."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    for value in (644, ["mast", 644]):
        given = {"exposures": value}
        (error,) = validate_inputs.find_config_errors(given, schema["properties"])
        assert error.endswith("quote it, as YAML reads a number (01204 as an octal one)")
    path, _ = [download(here / "mast", name) for name in IFU[:2]]
    (here / "mast" / f"._{IFU[0]}_rate.fits").write_bytes(b"\0\5\26\7")
    Path(f"{path}.gz").write_bytes(gzip.compress(Path(path).read_bytes()))  # beside the plain file
    generate()
    assert list(pool()) == IFU[:2]
    archive(here / "asn", IFU[0], (IFU[1], "background"), (IFU[2], "selfcal"))
    archive(here / "asn", IFU[1], (IFU[3], "background"))
    members, _, left_out, errors = read(missing_members="skip")
    assert (errors, len(left_out)) == ([], 1)
    assert list(members["exptype"]) == ["science", "background", "missing selfcal"]
    assert members["path"].iloc[0] == os.path.relpath(path)
    assert validate_inputs.find_member_warnings(members)[0].startswith(
        "1 selfcal exposure missing and dropped, members of jw02729-o003"
    )


@pytest.mark.filterwarnings("ignore:Input association file contains path")
def test_a_run_of_a_mixed_folder_says_what_it_leaves_out(here):
    """In its first lines, in status.csv and by `check`; what was downloaded later, too."""
    for i, name in enumerate(IFU[:3]):
        cards = {"CAL_VER": "1.13.4"} if i == 1 else {}
        download(here / "mast", name, cards, planes=planes_of(SHAPES["NRS1"], i))
    write_gzipped(f"mast/{IFU[1]}/{IFU[1]}_rate.fits")
    archive(here / "asn", IFU[0], candidate="o005")
    archive(here / "asn", IFU[0], (IFU[1], "background"), candidate="c1001")
    archive(here / "asn", IFU[2], asn_rule="Asn_Lv2NRSMSA")
    (here / "link").symlink_to("mast")
    linked = [str(here / f"link/{name}/{name}_rate.fits") for name in IFU[:2]]
    write_official(here / "asn/official_asn.json", linked[1], background=linked[0])
    generate(["mast", "link"])
    assert list(pool()) == IFU[:3]
    download(here / "mast", IFU[3])
    workflow, config = Workflow(here), ["exposures=mast"]
    start, _, end = workflow.run(config=config).stdout.partition("Job stats")
    assert "older than" not in end
    assert "asks for" not in end
    new = f"1 exposure is in no association (mast/{IFU[3]}/{IFU[3]}_rate.fits); run generate"
    wanted = [
        new,
        "left out: jw02729-o003_20261001t120000_spec2_00003_asn.json: of another mode, NIRSpec MOS",
        "left out: jw02729-o005_20261001t120000_spec2_00001_asn.json: superseded by jw02729-c1001",
    ]
    for line in wanted:
        assert line in start
    status = pd.read_csv("results/status.csv", index_col="association")["status"]
    assert status.str.cat(sep=" ") == "done done left out left out"
    summary = pd.read_csv("results/summary.csv", index_col="product")["warnings"]
    assert list(summary.index) == IFU[:2]
    assert summary.str.contains(f"{IFU[1]}: mixed processing, CAL_VER: 1.13 against 1.20").all()
    exposures = json.loads((here / "results/provenance.json").read_text())["exposures"]
    assert [(e["cal_ver"], e["crds_ctx"]) for e in exposures] == [
        ("1.20.2", "jwst_1464.pmap"), ("1.13.4", "jwst_1464.pmap")
    ]  # fmt: skip
    assert new in workflow.run("--", "check", config=config).stdout
    assert pd.read_csv("results/check.csv")["what"].str.startswith("left out: ").sum() == 2
    # The background, which is found in `exposures` alone, is the original.
    (here / "results/stacks/gone-0123456789ab").mkdir()
    (here / "results/stacks/gone-0123456789ab/minimum.fits").write_bytes(bytes(2_000_000))
    (here / "results/report.html").touch()
    os.utime("results/report.html", (1, 1))
    said = workflow.run(config=[*config, "flagfrac_upper=0.02"]).stdout
    assert "\nresults/report.html is older than the results: run the target report\n" in said
    assert "results that no association asks for (2 MB): the target prune lists them" in said
    links = [path for path in Path("results/associations").iterdir() if path.is_symlink()]
    assert f"{IFU[1]}_rate.fits.gz" in {path.resolve().name for path in links if path.exists()}
