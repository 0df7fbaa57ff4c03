# The workflow on Debian packages and the pins of envs/; see docs/howto/container.md. Not built in CI.
FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv ca-certificates \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/badpix_selfcal
COPY Snakefile config.yaml LICENSE README.md pyproject.toml ./
COPY demo demo
COPY envs envs
COPY profiles profiles
COPY scripts scripts
COPY workflow workflow
RUN python3 -m venv .venv && .venv/bin/pip install --no-cache-dir -r envs/requirements-slurm.txt .

# Any user may run it: nothing is written beside the programs or to a home folder.
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENTRYPOINT [".venv/bin/snakemake"]
