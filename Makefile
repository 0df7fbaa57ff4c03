# make run    the demo: simulate exposures, flag their bad pixels
# make test   all tests
# make lint   what a commit must pass
# make report the demo's figures and tables in one file, report.html
# make bench  measure speed and memory against jwst, half an hour; bench-quick: a few minutes
# Each builds the environment it needs in .venv, from the pins in envs/.

PYTHON ?= python3

.PHONY: run report pictures test lint bench bench-quick clean

run: .venv/run
	.venv/bin/snakemake --cores all
	@echo
	@echo "Done. Look at:"
	@echo "  results/summary.csv        what was flagged, one row per product"
	@echo "  results/by_association/    minimum, median, flags and flagged exposures by association"
	@echo "  results/associations/      the associations for calwebb_spec2"

report: .venv/run
	.venv/bin/snakemake --cores all --report report.html --report-after-run -- all figures

# The pictures of the README, from the demo.
MRS := jw09001_mirifulong_6exp-b4d5fd219b3c
NIRSPEC := jw09002001001_03101_nrs1_2exp-29ecbf57cf8a
pictures: .venv/run
	.venv/bin/snakemake --cores all -- figures results/tune/$(MRS)/cost.png
	cp results/figures/$(MRS)/flags.png results/figures/$(MRS)/cuts.png docs
	cp results/figures/$(MRS)/sources.png results/figures/$(NIRSPEC)/runs.png docs
	cp results/tune/$(MRS)/cost.png results/tune/$(MRS)/recall_high.png docs

test: .venv/test
	.venv/bin/python -m pytest

lint: .venv/test
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/snakemake --lint

bench: .venv/test
	PYTHONPATH=scripts .venv/bin/python bench/run.py

bench-quick: .venv/test
	PYTHONPATH=scripts .venv/bin/python bench/run.py --quick

clean:
	rm -rf report.html results logs demo/exposures .snakemake

# The marks say which requirements .venv holds.
.venv/run: envs/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv/test: envs/requirements-test.txt envs/requirements-slurm.txt .venv/run
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@
