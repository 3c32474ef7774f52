"""The first exercise of notebook 01 as a learner does it: in JupyterLab, in a real browser, from a mistake to a grade."""

import csv
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbook import course

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NOTEBOOK = "notebooks/01_padding_masks.ipynb"
EXERCISE = "workbook/exercises/padding.py"
STUB = 'raise NotImplementedError("padding.padding_mask")'
PATIENCE = 120  # seconds; a shared machine can be slow

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; on Debian: apt install chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None,
        reason="Playwright is not installed; pip install -e '.[browser]'",
    ),
]


class Learner:
    """A browser in JupyterLab, on a copy of the course."""

    def __init__(self, folder: Path, page, address: str) -> None:
        self.folder = folder
        self.page = page
        self.address = address

    def wait_for_the_kernel(self, steady: float = 2.0) -> None:
        """Wait until the notebook's kernel has been idle for a while: "Run All" right after the idle sign may run nothing."""
        end, idle_since = time.monotonic() + PATIENCE, None
        while time.monotonic() < end:
            sessions = json.load(urllib.request.urlopen(f"{self.address}/api/sessions"))
            kernels = [session["kernel"] for session in sessions if session["path"] == NOTEBOOK]
            if kernels and kernels[0]["execution_state"] == "idle" and kernels[0]["connections"]:
                idle_since = idle_since or time.monotonic()
                if time.monotonic() - idle_since > steady:
                    return
            else:
                idle_since = None
            time.sleep(0.1)
        pytest.fail("the kernel never came to rest")

    def open_notebook(self) -> None:
        self.page.goto(f"{self.address}/lab/tree/{NOTEBOOK}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=1000 * PATIENCE)
        self.wait_for_the_kernel()

    def run_all(self) -> list[dict]:
        """Run every cell and return the code cells as JupyterLab has saved them."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        time.sleep(2)
        self.wait_for_the_kernel(steady=6)
        before = (self.folder / NOTEBOOK).stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        self._wait_until(lambda: (self.folder / NOTEBOOK).stat().st_mtime_ns != before)
        cells = json.loads((self.folder / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]

    def write(self, source: str) -> None:
        """Replace the exercise file's text in JupyterLab's own editor, and save it."""
        self.page.goto(f"{self.address}/lab/tree/{EXERCISE}?reset")
        editor = self.page.locator(".jp-FileEditor .cm-content").first
        editor.wait_for(timeout=1000 * PATIENCE)
        self.page.get_by_text("raise NotImplementedError").first.wait_for(timeout=1000 * PATIENCE)
        editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+s")
        self._wait_until(lambda: (self.folder / EXERCISE).read_text(encoding="utf-8") == source)

    def check(self) -> str:
        """Run the check's cell, in the kernel that was there all along, and return what it shows."""
        self.open_notebook()
        cell = self.page.locator(".jp-CodeCell", has_text='check("padding.padding_mask")').first
        for offset in range(0, 20_000, 600):  # cells outside the window are not in the page
            if cell.count():
                break
            self.page.evaluate("top => document.querySelector('.jp-WindowedPanel-outer').scrollTop = top", offset)
            time.sleep(0.3)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        time.sleep(1)
        self.wait_for_the_kernel()
        return cell.locator(".jp-OutputArea").inner_text()

    @staticmethod
    def _wait_until(true) -> None:
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, "it was not saved"
            time.sleep(0.1)


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    from playwright.sync_api import sync_playwright

    for name in ("workbook", "notebooks", "solutions"):
        shutil.copytree(course.PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "WORKBOOK_FALLBACK": "visible", "WORKBOOK_DEVICE": "cpu"}
    options = ["--no-browser", "--port", str(port), "--IdentityProvider.token="]
    lab = subprocess.Popen(
        [sys.executable, "-m", "workbook.cli", "lab", *options],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for_the_server(f"{address}/api/status", lab)
        with sync_playwright() as playwright:
            flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
            quiet = "--disable-background-networking --disable-component-update"
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags.split(), *quiet.split()])
            yield Learner(tmp_path, browser.new_page(viewport={"width": 1400, "height": 1000}), address)
            browser.close()
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait()


def _wait_for_the_server(address: str, lab: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(address)
            return
        except OSError:
            assert lab.poll() is None, "JupyterLab has ended"
            assert time.monotonic() < end, "JupyterLab does not answer"
            time.sleep(0.5)


def test_a_learner_gets_from_a_mistake_to_a_grade(learner: Learner):
    learner.open_notebook()
    cells = learner.run_all()
    assert all(cell["execution_count"] for cell in cells)
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any("not written yet" in "".join(output.get("text", "")) for output in outputs)

    stub = (learner.folder / EXERCISE).read_text(encoding="utf-8")
    learner.write(stub.replace(STUB, "return input_ids == 0"))
    red = learner.check()
    assert "✗ padding.padding_mask" in red
    assert "padding id fixed at 0" in red
    assert "leaking" in red

    learner.write(stub.replace(STUB, "return input_ids =="))
    assert "padding.py could not be imported: SyntaxError in line" in learner.check()

    learner.write(stub.replace(STUB, "return input_ids == pad_token_id"))
    assert "✓ padding.padding_mask" in learner.check()

    assert _workbook(learner.folder, "submit", "--student", "ada", "--out", "ada.zip") == 0
    assert _workbook(learner.folder, "grade", "ada.zip", "--out", "grades") == 1  # nine functions are still to do
    with open(learner.folder / "grades" / "gradebook.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["student"], row["points"], row["padding.padding_mask"]) == ("ada", "1", "1")


def _workbook(folder: Path, *arguments: str) -> int:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "workbook.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL).returncode
