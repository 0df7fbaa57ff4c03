"""The table of the stages of a stack."""

from collections import namedtuple

from badpix_selfcal.parameters import used_parameters

# name: of rule, program and path; bytes_per_pixel: of its file, for `plan` (of each exposure:
# pedestal); needs: the parameters with which it runs, None for always.
Stage = namedtuple("Stage", "name bytes_per_pixel needs", defaults=(None,))

STAGES = (
    Stage("pedestal", 4),
    Stage("minimum", 6),  # float32, and SOURCE in int16
    Stage("excluded", 1, {"edge_mode": "shrink"}),
    Stage("median", 4),
    Stage("noise", 4, {"threshold": "sigma"}),
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
    return [
        stage for stage in STAGES[kept:] if not stage.needs or stage.needs.items() <= used.items()
    ]
