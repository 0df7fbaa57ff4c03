# Figures and pages, on request: snakemake figures, snakemake report

from badpix_selfcal.figure_table import FIGURES


localrules:
    report,


figure_folder = RESULTS["figures"]
templates = code_hash.hash_folder(f"{SCRIPTS}/figures/templates")


rule figures:
    """Draw every stack."""
    input:
        collect(f"{figure_folder}/flags.png", stack=stacks),
        RESULTS["shared"],


rule draw_stack:
    """Draw the flags of a stack and why they were set; a region file for DS9."""
    input:
        images=images_to_show,
        exposure=lambda wildcards: user_files([shown_exposure(wildcards)]),
        noise=rules.noise.output if by_noise else [],
    output:
        [
            report(
                f"{figure_folder}/{figure.name}.png",
                caption=f"../report/{figure.name}.rst",
                category="Stacks",
                subcategory="{stack}",
                labels={"figure": figure.label},
            )
            for figure in FIGURES
        ],
        [f"{figure_folder}/{figure.name}.svg" for figure in FIGURES if figure.vector],
        f"{figure_folder}/flags.reg",
        numbers=f"{figure_folder}/numbers.csv",
    log:
        "logs/draw_stack/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("figures/draw_stack"),
        exposure=shown_exposure,
        folder=subpath(output.numbers, parent=True),
    shell:
        "selfcal draw_stack --noise {input.noise} -- {input.images}"
        " {params.exposure:q} {params.folder} 2> {log}"


rule draw_shared:
    """Compare the flags of the stacks of each detector."""
    input:
        collect(rules.threshold.output, stack=stacks),
    output:
        table="results/figures/shared.csv",
        picture=RESULTS["shared"],
    log:
        "logs/draw_shared.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("figures/draw_shared"),
    shell:
        "selfcal draw_shared {input} --table {output.table} --picture {output.picture} 2> {log}"


rule blink_page:
    """Write the page where the images of a stack are blinked, and a thumbnail."""
    input:
        lambda wildcards: user_files([shown_exposure(wildcards)]),
        images=images_to_show,
        folder=rules.write_back.output,
    output:
        page=RESULTS["blink_page"],
        thumbnail=RESULTS["thumbnail"],
    log:
        "logs/blink_page/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("figures/blink_page"),
        templates=templates,
        exposure=shown_exposure,
    shell:
        "selfcal blink_page {input.images} {params.exposure:q} {input.folder} {output} 2> {log}"


rule report:
    """Write the page of the run, with all figures: results/report.html."""
    input:
        collect(rules.associate.output.association, association=association_files),
        collect(rules.blink_page.output, stack=stacks),
        collect(rules.draw_stack.output.numbers, stack=stacks),
        rules.draw_shared.output,
        members=rules.members.output,
        summary=rules.summary.output,
        provenance=rules.provenance.output,
    output:
        report(
            RESULTS["report"],
            caption="../report/report.rst",
            category="Page",
            labels={"figure": "all stacks, with their products"},
        ),
    log:
        "logs/report.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("figures/report"),
        templates=templates,
        suggestions=hash_suggestions,
    shell:
        "selfcal report --provenance {input.provenance}"
        " {input.members} {input.summary} {output} 2> {log}"
