"""
A small CRDS cache for MRS sub-band 12A, so that jwst's pipelines run without a network.

The geometry is real: ``template_12A.fits.gz`` of the public repository STScI-MIRI/miri3d
(``data/lvl2btemplate``) and the three ``jwst_miri_mrs*_flt9.asdf`` of STScI-MIRI/miricoord
(``miricoord/data/crds/flt9``), in one folder. The other reference files are made here: flat,
fringe and photom are 1 everywhere, the stray light is next to none.
"""

import gzip
import io
import os
import pprint
import shutil
import warnings

import numpy as np

SHAPE = (1024, 1032)
CONTEXT = "jwst_0001.pmap"
CUBES = [("1", "SHORT", 0.13, 0.0008, 4.90, 5.74), ("2", "SHORT", 0.17, 0.0013, 7.51, 8.77)]
NOT_USED = (
    *("area", "mrsptcorr", "fringefreq", "bkg", "barshadow", "camera", "chromcorr", "collimator"),
    *("dflat", "disperser", "fflat", "filteroffset", "fore", "fpa", "ifufore", "ifupost"),
    *("ifuslicer", "msa", "msaoper", "ote", "pastasoss", "pathloss", "psf", "sflat", "speckernel"),
    *("specprofile", "wavecorr"),
)


def environment(folder, context=CONTEXT):
    """Return the environment variables with which jwst uses a cache, and no server."""
    return {
        "CRDS_PATH": str(folder),
        "CRDS_CONTEXT": context,
        "CRDS_OBSERVATORY": "jwst",
        "CRDS_SERVER_URL": "https://crds-serverless-mode.stsci.edu",  # the word of crds for none
        "STPIPE_DISABLE_CRDS_STEPPARS": "true",
    }


def read_slices(geometry):
    """Read the slice of each pixel, [ny, nx], 0 between slices, from the template."""
    import asdf
    from astropy.io import fits

    with gzip.open(geometry / "template_12A.fits.gz") as file, fits.open(file) as hdus:
        content = hdus["ASDF"].data["ASDF_METADATA"][0].tobytes()
    with asdf.config_context() as config:
        config.warn_on_failed_conversion = True  # the tags are old
        tree = asdf.open(io.BytesIO(content))
        return np.array(tree["meta"]["wcs"]["steps"][0].transform.label_mapper.mapper)


def make_models(geometry):
    """Yield the reference files that are made here: type, suffix, model, options of save."""
    from stdatamodels.jwst import datamodels as dm

    planes = {"data": np.ones(SHAPE, "f4"), "err": np.zeros(SHAPE, "f4")}
    planes["dq"] = np.zeros(SHAPE, "u4")
    yield "flat", "fits", dm.FlatModel(**planes), {}
    yield "fringe", "fits", dm.FringeModel(**planes), {}
    photom = dm.MirMrsPhotomModel(**planes, pixsiz=np.full(SHAPE, 1e-12, "f4"))
    photom.meta.photometry.conversion_megajanskys = 1.0
    photom.meta.photometry.pixelarea_steradians = 8.9e-13
    photom.meta.photometry.pixelarea_arcsecsq = 0.0378
    yield "photom", "fits", photom, {}

    regions = dm.RegionsModel()
    regions.regions = np.repeat(read_slices(geometry)[None].astype(np.int16), 9, axis=0)
    yield "regions", "asdf", regions, {"all_array_compression": "zlib"}

    cube = dm.MiriIFUCubeParsModel()
    cube.ifucubepars_table = np.array(CUBES, cube.get_dtype("ifucubepars_table"))
    table = "ifucubepars_multichannel_driz_wavetable"
    cube[table] = np.zeros(2, cube.get_dtype(table))
    cube[table]["wavelength"] = (4.9, 8.8)
    yield "cubepar", "fits", cube, {}

    stray = dm.MirMrsXArtCorrModel()
    for name in [f"ch{channel}{band}_table" for channel in "1234" for band in "abc"]:
        table = np.zeros(SHAPE[0], stray.get_dtype(name))
        table["yrow"] = np.arange(SHAPE[0])
        table["lor_fwhm"], table["gau_fwhm"], table["gau_xoff"] = 100, 20, 40
        table["lor_scale"] = table["gau_scale1"] = table["gau_scale2"] = 1e-5
        stray[name] = table
    yield "mrsxartcorr", "fits", stray, {}

    wavelength = np.linspace(4.8, 8.9, 42, dtype="f4")
    fwhm = (0.039 * wavelength + 0.1).astype("f4")
    radii = {"radius": 2 * fwhm, "inner_bkg": 3 * fwhm, "outer_bkg": 4 * fwhm}
    units = {f"{name}_units": "arcsec" for name in radii}
    shared = {"wavelength": wavelength, "wavelength_units": "um"}
    spectrum = dm.Extract1dIFUModel()
    spectrum.meta.region_type = "target"
    spectrum.meta.subtract_background = False
    spectrum.meta.method = "subpixel"
    spectrum.meta.subpixels = 10
    spectrum.data = {
        **shared, **radii, **units, "axis_ratio": np.ones_like(fwhm),
        "axis_pa": np.zeros_like(fwhm), "axis_pa_units": "degrees",
    }  # fmt: skip
    yield "extract1d", "asdf", spectrum, {"all_array_storage": "inline"}

    radius = np.stack([k * fwhm for k in (0.5, 1, 2, 3)])
    aperture = dm.MirMrsApcorrModel()
    aperture.apcorr_table = {
        **shared, "channel": "1", "band": "ALL", "radius": radius, "radius_units": "arcsec",
        "apcorr": np.ones_like(radius), "apcorr_err": np.zeros_like(radius),
    }  # fmt: skip
    yield "apcorr", "asdf", aperture, {"all_array_storage": "inline"}


def write_cache(geometry, folder, contexts=(CONTEXT,)):
    """
    Write a cache: reference files, the rules that choose them, and what stands for a server.

    Parameters
    ----------
    geometry : Path
        The folder of the template and the flight reference files.
    folder : Path
        To write.
    contexts : sequence of str
        Names of contexts, which all choose the same reference files.
    """
    from crds.refactoring import checksum

    places = [folder / part for part in ("references/jwst/miri", "mappings/jwst", "config/jwst")]
    references, mappings, config = places
    for place in places:
        place.mkdir(parents=True)
    names = {}
    for kind in ("12A_distortion", "12A_specwcs", "_wavelengthrange"):
        kind_alone = kind.rpartition("_")[2]
        names[kind_alone] = f"jwst_miri_{kind_alone}_0001.asdf"
        shutil.copyfile(geometry / f"jwst_miri_mrs{kind}_flt9.asdf", references / names[kind_alone])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, suffix, model, options in make_models(geometry):
            names[kind] = f"jwst_miri_{kind}_0001.{suffix}"
            for key, value in {
                "description": "stand-in", "author": "test", "pedigree": "DUMMY",
                "useafter": "2015-01-01T00:00:00", "reftype": kind, "telescope": "JWST",
                "instrument.name": "MIRI", "instrument.detector": "MIRIFUSHORT",
                "instrument.channel": "12", "instrument.band": "SHORT",
            }.items():  # fmt: skip
                model[f"meta.{key}"] = value
            model.save(str(references / names[kind]), **options)

    def write_rules(name, header, selector):
        header = {"derived_from": "by hand", "name": name, "observatory": "JWST", **header}
        header["sha1sum"] = "0"
        (mappings / name).write_text(f"header = {pprint.pformat(header)}\nselector = {selector}\n")
        checksum.update_mapping_checksum(str(mappings / name))

    for kind, file in names.items():
        header = {
            "classes": ("Match", "UseAfter"), "filekind": kind.upper(), "filetype": kind.upper(),
            "instrument": "MIRI", "mapping": "REFERENCE",
            "parkey": (("META.EXPOSURE.TYPE",),
                       ("META.OBSERVATION.DATE", "META.OBSERVATION.TIME")),
        }  # fmt: skip
        selector = f"Match({{'MIR_MRS': UseAfter({{'2015-01-01 00:00:00': {file!r}}})}})"
        write_rules(f"jwst_miri_{kind}_0001.rmap", header, selector)
    kinds = {kind.upper(): f"jwst_miri_{kind}_0001.rmap" for kind in names}
    kinds |= {kind.upper(): "N/A" for kind in NOT_USED}
    header = {"instrument": "MIRI", "mapping": "INSTRUMENT", "parkey": ("REFTYPE",)}
    write_rules("jwst_miri_0001.imap", header, pprint.pformat(kinds))
    for context in contexts:
        header = {"mapping": "PIPELINE", "parkey": ("META.INSTRUMENT.NAME",)}
        write_rules(context, header, "{'MIRI': 'jwst_miri_0001.imap'}")
    keys = ("operational_context", "latest_context", "edit_context")
    (config / "server_config").write_text(
        pprint.pformat(
            {
                "observatory": "jwst", **dict.fromkeys(keys, contexts[0]), "bad_files": "",
                "bad_files_list": [], "force_remote_mode": False, "connected": False,
                "last_synced": "2026-11-28 00:00:00", "status": "cache", "mappings": [],
                "crds_version": {"str": "14.0.3"}, "effective_mode_": "local",
            }
        )
    )  # fmt: skip


def write_exposure(path, planes, number=1, offset=(0.0, 0.0), background=False):
    """
    Write a rate exposure of 12A with all that spec2 and spec3 read of its header.

    Parameters
    ----------
    path : Path
    planes : dict of ndarray, [ny, nx]
        As of an ``IFUImageModel``.
    number : int
        Of the dither.
    offset : (float, float)
        Of the pointing, in arcsec.
    background : bool
        Whether it is a dedicated background.
    """
    from stdatamodels.jwst.datamodels import IFUImageModel

    with IFUImageModel(**planes) as model:
        for key, value in make_meta(os.path.basename(path), number, offset, background).items():
            model[f"meta.{key}"] = value
        model.save(str(path))


def make_meta(name, number=1, offset=(0.0, 0.0), background=False):
    """Return the metadata of an exposure by their names below ``meta``."""
    return {
        "instrument.name": "MIRI",
        "instrument.detector": "MIRIFUSHORT",
        "instrument.channel": "12",
        "instrument.band": "SHORT",
        "exposure.type": "MIR_MRS",
        "exposure.exposure_time": 300.0,
        "exposure.effective_exposure_time": 300.0,
        "exposure.measurement_time": 300.0,
        "exposure.readpatt": "FASTR1",
        "exposure.ngroups": 50,
        "exposure.start_time": 61314.5,
        "exposure.start_time_mjd": 61314.5,
        "exposure.mid_time": 61314.502,
        "exposure.end_time": 61314.504,
        "observation.date": "2026-10-01",
        "observation.time": "12:00:00",
        "observation.program_number": "09003",
        "observation.observation_number": "002" if background else "001",
        "observation.visit_number": "001",
        "observation.bkgdtarg": background,
        "visit.type": "PRIME_TARGETED_FIXED",
        "visit.tsovisit": False,
        "target.catalog_name": "BACKGROUND" if background else "SOURCE",
        "target.proposer_name": "BACKGROUND" if background else "SOURCE",
        "target.source_type_apt": "POINT",
        "target.ra": 10.0,
        "target.dec": 0.0,
        "dither.primary_type": "4-POINT",
        "dither.position_number": number,
        "dither.total_points": 4,
        "dither.x_offset": offset[0],
        "dither.y_offset": offset[1],
        "aperture.name": "MIRIFU_CHANNEL1A",
        "subarray.name": "FULL",
        "subarray.xstart": 1,
        "subarray.ystart": 1,
        "subarray.xsize": SHAPE[1],
        "subarray.ysize": SHAPE[0],
        "telescope": "JWST",
        "filename": name,
        "bunit_data": "DN/s",
        "bunit_err": "DN/s",
        "velocity_aberration.scale_factor": 1.0,
        "wcsinfo.v2_ref": -503.6544721447135,
        "wcsinfo.v3_ref": -318.742450697324,
        "wcsinfo.ra_ref": 10.0 + offset[0] / 3600,
        "wcsinfo.dec_ref": offset[1] / 3600,
        "wcsinfo.roll_ref": 0.0,
        "wcsinfo.vparity": -1,
        "wcsinfo.v3yangle": 0.0,
        "wcsinfo.velosys": 0.0,
        **{f"cal_step.{step}": "COMPLETE" for step in ("dq_init", "jump", "ramp_fit")},
    }
