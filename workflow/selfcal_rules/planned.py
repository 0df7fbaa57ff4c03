"""What the Snakefile hands to programs and to jobs: tables as the run was planned."""

import contextlib
import hashlib
import json
import os
import sqlite3
from urllib.parse import quote

from snakemake.exceptions import WorkflowError

FOLDER = ".snakemake/badpix_selfcal"
# The tables that were handed over, by name and identity, so that none is written twice.
HANDED = {}


def hand_over(name, table, write=True):
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
    write : bool
        Whether this is the process that plans; a job that parses again finds the file.
    """
    if HANDED.get((name, id(table)), [None])[0] is table:
        return HANDED[name, id(table)][1]
    text = json.dumps(table)
    path = f"{FOLDER}/{name}-{digest(text)}.json"
    if write and not holds(path, text):
        with whole(path) as part, open(part, "w", encoding="utf-8") as file:
            file.write(text)
    HANDED[name, id(table)] = table, path
    return path


def holds(path, text):
    """Tell whether a file holds a text: after a power cut it may be there, and empty."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read() == text
    except (OSError, ValueError):
        return False


def digest(text):
    """Return the hash that names a file after its content."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextlib.contextmanager
def whole(path):
    """
    Yield a name to write to; the file appears when all of it is written.

    Raises
    ------
    WorkflowError
        If it cannot be written.
    """
    part = f"{path}.{os.getpid()}.part"
    try:
        os.makedirs(FOLDER, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)  # of a process of that number that was killed
        yield part
        os.replace(part, path)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkflowError(
            f"{path}: cannot be written ({reason}); make room or allow it, then run again"
        ) from error


# ---- what a job on a cluster needs of the members ------------------------------------------------
# Every job parses the Snakefile again. It looks up the rows of its own stacks in a database that
# the run has written when it was planned: ten thousand associations take no longer than one.


def rows_path(config):
    """Return where the rows are kept: of another config, elsewhere."""
    return f"{FOLDER}/rows-{digest(json.dumps(config, sort_keys=True, default=str))}.sqlite"


def keep_rows(config, rows):
    """
    Write the rows of the members table for jobs: of each stack, every exposure and role once.

    Parameters
    ----------
    config : dict
        As the run has it, defaults filled in.
    rows : list of tuple
        Of the columns in ``tables.COLUMNS``.
    """
    distinct = {}
    for row in rows:
        distinct.setdefault((row[5], *row[2:5]), row)
    with (
        whole(rows_path(config)) as part,
        contextlib.closing(sqlite3.connect(part)) as database,
    ):
        database.execute("PRAGMA synchronous = OFF")  # made again by the next run
        database.execute("CREATE TABLE rows (stack, exposure, row)")
        database.executemany(
            "INSERT INTO rows VALUES (?, ?, ?)",
            ((row[5], row[2], json.dumps(row)) for row in distinct.values()),
        )
        database.execute("CREATE INDEX stacks ON rows (stack)")
        database.execute("CREATE INDEX exposures ON rows (exposure)")
        database.commit()


def rows_of_job(config, wildcards):
    """
    Return the rows that a job needs, those of its stacks, or of its exposure where it has no stack.

    Parameters
    ----------
    config : dict
        As for `keep_rows`.
    wildcards : list of dict or None
        Of each rule that the job is to run; None where they are not known.

    Returns
    -------
    rows : list of tuple, or None
        None where the job may need all, or where they were not kept: it reads associations then.
    """
    wanted = set()
    for values in wildcards or [{}]:
        key = next((key for key in ("stack", "exposure") if key in values), None)
        if key is None:
            return None
        wanted.add((key, values[key]))
    path = os.path.abspath(rows_path(config))
    if not os.path.exists(path):
        return None
    rows = []
    try:
        # Immutable: nobody writes to it, and a shared file system need not lock it.
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(path)}?immutable=1", uri=True)
        ) as database:
            for key, value in sorted(wanted):
                found = database.execute(
                    f"SELECT row FROM rows WHERE {key} = ?", (value,)
                ).fetchall()
                if not found:
                    return None
                rows += [tuple(json.loads(text)) for (text,) in found]
    except sqlite3.Error:
        return None
    return rows
