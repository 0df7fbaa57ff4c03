# What is done when a run begins and ends.

import time

run_started = time.time()

if main_process:
    internals.guard_locks()
else:
    internals.lift_job_rate_of_jobs()


onstart:
    gc.set_threshold(100_000)
    gc.enable()
    internals.guard_sigterm(workflow)
    internals.lift_job_rate(workflow)
    internals.one_line_per_job()


onsuccess:
    status.report(status_rows, run_started)


onerror:
    unfinished = internals.outputs_of_run(workflow)[1]
    status.write_partial("summary", f"{SCRIPTS}/selfcal", unfinished)
    status.report(status_rows, run_started)
    status.write_partial("report", f"{SCRIPTS}/selfcal", unfinished)
