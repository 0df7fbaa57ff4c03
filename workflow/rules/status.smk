# What is done when a run begins and ends.

import time

run_started = time.time()

if main_process:
    internals.guard_locks()


onstart:
    internals.guard_sigterm(workflow)
    internals.lift_job_rate(workflow)
    internals.one_line_per_job()


onsuccess:
    status.report(status_rows, run_started)


onerror:
    status.report(status_rows, run_started)
