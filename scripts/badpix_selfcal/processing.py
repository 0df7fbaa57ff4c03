"""What headers say of an exposure's mode, light, identity and processing."""

# Of an EXP_TYPE, the part after the instrument.
MODES = {
    **dict.fromkeys(("TACQ", "TACONFIRM", "WATA", "MSATA", "BOTA"), "target acquisition"),
    **dict.fromkeys(("IMAGE", "CONFIRM", "FOCUS"), "imaging"),
    **dict.fromkeys(("LRS-FIXEDSLIT", "LRS-SLITLESS"), "LRS"),
    **dict.fromkeys(("LAMP", "AUTOFLAT", "AUTOWAVE"), "lamp"),
    "MSASPEC": "MOS", "FIXEDSLIT": "fixed slits", "BRIGHTOBJ": "bright object",
}  # fmt: skip
SUPPORTED = ("MIR_MRS", "NRS_IFU")
# Two files that agree in all of these are one exposure; the first must be there.
IDENTITY = ("VISIT_ID", "EXPOSURE", "DETECTOR", "EXPSTART")
ALSO_IDENTITY = ("PROGRAM", "OBSERVTN", "VISITGRP", "SEQ_ID", "ACT_ID")
# Steps up to the rate file, or on it, that change the background or the noise.
STEPS = ("S_REFPIX", "S_MIREMI", "S_DARK", "S_CLNFNS", "S_IMPRNT", "S_BKDSUB", "S_STRAY",
         "S_FRINGE", "S_RESFRI", "S_PXREPL")  # fmt: skip
DEEP = 50  # groups of FASTR1 from which on MRS has another bad-pixel mask


def describe_mode(exp_type):
    """Return the mode of an EXP_TYPE that is not supported, for people."""
    return f"{MODES.get(exp_type.partition('_')[2], 'another mode')} ({exp_type})"


def is_unlit(header):
    """Tell whether an exposure receives no light: NRS2 with PRISM, an M grating or G140H/F070LP."""
    grating, pair = str(header.get("GRATING")), (header.get("GRATING"), header.get("FILTER"))
    return (header.get("EXP_TYPE"), header.get("DETECTOR")) == ("NRS_IFU", "NRS2") and (
        grating == "PRISM" or grating.endswith("M") or pair == ("G140H", "F070LP")
    )


def identify(header):
    """Return what identifies an exposure whatever its file name, a text; "" if unknown."""
    values = [str(header.get(keyword)) for keyword in (*IDENTITY, *ALSO_IDENTITY)]
    return "" if "None" in values[: len(IDENTITY)] else " ".join(values)


def describe_processing(header):
    """
    Say how an exposure was processed, and how deep it is.

    Parameters
    ----------
    header : mapping

    Returns
    -------
    processing : dict of str to str
        CAL_VER without its last number, CRDS_CTX, the STEPS, and the depth: the readout pattern,
        and of MRS whether FASTR1 has fewer than DEEP groups; "" if unknown.
    """
    depth, n_groups = str(header.get("READPATT") or ""), str(header.get("NGROUPS"))
    if header.get("EXP_TYPE") == "MIR_MRS" and depth == "FASTR1" and n_groups.isdigit():
        depth += f" {'below' if int(n_groups) < DEEP else 'from'} {DEEP} groups"
    return {
        "CAL_VER": ".".join(str(header.get("CAL_VER") or "").split(".")[:2]),
        "CRDS_CTX": str(header.get("CRDS_CTX") or ""),
        **{step: "done" if header.get(step) == "COMPLETE" else "not done" for step in STEPS},
        "depth": depth,
    }
