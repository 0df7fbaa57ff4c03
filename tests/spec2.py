"""
Run calwebb_spec2 of jwst on associations, one after the other in one process.

The argument is JSON: a list of calls, each of the association, the folder for its products and the
parameters of the steps by their names.
"""

import json
import os
import sys
import warnings

# What takes long, comes after the steps that are compared, and does not look at the flags alone.
SKIPPED = ("straylight", "cube_build", "extract_1d")


def main(calls):
    """Write the background-subtracted (bsub) and the calibrated exposure (cal) of each call."""
    warnings.simplefilter("ignore")
    from jwst.pipeline import Spec2Pipeline

    for association, folder, steps in calls:
        os.makedirs(folder, exist_ok=True)
        steps = {**{step: {"skip": True} for step in SKIPPED}, **steps}
        steps["bkg_subtract"] = {"save_results": True, **steps.get("bkg_subtract", {})}
        Spec2Pipeline.call(association, output_dir=folder, save_results=True, steps=steps)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
