"""Stage 4: flag the pixels whose residual exceeds a fraction's threshold, or their noise."""

from badpix_selfcal.cli import add_parameters, log, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_image, write_image
from badpix_selfcal.flag_diagnostics import find_warnings
from badpix_selfcal.threshold import flag_stack


def options():
    """Return the argument parser."""
    options = parser(__doc__, minimum="minimum.fits", median="median.fits", output="flags.fits")
    options.add_argument("--noise", nargs="?", help="noise.fits, for threshold sigma")
    options.add_argument("--repeats", nargs="?", help="repeats.fits, for repeat_fraction")
    add_parameters(options, "repeats")
    add_parameters(options, "threshold")
    return options


def main(arguments):
    """Write ``flags.fits``, with thresholds, counts and diagnostics in its header."""
    if (arguments.threshold == "sigma") != bool(arguments.noise):
        raise InputError("--noise: threshold sigma needs it, fraction has none; give both or none")
    minimum, _ = read_image(arguments.minimum)
    median, header = read_image(arguments.median)
    noise = read_image(arguments.noise)[0] if arguments.noise else None
    repeats = read_image(arguments.repeats)[0] > 0 if arguments.repeats else None
    flags, header = flag_stack(minimum, median, header, vars(arguments), noise, repeats)
    log(f"flagged {header['BPXNLO']} low, {header['BPXNHI']} high")
    for warning in find_warnings(header):
        log(f"warning: {warning}")
    write_image(arguments.output, flags, header)
