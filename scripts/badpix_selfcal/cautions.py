"""What to warn of in the flags of a stack, by the cards in its header."""

MANY = 0.02  # of the pixels: good ones among them, if a detector is sound


def cautions(header):
    """
    List what is doubtful about flags beyond the noise, whose number is not fixed beforehand.

    Parameters
    ----------
    header : mapping
        Cards of a ``flags.fits`` or of a flagged exposure.

    Returns
    -------
    cautions : list of str
    """
    if header.get("BPXTHRES") != "sigma":
        return []
    found = []
    share = (header["BPXNLO"] + header["BPXNHI"]) / max(1, header["BPXNPIX"])
    if share > MANY:
        found.append(f"{share:.1%} of the pixels are flagged; look at them, or raise nsigma")
    if header.get("BPXNEXP") == 1:
        found.append("one exposure alone, spectral lines may be flagged; add other exposures")
    return found
