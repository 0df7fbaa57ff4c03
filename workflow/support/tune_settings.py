"""The table of settings that tune compares."""

import pandas as pd
from snakemake.exceptions import WorkflowError

from badpix_selfcal import parameters
from validate_inputs import find_config_errors


def read_settings(path, schema):
    """
    Read the table of settings that tune compares.

    Parameters
    ----------
    path : str
    schema : dict
        The properties of the config's schema.

    Returns
    -------
    settings : DataFrame
        With the columns of `parameters.SETTING`, of which the table may lack
        `parameters.OPTIONAL`.

    Raises
    ------
    WorkflowError
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise WorkflowError(f"{path}: not a readable table ({error}); correct it") from error
    wanted = list(parameters.SETTING)
    if not {*wanted} - {*parameters.OPTIONAL} <= {*table.columns} <= {*wanted} or not len(table):
        raise WorkflowError(f"{path}: not a table of {', '.join(wanted)}; correct its columns")
    defaults = {name: schema[name]["default"] for name in wanted}
    rows, errors = [], []
    for i, row in enumerate(table.to_dict("records"), start=1):
        # An empty cell has the default, as have the parameters of the other threshold.
        row = defaults | {name: value for name, value in row.items() if value == value}
        for name, value in row.items():
            if schema[name].get("type") == "integer" and float(value).is_integer():
                row[name] = int(value)
        errors += [f"{path}: row {i}: {error}" for error in find_config_errors(row, schema)]
        rows.append(defaults | parameters.used_parameters(row))
    if errors:
        raise WorkflowError(*errors)
    return pd.DataFrame(rows).drop_duplicates()
