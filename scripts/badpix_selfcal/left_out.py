"""Which associations a run leaves out: of other modes and levels, incomplete, superseded."""

import re

# What associations of other modes have in asn_type or asn_rule, or in a science member's name.
OTHER_MODES = {
    "tso": "time series", "NRSMSA": "NIRSpec MOS", "NRSFSS": "NIRSpec fixed slits",
    "LRS": "MIRI LRS", "WFSS": "slitless spectra", "lamp": "lamps", "image2": "imaging",
}  # fmt: skip
OTHER_DETECTOR = re.compile(r"_(mirimage|nis|nrc[ab](\d|long)|guider\d)(?=_|\.|$)", re.I)


def find_other_mode(association):
    """Say of what level or mode an association is; "" if of IFU spectra of Level 2, or unknown."""
    kind, rule = (str(association.get(key, "")) for key in ("asn_type", "asn_rule"))
    if kind.endswith("3") or re.search("Level3|Lv3", rule):
        return f"a Level-3 association ({rule or kind})"
    for part, mode in OTHER_MODES.items():
        if part in kind or part in rule:
            return f"of another mode, {mode} ({rule or kind})"
    for product in association["products"]:
        members = product.get("members") if isinstance(product, dict) else None
        science = [
            str(member.get("expname"))
            for member in (members if isinstance(members, list) else ())
            if isinstance(member, dict) and str(member.get("exptype")).lower() == "science"
        ]
        if len(science) > 1 and kind != "spec2":
            return f"{len(science)} science members, as at Level 3"
        if found := OTHER_DETECTOR.search(" ".join(science)):
            return f"of another mode, on the detector {found[1]}"
    return ""


def find_incomplete(combined, is_missing):
    """
    Find associations that miss an exposure.

    Parameters
    ----------
    combined : DataFrame
        The members that enter the minimum, of the columns in `associations.COLUMNS`.
    is_missing : callable
        Tells of a path whether its file is missing.

    Returns
    -------
    incomplete : dict of str to str
        The first missing exposure, as a line, by the association's name.
    """
    gone = combined[combined["path"].map(is_missing)].drop_duplicates("association")
    return {
        association: f"{path}: no such file; fetch it, or name its folder in exposures"
        for association, path in zip(gone["association"], gone["path"], strict=True)
    }


def find_superseded(combined):
    """
    Find associations that another one supersedes: the same product of the same science exposure.

    As in jwst's generator, where a background candidate (c1001) holds what an observation (o001)
    holds: the one with backgrounds is run, then that of more exposures, then the last by name.

    Parameters
    ----------
    combined : DataFrame
        As of `find_incomplete`.

    Returns
    -------
    superseded : dict of str to str
        By which one, as a line, by the association's name.
    """
    key = ["association", "product"]
    science = combined[combined["exptype"] == "science"]
    several = science[science.duplicated(["product", "exposure"], keep=False)]
    if several.empty:
        return {}
    own = combined[combined["association"].isin(several["association"])]
    counts = own.assign(background=own["exptype"] == "background").groupby(key)
    counts = counts.agg(background=("background", "any"), n_exposures=("exposure", "nunique"))
    ranked = several.join(counts, on=key).sort_values(["background", "n_exposures", "association"])
    best = ranked.drop_duplicates(["product", "exposure"], keep="last")
    better = best.set_index(["product", "exposure"])["association"]
    # Kept: of several products, one that no other association has.
    kept = {*best["association"], *science["association"].drop(several.index)}
    return {
        row.association: f"superseded by {better[row.product, row.exposure]}.json, of the same "
        "product (candidates: all runs both)"
        for row in ranked[~ranked["association"].isin(kept)].itertuples()
    }
