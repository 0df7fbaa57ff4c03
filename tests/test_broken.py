"""What machines do to runs, and noise to inputs: a power cut, kills, full disks, broken bytes."""

import os
import subprocess
from pathlib import Path

import breaking
import pytest
from conftest import wait_for
from disks import NotHereError, disk

from badpix_selfcal.files import atomic_write


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Return the results of a run that nothing happens to, and its seconds."""
    return breaking.quiet_run(tmp_path_factory.mktemp("quiet"))


@pytest.fixture
def ext4(tmp_path):
    """A disk whose power can be cut."""
    try:
        with disk(tmp_path) as made:
            made.cut_power()
            yield made
    except NotHereError as error:
        pytest.skip(str(error))


def test_only_what_waits_for_the_disk_survives(ext4):
    """A file that is renamed without fsync is lost, so that the next tests can fail."""
    (ext4.folder / "x.part").write_text("whole")
    os.rename(ext4.folder / "x.part", ext4.folder / "renamed.txt")
    with atomic_write(str(ext4.folder / "new" / "waited.txt")) as part:
        Path(part).write_text("whole")
    (ext4.folder / "y.part").write_text("whole")
    os.rename(ext4.folder / "y.part", ext4.folder / "later.txt")
    ext4.cut_power()
    left = {path.name: path.read_text() for path in ext4.folder.glob("**/*.txt")}
    assert left.pop("waited.txt") == "whole"
    assert "whole" not in left.values()


def test_a_disk_that_a_namespace_holds_is_cut_as_well(ext4):
    """As the one of another test may, that runs at the same time: it is waited for."""
    with atomic_write(str(ext4.folder / "waited.txt")) as part:
        Path(part).write_text("whole")
    apart = ["unshare", "--mount", "sh", "-c", "echo; sleep 1"]
    with subprocess.Popen(apart, stdout=subprocess.PIPE, text=True) as other:
        if not other.stdout.readline():
            pytest.skip("no namespaces here")
        ext4.cut_power()
    assert (ext4.folder / "waited.txt").read_text() == "whole"


@pytest.mark.parametrize(
    "moment", ["results/stacks/*/minimum.fits", "results/flagged/*/*.fits", ""]
)
def test_a_run_goes_on_after_a_power_cut(ext4, quiet, moment):
    """In the middle or at the end: every file is whole, and the plain command does the rest."""
    workflow = breaking.write_inputs(ext4.folder / "run")
    run = workflow.start()
    if moment:
        wait_for(lambda: list(workflow.folder.glob(moment)), moment, seconds=60)
        run.kill_all()
    run.communicate()
    wanted, _ = quiet
    ext4.cut_power()
    breaking.whole_or_not_there(workflow.folder, wanted)
    assert moment or breaking.results(workflow.folder) == wanted
    breaking.goes_on(workflow, wanted)


@pytest.mark.parametrize("kind", breaking.RUNS)
def test_what_is_promised_of_runs(tmp_path, quiet, kind):
    """One of those that `make fuzz` makes many of."""
    try:
        breaking.trial(kind, 1, tmp_path, *quiet)  # raises an AssertionError
    except NotHereError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("kind", "seed"), [("associations", 3189), ("associations", 10610)])
def test_what_make_fuzz_found(tmp_path, kind, seed):
    """An exptype of half a character, which no table holds."""
    assert breaking.trial(kind, seed, tmp_path) == "refused"


@pytest.mark.filterwarnings("ignore")  # of astropy, about cards that say nothing of the structure
@pytest.mark.parametrize("kind", breaking.INPUTS)
def test_what_is_promised_of_inputs(tmp_path, kind):
    """As `make fuzz`, but three hundred of each."""
    found = {breaking.trial(kind, seed, tmp_path) for seed in range(300)}
    assert {"refused"} < found
