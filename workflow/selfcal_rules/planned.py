"""What the Snakefile hands to programs: tables as they were when the run was planned."""

import hashlib
import json
import os

FOLDER = ".snakemake/badpix_selfcal"


def hand_over(name, table):
    """
    Write a table for a program, and return the path, which changes with the content alone.

    The command line would be too long for ten thousand paths; and what arrives in a folder while a
    run is going is no part of it.

    Parameters
    ----------
    name : str
        What it is, for those who look.
    table : list
        Of what JSON can say.
    """
    text = json.dumps(table)
    path = f"{FOLDER}/{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    if not os.path.exists(path):
        os.makedirs(FOLDER, exist_ok=True)
        part = f"{path}.{os.getpid()}.part"
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    return path
