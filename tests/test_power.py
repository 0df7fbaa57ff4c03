"""The power is cut, on an ext4 of its own: what has its name is whole, and the next run goes on."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, Workflow, wait_for, write_nods
from disks import disk

from badpix_selfcal.files import atomic_write


@pytest.fixture
def ext4(tmp_path):
    """A disk whose power can be cut."""
    try:
        with disk(tmp_path) as made:
            yield made
    except RuntimeError as error:
        pytest.skip(f"no disk of our own here: {error}")


def test_only_what_waits_for_the_disk_survives(ext4):
    """A file that is renamed without fsync is lost, so that the next tests can fail."""
    (ext4.folder / "x.part").write_text("whole")
    os.rename(ext4.folder / "x.part", ext4.folder / "renamed.txt")
    with atomic_write(str(ext4.folder / "new" / "waited.txt")) as part:
        open(part, "w").write("whole")
    (ext4.folder / "y.part").write_text("whole")
    os.rename(ext4.folder / "y.part", ext4.folder / "later.txt")
    ext4.cut_power()
    left = {path.name: path.read_text() for path in ext4.folder.glob("**/*.txt")}
    assert left.pop("waited.txt") == "whole"
    assert "whole" not in left.values()


def results(folder):
    """Return the bytes of the images and flagged associations below a folder's results."""
    found = [*folder.glob("results/**/*.fits"), *folder.glob("results/associations/*.json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("moment", ["results/stacks/*/minimum.fits", "results/flagged/*/*.fits", ""])
def test_a_run_goes_on_after_a_power_cut(ext4, finished, moment):
    """In the middle or at the end: no file is less than whole, and the plain command does the rest."""
    workflow = write_nods(Workflow(ext4.folder / "run"))
    os.sync()
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "2"),
            *("--snakefile", ROOT / "Snakefile", "--config", "associations=asn/*.json"),
        ],
        cwd=workflow.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if moment:
        wait_for(lambda: list(workflow.folder.glob(moment)), moment, seconds=60)
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(timeout=120)
    before = results(workflow.folder)
    ext4.cut_power()
    wanted, left = results(finished), results(workflow.folder)
    assert left == (before if not moment else {key: wanted[key] for key in left})
    workflow.run()
    assert results(workflow.folder) == wanted
    assert workflow.jobs() == {}
