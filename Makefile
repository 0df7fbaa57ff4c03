# `make` or `make help` lists what there is. Each builds the environment it needs in .venv, from the
# pins in envs/.

PYTHON ?= python3

.PHONY: help run report pictures test lint oldest bench bench-quick evidence fuzz clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 14

run: .venv/run  ## the demo: simulate exposures, flag their bad pixels
	.venv/bin/snakemake
	@echo
	@echo "Done. Look at:"
	@echo "  results/summary.csv        what was flagged, one row per product"
	@echo "  results/by_association/    minimum, median, flags and flagged exposures by association"
	@echo "  results/associations/      the associations for calwebb_spec2"

report: .venv/run  ## the demo's page: results/report.html
	.venv/bin/snakemake -- report
	@echo
	@echo "Done. Open results/report.html in a browser."

# The pictures of the README, from the demo.
MRS := jw09001_mirifulong_6exp-b4d5fd219b3c
NIRSPEC := jw09002001001_03101_nrs1_2exp-29ecbf57cf8a
pictures: .venv/run  ## the pictures of the README, from the demo
	.venv/bin/snakemake -- figures results/tune/$(MRS)/cost.png
	cp results/figures/$(MRS)/flags.png results/figures/$(MRS)/cuts.png docs/pictures
	cp results/figures/$(MRS)/sources.png results/figures/$(NIRSPEC)/runs.png docs/pictures
	cp results/tune/$(MRS)/cost.png results/tune/$(MRS)/recall_high.png docs/pictures

test: .venv/test  ## all tests
	.venv/bin/python -m pytest

lint: .venv/test  ## what a commit must pass
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/snakemake --lint

# The oldest Snakemake that is supported, bare: without the plugins and pins of envs/.
oldest: .venv-oldest/run  ## dry run of the demo on the oldest supported Snakemake
	.venv-oldest/bin/snakemake --dry-run --forceall --quiet rules

bench: .venv/test  ## measure speed and memory against jwst: half an hour
	PYTHONPATH=scripts .venv/bin/python bench/run.py

bench-quick: .venv/test  ## a little of it: a few minutes
	PYTHONPATH=scripts .venv/bin/python bench/run.py --quick

evidence: .venv/test  ## what each way to flag finds, into docs: 8 minutes
	PYTHONPATH=scripts .venv/bin/python bench/evidence.py

fuzz: .venv/test  ## break inputs at random for a minute (SECONDS=600: ten)
	PYTHONPATH=tests:scripts .venv/bin/python bench/fuzz.py $(SECONDS)

.PHONY: reference docs
reference: .venv/run  ## write the pages of docs/reference that come from the code
	.venv/bin/python docs/reference/generate.py

docs: .venv/docs  ## these pages as a site, docs/_build/index.html
	.venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

clean:  ## remove the demo's exposures and all results
	rm -rf report.html results logs demo/exposures .snakemake

# The marks say which requirements .venv holds.
.venv/run: envs/requirements.txt pyproject.toml scripts/snakemake_logger_plugin_selfcal/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $< .
	touch $@

.venv/test: envs/requirements-test.txt envs/requirements-slurm.txt .venv/run
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv/docs: envs/requirements-docs.txt .venv/run
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv-oldest/run: Makefile
	test -x .venv-oldest/bin/pip || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
	    snakemake==9.0.1 jsonschema numpy pandas PyYAML
	touch $@
