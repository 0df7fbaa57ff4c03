"""How people read a stack: its title, its settings, its exposures; and long lists."""


def count(n, noun):
    """Return a number with its noun."""
    return f"{n} {noun}{'s' * (n != 1)}"


def shorten_lines(lines, most=20):
    """Return the first lines, and one that counts the others."""
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return [*lines[:most], *more]


def name_first(names, most=5):
    """Return the first names as a text, with the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def format_title(header):
    """
    Name a stack by instrument, band or grating.

    Parameters
    ----------
    header : mapping
        The header of its minimum, with the cards on which all exposures agree.

    Returns
    -------
    title : str
        Such as "MIRI MRS, channels 3 and 4, band SHORT" or "NIRSpec IFU, G395H/F290LP, NRS1".
    """
    detector = str(header.get("DETECTOR", "unknown detector"))
    if detector.upper().startswith("MIR"):
        channels = " and ".join(str(header.get("CHANNEL", "")))
        band = f"band {header['BAND']}" if header.get("BAND") else "several bands"
        return f"MIRI MRS, {f'channels {channels}' if channels else detector}, {band}"
    if detector.upper().startswith("NRS"):
        grating = str(header.get("GRATING", "several gratings"))
        disperser = "/".join(filter(None, (grating, header.get("FILTER"))))
        return f"NIRSpec IFU, {disperser}, {detector}"
    return " ".join(filter(None, (str(header.get("INSTRUME", "")), detector)))


def format_target(program, target):
    """Name program and target, such as "program 01204, NGC 7469"; "" where neither is known."""
    return ", ".join(filter(None, (program and f"program {program}", target)))


def format_settings(header):
    """Return the settings that a stack was flagged with, from the header of its flags."""
    sigma = header.get("BPXTHRES") == "sigma"
    name, card = ("nsigma", "BPXNS") if sigma else ("flagfrac", "BPXFR")
    return (
        f"kernel {header['BPXKERN']} pixels along {' xy'[header['BPXAXIS']]}, "
        f"edges {header['BPXEDGE']}, "
        f"{name} {header[f'{card}LO']:g} low, {header[f'{card}HI']:g} high"
    )


def list_exposures(header):
    """List the exposures of a stack: name, pedestal, share of the minimum, warning, or None."""
    numbers = range(1, header["BPXNEXP"] + 1)
    return [tuple(header.get(f"BPX{letter}{i:04}") for letter in "EPFW") for i in numbers]
