"""To make a result again, by the program that made it, and to compare the two to the bit."""

import contextlib
import hashlib
import os
import tempfile

from badpix_selfcal.files import not_kept
from badpix_selfcal.headers import read_hdus
from badpix_selfcal.paths import path_of
from badpix_selfcal.program import Fault, load
from badpix_selfcal.tables import digest_row

COLUMNS = ("file", "fault", "sha256")  # a result has one of the two
DATED = (b"CHECKSUM", b"DATASUM ")  # whose comments tell when they were written
BLOCK = 1 << 20  # bytes compared at a time: filecmp takes 8 kB, and twice the time


@contextlib.contextmanager
def beside(path):
    """Yield a temporary folder of results: links and paths within are as in any other."""
    folder = os.path.dirname(os.path.dirname(path))
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=folder) as made, not_kept():
        yield made


@contextlib.contextmanager
def quietly(name):
    """
    Yield a program of the workflow as a module; what it warns of was said in the run.

    Raises
    ------
    Fault
        Its own, or for whatever else it stumbles over: damaged tables, say.
    """
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            yield load(name)
        except Fault:
            raise
        except Exception as error:
            raise Fault(f"{name} fails: {type(error).__name__}: {error}") from error


def run(name, *words):
    """Run a program of the workflow in this process; raises as `quietly`."""
    with quietly(name) as module:
        module.main(module.options().parse_args([str(word) for word in words]))


def prefix_option(options):
    """Add the option --prefix to an argument parser."""
    options.add_argument("--prefix", default="", help="what the paths of results begin with")


def below(prefix):
    """Return `path_of` for the results of a module, which lie below its prefix."""
    return lambda name, **wildcards: prefix + path_of(name, **wildcards)


def row(path, fault, digest=""):
    """Return the row of a result in the tables: its fault or, without one, its digest."""
    return path, fault, "" if fault else digest or digest_row(path)[-1]


def digest_if_same(path, parts):
    """Return the SHA-256 of a file if it consists of these parts, else an empty text."""
    digest = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError), open(path, "rb", 0) as file:
        for part in parts:
            if file.read(len(part)) != part:
                return ""
            digest.update(part)
        return "" if file.read(1) else digest.hexdigest()
    return ""


def same(path, again):
    """Tell whether two files are the same to the byte."""
    with open(path, "rb", 0) as one, open(again, "rb", 0) as two:
        while block := one.read(BLOCK):
            if block != two.read(BLOCK):
                return False
        return not two.read(1)


def difference(path, again):
    """
    Say in what a file differs from the same made again.

    Returns
    -------
    fault : str
        Empty if they are the same to the byte.
    """
    if not os.path.isfile(path):
        return "is not there"
    if same(path, again):
        return ""
    if not path.endswith(".fits"):
        return "is not what is made of today's inputs"
    try:
        hdus, wanted = read_hdus(path), read_hdus(again)
    except Fault as fault:
        return f"is damaged: {fault}"
    if [hdu.name for hdu in hdus] != [hdu.name for hdu in wanted]:
        return "has other HDUs than if made of today's inputs"
    found, dated = [], False
    with open(path, "rb") as one, open(again, "rb") as two:
        for i, (hdu, other) in enumerate(zip(hdus, wanted, strict=True)):
            name = hdu.name or f"HDU {i}"
            cards, others = ([c for c in h.cards if not c.startswith(DATED)] for h in (hdu, other))
            dated |= len(cards) < len(hdu.cards)
            if cards != others or len(hdu.cards) != len(other.cards):
                words = sorted({raw[:8].decode().strip() for raw in {*cards} ^ {*others}})
                more = ", ..." if len(words) > 5 else ""
                found.append(f"{name}: cards {', '.join(words[:5])}{more}")
            one.seek(hdu.start)
            two.seek(other.start)
            if one.read(hdu.end - hdu.start) != two.read(other.end - other.start):
                found.append(f"{name}: data")
    if os.path.getsize(path) != os.path.getsize(again):
        found.append("its length")
    if not found and dated:
        found = wrong_checksums(path, hdus)
        if not found:
            return ""
    what = "; ".join(found) or "bytes outside of headers and data"
    return f"is not what is made of today's exposures ({what})"


def wrong_checksums(path, hdus):
    """List the HDUs whose CHECKSUM, which holds for all of their bytes, is wrong."""
    import fitsio

    found = []
    with fitsio.FITS(path) as file:
        for i, hdu in enumerate(hdus):
            if "CHECKSUM" in hdu.values:
                try:
                    file[i].verify_checksum()
                except ValueError:
                    found.append(f"{hdu.name or f'HDU {i}'}: checksum")
    return found
