"""What only the Snakefile uses: checks, the hash of programs, the status of a run."""
