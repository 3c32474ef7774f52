"""Starts the warm process in bubblewrap: no network, no file but the interpreter and torch, nothing to write, no capability.

What of this machine is in the sandbox, all of it read-only: the interpreter and its standard library, torch, jaxtyping,
safetensors and what these require, the C libraries that all of them load, and three files of this package. Each lies at a
neutral place, so that no name of a user or a folder of theirs is told, and an environment inside the project brings
nothing else of the project along.
"""

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workbook.grading import confinement

IMPORTED = ("torch", "numpy", "jaxtyping", "safetensors")  # by the runner; numpy, since tensors become bytes through it
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
PYTHON, PACKAGES, LIBRARIES, PROGRAMS = map(PurePosixPath, ("/python", "/packages", "/lib", "/grading"))
ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": str(LIBRARIES),
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHOME": str(PYTHON),
    "PYTHONPATH": str(PACKAGES),
    "TORCHINDUCTOR_CACHE_DIR": "/tmp",  # it is there, so that torch's compiler, which vmap imports, does not make one
}
PROBE_LIMIT = 60.0  # seconds; it takes a tenth of one


def launch(control: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the warm process in the sandbox, holding its end of ``control`` and nothing else of ours."""
    return subprocess.Popen(
        command("runner.py", str(control.fileno()), "--confined", confinement.program(writes=True)),
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )


@functools.cache
def why_not() -> str | None:
    """Say in one sentence why there can be no sandbox here, or ``None`` if there can: it was tried, with the filter."""
    if sys.platform != "linux":
        return "The sandbox needs Linux."
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed: there is no bwrap on the PATH (Debian and Ubuntu: apt-get install bubblewrap)."
    try:
        program = confinement.program(writes=True)
    except ImportError:
        return "The Python package pyseccomp is not installed."
    except (RuntimeError, OSError) as error:
        return f"The library libseccomp cannot be used (Debian and Ubuntu: apt-get install libseccomp2): {error}."
    try:
        probe = subprocess.run(
            command("confinement.py", program, *IMPORTED),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=PROBE_LIMIT,
        )
    except (OSError, subprocess.TimeoutExpired, importlib.metadata.PackageNotFoundError) as error:
        return f"bubblewrap cannot start Python here: {error}."
    if probe.returncode != 0:
        said = [line.strip() for line in probe.stderr.splitlines() if line.strip()]
        return f"bubblewrap cannot start Python here: {said[-1] if said else f'exit code {probe.returncode}'}."
    return None


def command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs one of this package's two programs in the sandbox, as process 1 of its namespace."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise FileNotFoundError("there is no bwrap on the PATH")
    # fmt: off
    isolation = [
        "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
        "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
    ]
    # fmt: on
    variables = [word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)]
    devices = [word for device in DEVICES for word in ("--dev-bind", device, device)]
    # For some processors torch chooses its vectorized code by their description there.
    files = ["--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu", "--dir", "/tmp"]
    for place, source in _files().items():
        files += ["--ro-bind", source, place]
    for hidden in _hidden():
        files += ["--tmpfs", hidden, "--remount-ro", hidden]
    files += ["--proc", "/proc", "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", "/"]
    python = [str(PYTHON / "bin" / "python"), "-P", "-s", str(PROGRAMS / program)]
    return [bwrap, *isolation, *variables, *devices, *files, *python, *arguments]


def _hidden() -> list[str]:
    """Return the folders inside the standard library's that hold the packages of its interpreter."""
    place, library = _standard_library()
    return [str(place / name) for name in ("site-packages", "dist-packages") if (library / name).is_dir()]


def _standard_library() -> tuple[PurePosixPath, Path]:
    library = Path(sysconfig.get_path("stdlib"))
    return PYTHON / library.relative_to(sys.base_prefix), library


@functools.cache
def _files() -> Mapping[str, str]:
    """Return what of this machine lies where in the sandbox: place to file or folder."""
    interpreter = Path("/proc/self/exe").resolve()
    place, library = _standard_library()
    files = {str(PYTHON / "bin" / "python"): str(interpreter), str(place): str(library)}
    modules = {str(path.relative_to(library)) for path in library.glob("lib-dynload/*.so")}
    compiled = {library: {path for path in modules if "_tkinter" not in path}}  # which would bring a dozen libraries
    for folder, name, modules in _packages():
        files.setdefault(str(PACKAGES / name), str(folder / name))
        compiled.setdefault(folder, set()).update(modules)
    for folder, objects in compiled.items():
        files |= _libraries(interpreter, folder, objects, [Path(source) for source in files.values()])
    for name in ("runner.py", "confinement.py", "straight.py"):
        files[str(PROGRAMS / name)] = str(Path(__file__).with_name(name))
    return files


def _packages() -> Iterable[tuple[Path, str, set[str]]]:
    """Yield folder, name and compiled files of each package that the runner imports and each it requires."""
    seen: set[str] = set()
    wanted = list(IMPORTED)
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name in IMPORTED:
                raise
            continue
        requirements = map(Requirement, found.requires or ())
        wanted += [item.name for item in requirements if item.marker is None or item.marker.evaluate({"extra": ""})]
        files = found.files or []
        tops = {path.parts[0] for path in files} - {"..", "__pycache__"}
        for top in sorted(top for top in tops if not top.endswith(".pth")):
            inside = {str(path) for path in files if path.parts[0] == top and re.search(r"\.so(\.\d+)*$", path.name)}
            yield Path(str(found.locate_file(""))), top, inside


def _libraries(interpreter: Path, folder: Path, objects: Iterable[str], held: list[Path]) -> dict[str, str]:
    """Ask the dynamic linker which libraries the interpreter and ``objects`` below ``folder`` load from elsewhere.

    Relative paths, since the linker takes a blank or a colon in a path for the end of it.
    """
    preloaded = ":".join(f"./{path}" for path in objects)
    environment = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1", "LD_PRELOAD": preloaded}
    listing = subprocess.run([interpreter], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    libraries = {}
    for line in listing.stdout.splitlines():
        found = re.fullmatch(r"\s*(?:(\S+) => )?(/.+) \(0x[0-9a-f]+\)", line)
        if found is None:
            continue
        path = Path(found[2])
        if found[1] is None:  # the linker itself, which programs name by its whole path
            libraries[str(path)] = str(path.resolve())
        elif not any(path.is_relative_to(place) for place in held):
            libraries[str(LIBRARIES / Path(found[1]).name)] = str(path.resolve())
    return libraries
