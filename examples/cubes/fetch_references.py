"""Fetch the reference files of calwebb_spec2 and calwebb_spec3 into the CRDS cache; list them."""

import os
import sys

from jwst.datamodels import ModelContainer
from jwst.pipeline import Spec2Pipeline, Spec3Pipeline
from stpipe import crds_client

types = {*Spec2Pipeline().reference_file_types, *Spec3Pipeline().reference_file_types}
names = {os.environ["CRDS_CONTEXT"]}
for association in sys.argv[1:]:
    for model in ModelContainer(association, asn_exptypes=["science"]):
        parameters = model.get_crds_parameters()
        paths = crds_client.get_multiple_reference_paths(parameters, types, "jwst")
        names |= {os.path.basename(path) for path in paths.values() if path != "N/A"}
print(*sorted(names), sep="\n")
