"""The notebook of docs/howto is executed; the repository has no outputs of it."""

import shutil

import nbformat
import pytest
from conftest import ROOT, copy_workflow
from nbclient import NotebookClient

NOTEBOOK = ROOT / "docs" / "howto" / "notebook.ipynb"


@pytest.mark.filterwarnings("ignore")  # of the kernel's libraries
def test_the_notebook_runs(tmp_path, monkeypatch):
    """In a fresh copy of the repository, as it writes beside itself."""
    copy_workflow(tmp_path)
    shutil.copytree(ROOT / "demo/associations", tmp_path / "demo/associations")
    folder = tmp_path / "docs" / "howto"
    folder.mkdir(parents=True)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    (page,) = (o.data["text/html"] for o in outputs if "text/html" in o.get("data", {}))
    assert "run/results/report.html" in page
    assert (folder / "run" / "results" / "report.html").is_file()
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_its_outputs_are_cleared():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
