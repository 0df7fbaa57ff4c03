"""The table of the stages of a stack."""

from collections import namedtuple

from badpix_selfcal.parameters import used_parameters

# name: of rule, program and path; bytes_per_pixel: of its file, for `plan` (of each exposure:
# pedestal); runs: whether it runs, given the parameters that are used.
Stage = namedtuple("Stage", "name bytes_per_pixel runs", defaults=(lambda used: True,))

STAGES = (
    Stage("pedestal", 4),
    Stage("minimum", 6),  # float32, and SOURCE in int16
    Stage("excluded", 1, lambda used: used["edge_mode"] == "shrink"),
    Stage("median", 4),
    Stage("noise", 4, lambda used: used["threshold"] == "sigma"),
    Stage("repeats", 1, lambda used: used.get("repeat_fraction", 0) > 0),
    Stage("threshold", 1),
)


def list_stages(config, kept=True):
    """
    List the stages that run with a config.

    Parameters
    ----------
    config : dict
    kept : bool
        Only those whose file is kept: all but pedestal.

    Returns
    -------
    stages : list of Stage
        In the order of the data.
    """
    used = used_parameters(config)
    return [stage for stage in STAGES[kept:] if stage.runs(used)]
