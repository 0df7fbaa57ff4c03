"""
What a user runs today: a loop over jwst's BadpixSelfcalStep, products and backgrounds saved.

``python reference.py PROCESSES SAVE_FLAGGED_BKG OUTPUT ASSOCIATION...`` prints the seconds of the
loop alone, after the imports and, in a pool, after its processes have started and imported what
they need.
"""

import os
import sys
import time
import warnings
from multiprocessing import get_context

os.environ.update(CRDS_SERVER_URL="", CRDS_PATH="crds", STPIPE_DISABLE_CRDS_STEPPARS="true")


def warm():
    """Import what the step needs, and keep it quiet."""
    import logging

    warnings.simplefilter("ignore")
    import jwst.badpix_selfcal  # noqa: F401
    from stdatamodels.jwst import datamodels  # noqa: F401

    logging.disable(logging.WARNING)


def calibrate(association, output, save):
    """Run the step on an association; save its product and, if told to, its flagged backgrounds."""
    from jwst.badpix_selfcal import BadpixSelfcalStep

    step = BadpixSelfcalStep()
    step.skip = False
    step.output_dir = output
    step.save_results = True
    step.save_flagged_bkg = save
    step.run(association)


def main():
    """Print the seconds of the loop."""
    processes, save, output = int(sys.argv[1]), sys.argv[2] == "true", sys.argv[3]
    associations = sys.argv[4:]
    os.makedirs(output, exist_ok=True)
    if processes == 1:
        warm()
        start = time.perf_counter()
        for association in associations:
            calibrate(association, output, save)
    else:
        with get_context("spawn").Pool(processes, warm) as pool:
            pool.map(time.sleep, [0.5] * processes, chunksize=1)  # until all are warm
            start = time.perf_counter()
            pool.starmap(calibrate, [(a, output, save) for a in associations], chunksize=1)
    print(f"seconds {time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()
