# What is done when a run begins and ends.

import time

run_started = time.time()

if workflow.is_main_process and (said := _status.unlock_dead_run()):
    print(said, file=sys.stderr)


onstart:
    _status.remember_run()
    # Snakemake's limit on jobs per second wakes its scheduler again every second for each job that
    # ever ran. Local jobs need no such limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    print(_status.report(status_rows(workflow.dag, run_started)), file=sys.stderr)


onerror:
    print(_status.report(status_rows(workflow.dag, run_started)), file=sys.stderr)
