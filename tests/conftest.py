"""Small exposures, associations and runs of the workflow, for all tests."""

import contextlib
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from astropy.io import fits
from snakemake.cli import main as snakemake

from badpix_selfcal.cli import load

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"  # data to measure with, which are not part of the repository
SHAPES = {"MIRIFUSHORT": (72, 530), "MIRIFULONG": (72, 530), "NRS1": (48, 64)}

# jwst needs no network for this step, if told so before it is imported.
os.environ.update(CRDS_SERVER_URL="", CRDS_PATH="crds", STPIPE_DISABLE_CRDS_STEPPARS="true")
# One list of fonts for all runs, which takes half a second to make.
os.environ.setdefault("MPLCONFIGDIR", f"{ROOT}/.snakemake/matplotlib")
# Else each of hundreds of runs compiles what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def planes_of(shape, seed=0):
    """Simulate planes of an exposure: a slope, noise, NaN, outliers, edges, DQ bits."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    sci = (10 + y / 20 + np.sin(x / 9) + rng.normal(0, 0.3, shape)).astype(np.float32)
    fixed = np.random.default_rng(99)
    warm = fixed.random(shape) < 0.005
    sci[warm] += fixed.normal(0, 8, shape).astype(np.float32)[warm]
    sci[rng.random(shape) < 0.03] = np.nan
    dq = np.where(np.isnan(sci), 1, 0).astype(np.uint32)
    dq[rng.random(shape) < 0.05] |= 4
    dq[:, 0] |= np.uint32(1 << 31)
    planes = {"SCI": sci, "ERR": np.sqrt(abs(sci)), "DQ": dq}
    for i, name in enumerate(("VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")):
        planes[name] = np.full(shape, 0.1 * (i + 1), np.float32)
    return planes


def write_exposure(path, detector="NRS1", seed=0, planes=None, primary=None, science=None, **kw):
    """Write an exposure as plain FITS; cards that are None are left out."""
    planes = planes or planes_of(SHAPES[detector], seed)
    miri = detector.upper().startswith("MIRI")
    cards = {
        "TELESCOP": "JWST",
        "FILENAME": os.path.basename(path),
        "DATAMODL": "IFUImageModel",
        "DATE-OBS": "2026-10-01",
        "TIME-OBS": "12:00:00",
        "INSTRUME": "MIRI" if miri else "NIRSPEC",
        "DETECTOR": detector,
        "EXP_TYPE": "MIR_MRS" if miri else "NRS_IFU",
        "S_DQINIT": "COMPLETE",
        "S_RAMP": "COMPLETE",
        "VISITEND": "2026-10-01",  # something after the block of steps
        **(primary or {}),
    }
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for key, value in cards.items():
        if value is not None:
            hdus[0].header[key] = value
    for name, plane in planes.items():
        hdus.append(fits.ImageHDU(plane, name=name))
    sci_cards = {"BUNIT": "DN/s", "DISPAXIS": 2 if miri else 1, **(science or {})}
    for key, value in sci_cards.items():
        if value is not None:
            hdus["SCI"].header[key] = value
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    hdus.writeto(path, overwrite=True, **kw)
    return str(path)


def write_association(path, *products, **other):
    """Write an association: each product a name and its (expname, exptype) members."""
    table = {
        "asn_type": "spec2",
        "asn_rule": "Asn_Lv2MRS",
        "asn_pool": "pool",
        "asn_id": "o001",
        "program": "01204",
        "target": "1",
        **other,
        "products": [
            {"name": n, "members": [{"expname": e, "exptype": t} for e, t in members]}
            for n, members in products
        ],
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(table))
    return str(path)


def program(*words, check=True, cwd=None, room=None):
    """
    Run a program by hand, as its users would: its name, then its arguments.

    No file may be longer than `room`, in bytes, which stands for a full disk: both fail a write in
    the middle. Python would leave half a file of bytecode there, too.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-Es" if room is None else "-EsB",
            ROOT / "scripts/selfcal",
            *map(str, words),
        ],
        capture_output=True,
        text=True,
        cwd=cwd,
        preexec_fn=None
        if room is None
        else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    if check and done.returncode:
        raise AssertionError(f"{words}: {done.stderr}")
    return done


def call(name, *words):
    """Run a program in this process, which takes a fraction of the time of one of its own."""
    module = load(name)
    module.main(module.options().parse_args([str(word) for word in words]))


def flag(folder, exposures, **parameters):
    """Take exposures through the five stages by hand; return the files of the stages by name."""
    names = ("pedestal", "minimum", "excluded", "median", "noise", "flags", "flagged")
    f = {n: os.path.join(folder, f"{n}.fits" if n != "flagged" else n) for n in names}
    words = {"median": [], "threshold": []}
    for key, value in parameters.items():
        stage = "median" if key in ("kernel_size", "edge_mode", "dispersion_axis") else "threshold"
        words[stage] += [f"--{key.replace('_', '-')}", value]
    call("pedestal", *exposures, "--output", f["pedestal"])
    call("minimum", f["pedestal"], f["minimum"])
    if parameters.get("edge_mode") == "shrink":
        call("excluded", f["minimum"], f["excluded"], *exposures)
        words["median"] += ["--excluded", f["excluded"]]
    call("median", f["minimum"], f["median"], *words["median"])
    if parameters.get("threshold") == "sigma":
        call("noise", f["minimum"], f["excluded"], f["median"], f["noise"])
        words["threshold"] += ["--noise", f["noise"]]
    call("threshold", f["minimum"], f["median"], f["flags"], *words["threshold"])
    call("write_back", f["flags"], f["flagged"], *exposures)
    return f


def wait_for(what, wanted, seconds=20):
    """Call until it returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"no {wanted}"
        time.sleep(0.1)
    return found


class Workflow:
    """The workflow in a working directory of its own."""

    def __init__(self, folder):
        self.folder = folder

    def command(self, *arguments, associations="asn/*.json", config=(), snakefile=None):
        """Return the command that users type."""
        config = [*config, *([f"associations={associations}"] if associations else [])]
        words = [
            *(sys.executable, "-m", "snakemake", "--cores", "2"),
            *("--snakefile", snakefile or ROOT / "Snakefile", "--directory", self.folder),
            *(["--config", *config] if config else []),
            *arguments,
        ]
        return [str(word) for word in words]

    def run(self, *arguments, check=True, **options):
        """Run snakemake; its stdout and stderr come back as one text in `stdout`."""
        done = subprocess.run(
            self.command(*arguments, **options),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and done.returncode:
            raise AssertionError(done.stdout)
        return done

    def start(self, *arguments, **options):
        """Start a run in a session of its own; return its process."""
        return subprocess.Popen(
            self.command(*arguments, **options),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def dry_run(self, *arguments, **options):
        """Return what a dry run says; in this process, as Snakemake's start takes most of it."""
        words, said = self.command("--dry-run", *arguments, **options)[3:], io.StringIO()
        ours = (f"{ROOT}/scripts", f"{ROOT}/workflow")
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            mock.patch.dict(os.environ),
            mock.patch.dict(sys.modules),
            warnings.catch_warnings(action="ignore"),
        ):
            # Our modules are loaded anew: they remember files.
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", "")).startswith(ours):
                    del sys.modules[name]
            with pytest.raises(SystemExit) as end:
                snakemake(words)
        assert not end.value.code, said.getvalue()
        return said.getvalue()

    def jobs(self, *arguments, snakefile=None, **options):
        """Count the jobs of each rule in a dry run, without `all`."""
        if snakefile:  # another copy of the workflow, whose modules are its own
            text = self.run("--dry-run", *arguments, snakefile=snakefile, **options).stdout
        else:
            text = self.dry_run(*arguments, **options)
        if "Nothing to be done" in text:
            return {}
        rows = re.findall(r"^([a-z_]+) +(\d+)$", text.partition("Job stats")[2], re.M)
        assert rows, text
        return {rule: int(n) for rule, n in rows if rule not in ("all", "total")}

    def path(self, *parts):
        return self.folder.joinpath(*parts)


def copy_workflow(target):
    """Copy the workflow as a fresh clone does: new modification times."""
    for name in ("Snakefile", "config.yaml", "workflow", "scripts", "envs", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, target / name)
    (target / "scripts" / "selfcal").chmod(0o755)
    (target / "demo").mkdir()
    shutil.copyfile(ROOT / "demo" / "exposures.csv", target / "demo" / "exposures.csv")
    return target / "Snakefile"


@pytest.fixture
def workflow(tmp_path):
    return Workflow(tmp_path)


def write_nods(workflow):
    """Write two NIRSpec nods, each the other's background, and one product alone."""
    names = [f"jw01204001001_02101_0000{i}_nrs1" for i in (1, 2, 3)]
    for i, name in enumerate(names):
        write_exposure(workflow.path("rate", f"{name}_rate.fits"), seed=i)
    files = [f"../rate/{name}_rate.fits" for name in names]
    one = [(files[0], "science"), (files[1], "background")]
    two = [(files[1], "science"), (files[0], "background")]
    write_association(workflow.path("asn", "one_asn.json"), ("p1", one))
    write_association(workflow.path("asn", "two_asn.json"), ("p2", two))
    write_association(workflow.path("asn", "alone_asn.json"), ("p3", [(files[2], "science")]))
    return workflow


@pytest.fixture
def nods(workflow):
    """A workflow with two NIRSpec nods, each the other's background, and one product alone."""
    return write_nods(workflow)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Return the folder of the nods where everything is done; to look at, not to change."""
    workflow = write_nods(Workflow(tmp_path_factory.mktemp("finished")))
    workflow.run("--quiet", "all")
    return workflow.folder


def copy_run(source, target):
    """Copy the folder of a run with its modification times."""
    shutil.copytree(source, target, symlinks=True)
    for path in target.rglob(".snakemake_timestamp"):
        shutil.copystat(source / path.relative_to(target), path)
    return Workflow(target)


@pytest.fixture
def done(finished, tmp_path):
    """Return a copy of the folder where everything is done."""
    return copy_run(finished, tmp_path / "run")


# The median waits in the middle of its work until the file `go` exists.
WAITS = """def main(arguments):
    import os, time
    from badpix_selfcal.atomic_io import atomic_write
    with atomic_write(arguments.output) as part:
        open(part, "w").write("half")
        open("waits", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.05)
        run(arguments)
        os.rename(arguments.output, part)


def run(arguments):
"""


@pytest.fixture
def slow(tmp_path_factory):
    """Return a Snakefile whose median waits."""
    folder = tmp_path_factory.mktemp("slow")
    snakefile = copy_workflow(folder)
    script = folder / "scripts/stages/median.py"
    script.write_text(script.read_text().replace("def main(arguments):\n", WAITS))
    return snakefile
