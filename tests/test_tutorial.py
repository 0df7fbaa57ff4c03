"""What docs/tutorial.md says, on small simulated exposures of the same names and headers."""

import json
import os
import re
import shlex
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, SHAPES, planes_of
from download import download

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCK = re.compile(r"^```bash( network)?\n(.*?)^```", re.S | re.M)
GRATINGS = {
    "02101": ("G140H", "F100LP"),
    "04101": ("G235H", "F170LP"),
    "06101": ("G395H", "F290LP"),
}
# In place of jwst's: what it is given must exist, what it would write is made.
STRUN = f"""#!{sys.executable}
import json, pathlib, sys
pipeline, path, *options = sys.argv[1:]
(folder,) = (pathlib.Path(o.partition("=")[2]) for o in options if o.startswith("--output_dir="))
assert folder.is_dir()
(product,) = json.loads(pathlib.Path(path).read_text())["products"]
for member in product["members"]:
    assert (pathlib.Path(path).parent / member["expname"]).exists(), member
level = {{"calwebb_spec2": "cal", "calwebb_spec3": "s3d"}}[pipeline]
(folder / f"{{product['name']}}_{{level}}.fits").write_text(level)
"""


def exposures_of_the_programs():
    """Return the run folder, name and cards of each exposure of the stand-in."""
    for observation, background in (("003", False), ("004", True)):
        for k in (1, 2):
            name = f"jw01523{observation}001_02101_0000{k}_mirifulong"
            yield "mrs", name, {"BKGDTARG": background}
    for visit, (grating, light) in GRATINGS.items():
        for k in (1, 2):
            cards = {"GRATING": grating, "FILTER": light, "TARGPROP": "30-DOR"}
            yield "nirspec", f"jw02729005001_{visit}_0000{k}_nrs1", cards


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The run folders, after every block of the page in its order."""
    folder = tmp_path_factory.mktemp("data")
    for seed, (run, name, cards) in enumerate(exposures_of_the_programs()):
        planes = planes_of(SHAPES["MIRIFULONG" if run == "mrs" else "NRS1"], seed)
        download(folder / run / "mastDownload" / "JWST", name, cards, planes=planes)
    programs = folder / "bin"
    programs.mkdir()
    (programs / "strun").write_text(STRUN)
    (programs / "strun").chmod(0o755)
    # The page names .venv/bin/snakemake from the repository; here it is this interpreter's.
    path = os.pathsep.join([str(programs), os.path.dirname(sys.executable), os.environ["PATH"]])
    snakemake = f"{shlex.quote(sys.executable)} -m snakemake"
    for _, block in BLOCK.findall(PAGE):
        text = block.replace("/data/", f"{folder}/").replace(".venv/bin/snakemake", snakemake)
        options = {"cwd": ROOT, "capture_output": True, "text": True}
        done = subprocess.run(["bash", "-ec", text], env={**os.environ, "PATH": path}, **options)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return folder


def test_the_page_names_the_programs_and_what_is_not_run():
    assert re.search(r"01523 \| 003.*SMP LMC 058.* 004", PAGE)
    for grating, light in GRATINGS.values():
        assert f"{grating}/{light}" in PAGE
    assert len(BLOCK.findall(PAGE)) == PAGE.count("```bash")
    network = PAGE.count("```python") + PAGE.count("```bash network")
    assert len(re.findall(r"^\*This block needs the network", PAGE, re.M)) == network == 3
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M):
        compile(block, "tutorial.md", "exec")


def test_results_are_as_the_page_says(data):
    """
    Stacks, what tuning suggests, and what the pipeline is given: every exposure of the source.

    A detector of MRS is a stack, with the background; of NIRSpec, a detector and grating.
    """
    for run, n_stacks, n_exposures, cube, source, n_given in (
        ("mrs", 1, 4, "smp-lmc-058", "jw01523003", 2),
        ("nirspec", 3, 2, "tarantula", "jw02729005", 6),
    ):
        results = data / run / "results"
        summary = pd.read_csv(results / "summary.csv")
        assert summary["stack"].nunique() == n_stacks
        assert set(summary["status"]) == {"COMPLETE"}
        assert set(summary["n_exposures"]) == {n_exposures}
        assert set(summary["threshold"]) == {"sigma"}  # what the page chose in the end
        assert (results / "spec3" / f"{cube}_s3d.fits").exists()
        (product,) = json.loads((results / "spec2" / f"{cube}_asn.json").read_text())["products"]
        given = [member["expname"] for member in product["members"]]
        assert len(given) == n_given
        assert all(path.startswith(source) for path in given)
    members = pd.read_csv(data / "mrs/results/members.csv")
    backgrounds = set(members.loc[members["exptype"] == "background", "exposure"])
    assert {name[:10] for name in backgrounds} == {"jw01523004"}
    (suggestion,) = (data / "mrs/results/tune").glob("*/suggestion.txt")
    assert suggestion.read_text().strip() in (data / "mrs/results/report.html").read_text()
