"""What a stack is called where people read it: instrument, band or grating, settings."""


def title(header):
    """
    Say what a stack is of.

    Parameters
    ----------
    header : mapping
        The header of its minimum, which holds the cards on which all exposures agree.

    Returns
    -------
    title : str
        Such as "MIRI MRS, channels 3 and 4, band SHORT" or "NIRSpec IFU, G395H/F290LP, NRS1".
    """
    detector = str(header.get("DETECTOR", "unknown detector"))
    if detector.upper().startswith("MIR"):
        channels = " and ".join(str(header.get("CHANNEL", "")))
        band = header.get("BAND")
        parts = [f"channels {channels}" if channels else detector]
        return ", ".join(["MIRI MRS", *parts, f"band {band}" if band else "several bands"])
    if detector.upper().startswith("NRS"):
        grating = header.get("GRATING", "several gratings")
        disperser = "/".join(filter(None, (str(grating), header.get("FILTER"))))
        return f"NIRSpec IFU, {disperser}, {detector}"
    return " ".join(filter(None, (str(header.get("INSTRUME", "")), detector)))


def settings(header):
    """Say how a stack was flagged, from the header of its flags."""
    axis = {1: "along x", 2: "along y"}.get(header.get("BPXAXIS"), "in both directions")
    sigma = header.get("BPXTHRES") == "sigma"
    name, card = ("nsigma", "BPXNS") if sigma else ("flagfrac", "BPXFR")
    return (
        f"kernel {header['BPXKERN']} pixels {axis}, edges {header['BPXEDGE']}, "
        f"{name} {header[f'{card}LO']:g} low, {header[f'{card}HI']:g} high"
    )
