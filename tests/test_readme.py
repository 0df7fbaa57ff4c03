"""What the README says: its commands run, its graph, its tables are true."""

import re
import shlex
import shutil
import subprocess
import sys

import forked
import yaml
from conftest import ROOT, SHAPES, planes_of, write_association
from download import download

README = (ROOT / "README.md").read_text()


def commands():
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.S | re.M)
    return [line.split("#")[0].strip() for line in "\n".join(blocks).splitlines() if line.strip()]


def test_commands_run(tmp_path):
    """Each in a copy of the repository; `make run` and `make test` are run by CI itself."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for name in tracked.stdout.split():
        target = tmp_path / "repository" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target, follow_symlinks=False)
    # `tune` does with each line of its table what it does with the first ones.
    table = tmp_path / "repository" / "workflow" / "tune.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:4]))
    data = tmp_path / "data"
    names = [f"jw01204021001_02101_0000{i}_mirifulong" for i in (1, 2)]
    for i, name in enumerate(names):
        download(data / "mastDownload", name, planes=planes_of(SHAPES["MIRIFULONG"], i))
    asn = "jw01204-o021_20261001t120000_spec2_00001_asn.json"
    pairs = [(f"{names[0]}_rate.fits", "science"), (f"{names[1]}_rate.fits", "background")]
    write_association(data / asn, (names[0], pairs))
    block = re.search(r"^```yaml\n(.*?)^```", README, re.S | re.M)[1]
    (data / "config.yaml").write_text(block)

    ran = 0
    for command in commands():
        if command in ("make run", "make test"):
            continue
        program, *words = shlex.split(command.replace("/data/jw01204", str(data)))
        repository = tmp_path / "repository"
        if program == ".venv/bin/snakemake":
            done = forked.run(words, repository, programs="anew")
        else:
            assert program == ".venv/bin/python"
            words = [sys.executable, *words]
            done = subprocess.run(words, cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        ran += 1
    assert ran >= 8
    assert (tmp_path / "repository" / "results" / "associations" / asn).exists()
    assert (data / "results" / "summary.csv").exists()
    assert list(data.glob("results/figures/*/flags.png"))
    assert (data / "results" / "report.html").exists()


def test_rule_graph_is_the_workflows():
    drawn = re.search(r"^```mermaid\nflowchart LR\n(.*?)^```", README, re.S | re.M)[1]
    edges = {tuple(line.split(" --> ")) for line in drawn.replace("    ", "").splitlines()}
    done = forked.run(["--rulegraph", "mermaid-js"], ROOT)
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", done.stdout))
    found = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", done.stdout)}
    assert edges == {(a, b) for a, b in found if b != "all"}


def test_parameters_are_all_described_with_their_defaults():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    table = README.partition("## Parameters")[2].partition("\n\n")[2].partition("\n\n")[0]
    described = {
        key: default
        for keys, default in re.findall(r"^\| ([\w, ]+) \| ([^|]+) \|", table, re.M)
        for key in keys.split(", ")
    }
    described.pop("key")
    assert set(described) == set(schema["properties"]) == set(config)
    for key, rule in schema["properties"].items():
        assert config[key] == rule["default"]
        assert rule["description"]
        if key != "associations":
            assert yaml.safe_load(described[key]) == rule["default"]
