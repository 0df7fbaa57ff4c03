"""What machines do to runs, and noise to inputs: a power cut, a full disk, broken bytes."""

import os
from pathlib import Path

import breaking
import pytest
from disks import NotHereError, disk

from badpix_selfcal.atomic_io import atomic_write


def test_only_what_waits_for_the_disk_survives_a_power_cut(tmp_path):
    """A file that is renamed without fsync is lost, so that the next tests can fail."""
    try:
        with disk(tmp_path) as ext4:
            ext4.cut_power()
            (ext4.folder / "x.part").write_text("whole")
            os.rename(ext4.folder / "x.part", ext4.folder / "renamed.txt")
            with atomic_write(str(ext4.folder / "new" / "waited.txt")) as part:
                Path(part).write_text("whole")
            (ext4.folder / "y.part").write_text("whole")
            os.rename(ext4.folder / "y.part", ext4.folder / "later.txt")
            ext4.cut_power()
            left = {path.name: path.read_text() for path in ext4.folder.glob("**/*.txt")}
    except NotHereError as error:
        pytest.skip(str(error))
    assert left.pop("waited.txt") == "whole"
    assert "whole" not in left.values()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Return the results of a run that nothing happens to, and its seconds."""
    return breaking.quiet_run(tmp_path_factory.mktemp("quiet"))


@pytest.mark.parametrize("kind", ["power cut", "full disk"])
def test_a_run_goes_on(tmp_path, quiet, kind):
    """`make fuzz` breaks many, and kills others."""
    try:
        assert breaking.trial(kind, 1, tmp_path, *quiet) == "went on"
    except NotHereError as error:
        pytest.skip(str(error))


def test_broken_associations_are_refused_or_read(tmp_path):
    """Found so: an exptype of half a character (3189), which no table holds."""
    found = {breaking.trial("associations", seed, tmp_path) for seed in (*range(300), 3189)}
    assert found == {"refused", "read"}
