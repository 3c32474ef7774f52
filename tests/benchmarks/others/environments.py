"""A virtual environment of its own for each of the other graders, and commands run in it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[3]
PLACE = PROJECT / ".venv-others"
TIME_LIMIT = 1800.0  # seconds for one command, an installation included


class CommandFailed(RuntimeError):
    """A command of another grader failed; the text has the end of what it printed."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a folder in which nothing of the user's own Jupyter is seen."""

    folder: Path
    scratch: Path

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> float:
        """Run a program of the environment and return how many seconds it took.

        Raises:
            CommandFailed: it could not do what it was told, or took more than half an hour.
        """
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        own = {name: str(self.scratch / name.lower()) for name in names}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WORKBOOK"))}
        binaries = str(self.folder / "bin")
        environment = {**inherited, **own, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
        for path in own.values():
            Path(path).mkdir(parents=True, exist_ok=True)
        log = self.scratch / "log.txt"
        with log.open("wb") as output:
            start = time.perf_counter()
            process = subprocess.Popen(
                [f"{binaries}/{program}", *arguments],
                cwd=cwd or self.scratch,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(TIME_LIMIT)
            except subprocess.TimeoutExpired as error:
                raise CommandFailed(f"{program} {' '.join(arguments)} took over {TIME_LIMIT:.0f} seconds") from error
            finally:
                seconds = time.perf_counter() - start
                with contextlib.suppress(ProcessLookupError):  # what it left running in the background
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code:
            said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise CommandFailed(f"{program} {' '.join(arguments)} ended with exit code {code}:\n{said}")
        return seconds


def environment(grader: str, scratch: Path) -> Environment:
    """Return the environment of a grader, made at its first use: torch as this project has it, then ``<grader>.txt``."""
    wanted = Path(__file__).with_name(f"{grader}.txt").read_text(encoding="utf-8")
    torch = next(line for line in (PROJECT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    found = Environment(PLACE / grader, scratch)
    ready = found.folder / "ready.txt"
    if not ready.exists() or ready.read_text(encoding="utf-8") != f"{torch}\n{wanted}":
        print(f"Making {found.folder.relative_to(PROJECT)} ...", file=sys.stderr)
        PLACE.mkdir(exist_ok=True)
        (PLACE / ".gitignore").write_text("*\n")
        venv.create(found.folder, clear=True, with_pip=True)
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        found.run("python", *pip, torch)
        found.run("python", *pip, torch, "-r", str(Path(__file__).with_name(f"{grader}.txt")))
        ready.write_text(f"{torch}\n{wanted}", encoding="utf-8")
    return found


def version(grader: str, package: str) -> str:
    """Return the version that ``<grader>.txt`` names for a package."""
    lines = Path(__file__).with_name(f"{grader}.txt").read_text(encoding="utf-8").splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))
