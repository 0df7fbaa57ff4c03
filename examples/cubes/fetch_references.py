"""Fetch the reference files of calwebb_spec2 and calwebb_spec3 into the CRDS cache; list them."""

import json
import os
import sys

from jwst.pipeline import Spec2Pipeline, Spec3Pipeline
from stdatamodels.jwst import datamodels
from stpipe import crds_client

types = {*Spec2Pipeline().reference_file_types, *Spec3Pipeline().reference_file_types}
found = set()
for association in sys.argv[1:]:
    with open(association, encoding="utf-8") as file:
        products = json.load(file)["products"]
    for member in (member for product in products for member in product["members"]):
        if member["exptype"] == "science":
            path = os.path.join(os.path.dirname(association), member["expname"])
            with datamodels.open(path) as model:
                parameters = model.get_crds_parameters()
            paths = crds_client.get_multiple_reference_paths(parameters, types, "jwst")
            found |= {os.path.basename(p) for p in paths.values() if p and p != "N/A"}
print(os.environ["CRDS_CONTEXT"], *sorted(found), sep="\n")
