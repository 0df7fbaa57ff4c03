# The start of a run names files that are missing in folders; its end says what became of each
# association, in status.csv and on the terminal.

import time

run_started = time.time()
if main_process:
    run_status.say(run_status.name_missing(flagged, PREFIX))


def report_status():
    """Write status.csv; print failures, warnings, and where the results are."""
    run_status.report(
        members=members,
        flagged=flagged,
        left_out=left_out,
        outputs=snakemake_compat.run_outputs(workflow),
        started=run_started,
        prefix=PREFIX,
    )


onsuccess:
    report_status()


onerror:
    outputs = snakemake_compat.run_outputs(workflow)
    run_status.write_partial("summary", outputs)
    report_status()
    run_status.write_partial("report", outputs)
