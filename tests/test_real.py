"""Real detector pixels: NIRSpec cutouts with the headers of the archive, through a whole run."""

import pytest
from astropy.io import fits
from conftest import SHARED, Workflow, write_association
from test_parity import check_same, run_reference

EXPOSURES = sorted(SHARED.glob("real/slit_*_rate.fits"))

pytestmark = [
    pytest.mark.skipif(len(EXPOSURES) < 3, reason=f"no exposures in {SHARED}/real"),
    pytest.mark.filterwarnings("ignore"),  # jwst's own
]


def read_cards(hdu):
    """Return the cards of a header but blank ones and the file's name, in order."""
    return [str(card) for card in hdu.header.cards if card.keyword not in ("", "FILENAME")]


def test_real_exposures(tmp_path):
    """The arrays of jwst's step, to the bit; every card kept; verified; on the page."""
    workflow, names = Workflow(tmp_path), [path.name for path in EXPOSURES]
    pairs = list(zip(names, ("science", "background", "selfcal"), strict=True))
    write_association(workflow.path("asn/p_asn.json"), ("p", pairs))
    given = [str(workflow.path("asn", name)) for name in names]
    for path, copy in zip(EXPOSURES, given, strict=True):
        with fits.open(path) as hdus:  # of MOS and calibrated, which is refused
            hdus[0].header.update(EXP_TYPE="NRS_IFU", DATAMODL="IFUImageModel")
            hdus["SCI"].header["BUNIT"] = hdus["ERR"].header["BUNIT"] = "DN/s"
            hdus.writeto(copy)
    said = workflow.run("--", "all", "report", "verify", config=["save_flagged_bkg=true"]).stdout
    assert "10 results are what today's inputs and parameters make, to the bit." in said
    page = workflow.path("results/report.html").read_text()
    assert page.count("data:image/png") == 1
    assert "no light reaches NRS2 with PRISM" in page
    models = run_reference(given[0], given[1:2], given[2:])
    for path, model in zip(given[:2], models, strict=True):
        name = path.rpartition("/")[2].replace("_rate", "_badpix_selfcal")
        (flagged,) = workflow.path("results/flagged").glob(f"*/{name}")
        check_same(model, flagged)
        with fits.open(path) as before, fits.open(flagged) as after:
            assert len(before[0].header) == 310
            kept = set(read_cards(before[0]))
            assert [card for card in read_cards(after[0]) if card in kept] == read_cards(before[0])
            assert [*map(read_cards, before[1:])] == [*map(read_cards, after[1:])]
