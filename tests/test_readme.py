"""What README.md says: its commands run; its tables and its graph are those of the workflow."""

import re
import shlex
import shutil
import subprocess
import sys

import yaml
from conftest import ROOT, SHAPES, Workflow, planes_of, write_association
from download import download

README = (ROOT / "README.md").read_text()


def list_blocks(path):
    """List the blocks of commands of a page that need neither a network nor Slurm."""
    return re.findall(r"^```bash\n(.*?)^```", path.read_text(), re.S | re.M)


def list_commands():
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.S | re.M)
    return [line.split("#")[0].strip() for line in "\n".join(blocks).splitlines() if line.strip()]


def test_commands_run(tmp_path):
    """Each in a copy of the repository; `make run` and `make test` are run by CI itself."""
    repository, data = tmp_path / "repository", tmp_path / "data"
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for name in tracked.stdout.split():
        if (ROOT / name).exists():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name, follow_symlinks=False)
    # `tune` does with each line of its table what it does with the first ones.
    table = repository / "workflow" / "tune.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:4]))
    names = [f"jw01204021001_02101_0000{i}_mirifulong" for i in (1, 2)]
    for i, name in enumerate(names):
        download(data / "mastDownload", name, planes=planes_of(SHAPES["MIRIFULONG"], i))
    asn = "jw01204-o021_20261001t120000_spec2_00001_asn.json"
    pairs = [(f"{names[0]}_rate.fits", "science"), (f"{names[1]}_rate.fits", "background")]
    write_association(data / asn, (names[0], pairs))
    block = re.search(r"^```yaml\n(.*?)^```", README, re.S | re.M)[1]
    (data / "config.yaml").write_text(block)
    commands = [c for c in list_commands() if c not in ("make run", "make test")]
    for command in commands:
        words = shlex.split(command.replace("/data/jw01204", str(data)))
        python, *words = words
        module = {".venv/bin/snakemake": ["-m", "snakemake"], ".venv/bin/python": []}[python]
        words = [sys.executable, *module, *words]
        done = subprocess.run(words, cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert len(commands) >= 8
    assert (repository / "results" / "associations" / asn).exists()
    assert (data / "results" / "summary.csv").exists()
    assert list(data.glob("results/figures/*/flags.png"))
    assert (data / "results" / "report.html").exists()


def test_the_graph_is_the_workflows():
    drawn = re.search(r"^```mermaid\nflowchart LR\n(.*?)^```", README, re.S | re.M)[1]
    edges = {tuple(line.split(" --> ")) for line in drawn.replace("    ", "").splitlines()}
    out = Workflow(ROOT).run("--rulegraph", "mermaid-js", associations=None).stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", out))
    found = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", out)}
    assert edges == {(a, b) for a, b in found if b != "all"}


def test_parameters_are_all_described_with_their_defaults():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    table = README.partition("## Parameters")[2].partition("\n\n")[2].partition("\n\n")[0]
    described = {
        key: default
        for keys, default in re.findall(r"^\| ([\w, ]+) \| ([^|]+) \|", table, re.M)
        for key in keys.split(", ")
    }
    described.pop("key")
    assert set(described) == set(schema["properties"])
    for key in set(described) - {"associations"}:
        # Two defaults where a line is of two keys: 7, 5.
        allowed = [yaml.safe_load(text) for text in described[key].split(", ")]
        assert schema["properties"][key]["default"] in allowed, key
