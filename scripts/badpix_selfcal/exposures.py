"""Where exposures are: in folder trees, as downloads come, or where a glob says."""

import functools
import glob
import os

from badpix_selfcal.paths import workdir_path

CATALOG = "associations/pool.csv"  # of generate; by JWST's name


def find_exposures(patterns):
    """
    List the exposures that the config names.

    Parameters
    ----------
    patterns : list of str
        Folders, which are searched for ``*_rate.fits`` and ``*_rate.fits.gz``, files and globs.

    Returns
    -------
    paths : list of str
        Sorted; a file that several links lead to is listed once.
    notes : list of str
        Patterns that match no exposure.
    """
    found, notes = {}, []
    for pattern in patterns:
        if os.path.isdir(pattern):
            paths = find_rate_files(pattern)
        elif os.path.isfile(pattern):  # brackets in it mean themselves
            paths = [pattern]
        else:
            matches = filter(os.path.isfile, glob.glob(pattern, recursive=True))
            paths = [path for path in matches if ".fits" in os.path.basename(path)]
        if not paths and not os.path.isdir(pattern) and glob.glob(pattern):
            notes.append(
                f"{pattern}: matches no FITS file; name the folder to be searched, or end the "
                "glob in /*_rate.fits"
            )
        elif not paths:
            notes.append(f"{pattern}: no exposure (*_rate.fits) found; correct the config")
        for path in sorted(paths):
            found.setdefault(os.path.realpath(path), workdir_path(path))
    return sorted(found.values()), notes


def find_rate_files(folder):
    """
    Find the rate files in a folder tree.

    Links to folders are followed; hidden files and gzipped ones beside the plain file are ignored.
    """
    found, seen = [], set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [] if real in seen else [name for name in folders if name[0] != "."]
        if real not in seen:
            found += [
                os.path.join(root, name)
                for name in files
                if name.removesuffix(".gz").endswith("_rate.fits")
                and name[0] != "."
                and (name[-3:] != ".gz" or name[:-3] not in files)
            ]
        seen.add(real)
    return found


def make_finder(patterns, errors):
    """
    Make a function that finds files that are not where an association says.

    Parameters
    ----------
    patterns : list of str
        As of `find_exposures`; searched when the first file is missing.
    errors : list of str
        A line is added for each file of which there are several.

    Returns
    -------
    find : callable
        Takes a path; returns where the file is, gzipped or not, or the path if it is nowhere.
    """

    @functools.cache
    def list_by_name():
        found = {}
        for path in find_exposures(patterns)[0]:
            found.setdefault(os.path.basename(path).removesuffix(".gz"), []).append(path)
        return found

    @functools.cache  # as most files are asked for many times
    def find(path):
        if os.path.exists(path):
            return path
        if os.path.exists(f"{path}.gz"):
            return f"{path}.gz"
        found = list_by_name().get(os.path.basename(path).removesuffix(".gz"), [path])
        if len(found) > 1:
            errors.append(f"{path}: not there, and {' and '.join(found)} have its name; keep one")
        return found[0]

    return find


def merge_links(members):
    """
    Give each exposure one path where several lead to one file, in place.

    Parameters
    ----------
    members : DataFrame
        Of the columns in `associations.COLUMNS`.
    """
    files = members.drop_duplicates(["exposure", "path"])
    for exposure, paths in files[files["exposure"].duplicated(False)].groupby("exposure")["path"]:
        if len({os.path.realpath(path) for path in paths}) == 1:
            own = members["path"].isin(paths) & (members["exposure"] == exposure)
            members.loc[own, "path"] = min(paths, key=lambda path: (os.path.isabs(path), path))
