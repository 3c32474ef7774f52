"""A learner at a browser: JupyterLab on a copy of the course, and chromium driven by Playwright.

The fixtures in conftest.py hand these out; the benchmark of latencies takes them from here.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

from workbook import course

Theme = Literal["light", "dark"]

PATIENCE = 180  # seconds; a shared machine can be slow
WIDTH, HEIGHT = 1400, 1000
# The last one lets nothing but this machine be found, so that a test that asks for more fails and asks nobody.
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

# What JupyterLab's own settings dialogue would write. Without windowing every cell is in the page, seen or not.
SETTINGS: dict[str, dict[str, object]] = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/themes": {"theme": "JupyterLab Light"},
}
COPIED = ("workbook", "notebooks", "solutions")


# ---------------------------------------------------------------------------------------------------- chromium


def find_chromium() -> str | None:
    """Return the path of a chromium (or Chrome), the system's or the one that Playwright has installed."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Start the browser at ``path``, without a window, and close it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Complaints:
    """What a page says on its console as an error, and what it asks of other machines than this one."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        """Collect from ``page`` from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", lambda request: self._address(request.url))
        page.on("websocket", lambda socket: self._address(socket.url))

    def assert_none(self) -> None:
        """Fail on any of them."""
        assert not self.requests, f"the page asks other machines: {self.requests}"
        assert not self.errors, f"errors on the page's console: {self.errors}"

    def _console(self, message: ConsoleMessage) -> None:
        # JupyterLab asks whether there is a language server; there need not be one.
        if message.type == "error" and "/lsp/status" not in message.location["url"]:
            self.errors.append(f"{message.text} ({message.location['url']})")

    def _address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost"):
            self.requests.append(url)


# -------------------------------------------------------------------------------------------------- JupyterLab


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that serves a copy of the course, as ``workbook lab`` starts it."""

    folder: Path  # the copy of the course
    settings: Path  # of JupyterLab's user
    address: str  # http://127.0.0.1:PORT

    def restore(self) -> None:
        """Make the copy and the settings fresh, and end what runs in kernels and terminals."""
        for session in self.ask("/api/sessions"):
            self.ask(f"/api/sessions/{session['id']}", method="DELETE")
        for terminal in self.ask("/api/terminals"):
            self.ask(f"/api/terminals/{terminal['name']}", method="DELETE")
        for path in (*self.folder.iterdir(), *self.settings.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in COPIED:
            shutil.copytree(course.PROJECT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name, values in SETTINGS.items():
            self.set(name, values)

    def set(self, name: str, values: dict[str, object]) -> None:
        """Write settings of an extension of JupyterLab; a page loads them when it is opened."""
        path = self.settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")

    def ask(self, path: str, method: str = "GET") -> Any:
        """Ask the server, as in ``ask("/api/sessions")``, and return its answer."""
        request = urllib.request.Request(f"{self.address}{path}", method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            text = response.read()
        return json.loads(text) if text else None


@contextmanager
def jupyterlab(folder: Path) -> Iterator[Lab]:
    """Start ``workbook lab`` on a copy of the course in ``folder``, wait until it answers, and end it."""
    lab = Lab(folder / "course", folder / "settings", f"http://127.0.0.1:{_free_port()}")
    lab.folder.mkdir()
    lab.settings.mkdir()
    for name in COPIED:
        shutil.copytree(course.PROJECT / name, lab.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {
        "PYTHONPATH": str(lab.folder),
        "WORKBOOK_FALLBACK": "visible",
        "WORKBOOK_DEVICE": "cpu",
        "WORKBOOK_MODELS": "none",  # as after `make setup`, whatever is installed here by now
        "JUPYTERLAB_SETTINGS_DIR": str(lab.settings),
        # Nothing of the user's own: no settings, no kernel of the same name, no history.
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "configuration"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    options = ["--no-browser", f"--port={urlsplit(lab.address).port}", "--IdentityProvider.token="]
    options += ["--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True"]
    with open(folder / "jupyterlab.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbook.cli", "lab", *options],
            cwd=lab.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_the_server(lab, process, folder / "jupyterlab.log")
        yield lab
        lab.restore()  # ends kernels and terminals in good order
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _wait_for_the_server(lab: Lab, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"JupyterLab has ended:\n{log.read_text(errors='replace')[-2000:]}"
        try:
            lab.ask("/api/status")
        except OSError:
            return False
        return True

    wait_until(answers, "JupyterLab to answer")


def wait_until(true: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until ``true()`` is; fail with "waited in vain for ``what``"."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------- the learner

# The notebook in front, and its cells; JupyterLab hands itself out to the page's scripts as `jupyterapp`.
_NOTEBOOK = "const panel = window.jupyterapp?.shell.currentWidget; const cells = panel?.content?.widgets ?? [];"
_KERNEL_IS_READY = f"""path => {{
    {_NOTEBOOK}
    if (panel?.context?.path !== path || !panel.context.isReady || !panel.sessionContext?.isReady) return false;
    const kernel = panel.sessionContext.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}}"""
_KERNEL_IS_IDLE = f"() => {{ {_NOTEBOOK} return panel.sessionContext.session.kernel.status === 'idle'; }}"
_ALL_HAVE_RUN = f"""() => {{
    {_NOTEBOOK}
    const code = cells.map(cell => cell.model).filter(model => model.type === 'code');
    const types = model => Array.from({{ length: model.outputs.length }}, (_, i) => model.outputs.get(i).type);
    const failed = code.some(model => types(model).includes('error'));
    const run = model => model.executionCount !== null || !model.sharedModel.getSource().trim();
    return panel.sessionContext.session.kernel.status === 'idle' && (failed || code.every(run));
}}"""
_CELLS = f"() => {{ {_NOTEBOOK} return cells.map(cell => cell.model.toJSON()); }}"
_FIND = f"""text => {{
    {_NOTEBOOK}
    return cells.findIndex(cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().includes(text));
}}"""
_ACTIVATE = f"index => {{ {_NOTEBOOK} panel.content.activeCellIndex = index; panel.content.mode = 'command'; }}"
_COUNT = f"index => {{ {_NOTEBOOK} return cells[index].model.executionCount; }}"
_OPEN = """async path => {
    const shell = window.jupyterapp.shell, before = shell.currentWidget?.id ?? null;
    shell.activateById((await window.jupyterapp.commands.execute('docmanager:open', { path })).id);
    return before;
}"""
_FILE_IS_OPEN = """path => {
    const context = window.jupyterapp.shell.currentWidget?.context;
    return context?.path === path && context.isReady;
}"""
_BACK_TO = "id => window.jupyterapp.shell.activateById(id)"
_PICTURES_ARE_LOADED = "() => [...document.querySelectorAll('.jp-Notebook img')].every(image => image.complete)"


class Learner:
    """A page of a browser in JupyterLab, on a fresh copy of the course.

    ``page`` is Playwright's, for everything that is not here; ``folder`` is the copy of the course.
    """

    def __init__(self, lab: Lab, page: Page, screenshots: Path) -> None:
        self.lab = lab
        self.page = page
        self.folder = lab.folder
        self.screenshots = screenshots
        page.set_default_timeout(1000 * PATIENCE)

    # Opening -------------------------------------------------------------------------------------------------

    def open(self, notebook: str) -> None:
        """Open a notebook by its stem, as in ``open("01_padding_masks")``, and wait until its kernel is ready.

        Opened again, it finds the kernel it had, and shows the file as it was last saved.
        """
        path = f"notebooks/{notebook}.ipynb"
        self.page.goto(f"{self.lab.address}/lab/tree/{path}?reset")
        self.page.wait_for_function(_KERNEL_IS_READY, arg=path)

    def set_theme(self, theme: Theme) -> None:
        """Choose JupyterLab's theme, for what is opened from now on."""
        self.lab.set("apputils-extension/themes", {"theme": f"JupyterLab {theme.title()}"})

    def command(self, name: str) -> None:
        """Execute a command of JupyterLab, as in ``command("notebook:clear-all-cell-outputs")``, and wait for it."""
        self.page.evaluate("async name => { await window.jupyterapp.commands.execute(name); }", name)

    # Cells ---------------------------------------------------------------------------------------------------

    def cell(self, text: str) -> Locator:
        """Return the first code cell whose source holds ``text``, scrolled into view and selected (not in edit mode)."""
        cell = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell").nth(self._index(text))
        self.page.evaluate(_ACTIVATE, self._index(text))
        cell.scroll_into_view_if_needed()
        return cell

    def run(self, text: str) -> Locator:
        """Run the first code cell whose source holds ``text``, wait until it has run, and return it."""
        cell = self.cell(text)
        self.command("notebook:clear-cell-output")  # its count, too: what comes next is this run's
        cell.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+Enter")
        index = self._index(text)
        wait_until(lambda: self.page.evaluate(_COUNT, index) is not None, f"the cell with {text!r} to run")
        self.wait_for_the_kernel()
        return cell

    def output(self, cell: Locator) -> str:
        """Return the text of all that a cell shows below itself."""
        return "\n".join(cell.locator(".jp-OutputArea-output").all_inner_texts())

    def run_all(self) -> list[dict[str, Any]]:
        """Run every cell from the menu; return the code cells in nbformat's form. Stops where a cell fails."""
        self.command("notebook:clear-all-cell-outputs")
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        self.page.wait_for_function(_ALL_HAVE_RUN, polling=200)
        self.page.wait_for_function(_PICTURES_ARE_LOADED)
        return [cell for cell in self.cells() if cell["cell_type"] == "code"]

    def cells(self) -> list[dict[str, Any]]:
        """Return all cells as they are now, saved or not, in nbformat's form."""
        cells: list[dict[str, Any]] = self.page.evaluate(_CELLS)
        for cell in cells:
            cell["source"] = "".join(cell["source"])
        return cells

    def wait_for_the_kernel(self) -> None:
        """Wait until the kernel of the notebook in front is idle."""
        self.page.wait_for_function(_KERNEL_IS_IDLE)

    def save(self) -> None:
        """Save the document in front."""
        self.command("docmanager:save")

    # Files ---------------------------------------------------------------------------------------------------

    def write(self, path: str, source: str) -> None:
        """Replace a file's text in JupyterLab's own editor and save it, as in ``write("workbook/exercises/padding.py", …)``.

        The file gets a tab beside the notebook's, which is in front again afterwards.
        """
        file = self.folder / path
        before = self.page.evaluate(_OPEN, path)
        self.page.wait_for_function(_FILE_IS_OPEN, arg=path)
        self.page.locator(".jp-Document:not(.lm-mod-hidden) .jp-FileEditor .cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+s")
        wait_until(lambda: file.read_text(encoding="utf-8") == source, f"{path} to be saved")
        if before is not None:
            self.page.evaluate(_BACK_TO, before)

    # Pictures ------------------------------------------------------------------------------------------------

    def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """Take a picture of the page, or of one part of it, as NAME.png, and return its path.

        It lies in the folder that WORKBOOK_SCREENSHOTS names, or in the test's own.
        """
        path = self.screenshots / f"{name}.png"
        (of or self.page).screenshot(path=path)
        return path

    def _index(self, text: str) -> int:
        index: int = self.page.evaluate(_FIND, text)
        assert index >= 0, f"the notebook has no code cell with {text!r}"
        return index
