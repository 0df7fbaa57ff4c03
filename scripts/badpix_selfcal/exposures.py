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
    """Find the rate files in a folder tree; links to folders are followed, hidden files ignored."""
    found, seen = [], set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [] if real in seen else [name for name in folders if name[0] != "."]
        if real not in seen:
            found += [
                os.path.join(root, name)
                for name in files
                if name.removesuffix(".gz").endswith("_rate.fits") and name[0] != "."
            ]
        seen.add(real)
    return found


class ExposureFinder:
    """
    Find files that are not where an association says, among the exposures of the config.

    Parameters
    ----------
    patterns : list of str
        As of `find_exposures`; the folders are searched when the first file is missing.
    """

    def __init__(self, patterns):
        self.patterns = patterns
        self.known = {}  # by the path asked for, as most files are asked for many times
        self.errors = []

    @functools.cached_property
    def paths(self):
        """The paths of all exposures, by file name without ``.gz``."""
        paths = {}
        for path in find_exposures(self.patterns)[0]:
            paths.setdefault(os.path.basename(path).removesuffix(".gz"), []).append(path)
        return paths

    def __call__(self, path):
        """Return where a file is, gzipped or not; the path as it is if it is there, or nowhere."""
        if path not in self.known:
            found = [p for p in (path, f"{path}.gz") if os.path.exists(p)][:1]
            if not found and self.patterns:
                found = self.paths.get(os.path.basename(path).removesuffix(".gz"), [])
            if len(found) > 1:
                self.errors.append(
                    f"{path}: not there, and {' and '.join(found)} have its name; keep one"
                )
            self.known[path] = found[0] if found else path
        return self.known[path]


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
