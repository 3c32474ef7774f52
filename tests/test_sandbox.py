"""What a submission can see and do, told by submissions themselves: they look, and raise an error that says what they found."""

import json
import os
import platform
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workbook import course
from workbook.grading import confinement, sandbox, worker
from workbook.grading.verdict import Verdict
from workbook.grading.worker import Worker, WorkerLost
from workbook.specs import spec

MASK = spec("padding.padding_mask")
needs_sandbox = pytest.mark.skipif(sandbox.why_not() is not None, reason=sandbox.why_not() or "")
Launch = Callable[[socket.socket], "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def inside() -> Iterator[Worker]:
    with Worker(launch=sandbox.launch) as warm:
        yield warm


def filter_missing() -> str | None:
    if sys.platform != "linux":
        return "the filter is Linux's"
    try:
        confinement.program(writes=False)
    except (ImportError, RuntimeError, OSError) as error:
        return f"the filter cannot be made: {error}"
    return None


@pytest.fixture(scope="module", params=[pytest.param("inside", marks=needs_sandbox), "processes"])
def confined(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A worker whose children are filtered: in the sandbox, and in plain processes where libseccomp is there."""
    if request.param == "inside":
        yield request.getfixturevalue("inside")
        return
    if missing := filter_missing():
        pytest.skip(missing)
    with Worker(launch=worker.launch) as warm:
        yield warm


def verdict(warm: Worker, body: str) -> Verdict:
    body = textwrap.indent(textwrap.dedent(body), "    ")
    source = f"import json, os, sys, torch\n\ndef padding_mask(input_ids, pad_token_id):\n{body}\n"
    (found,) = warm.grade({"padding": source.encode()}, (MASK,), 0)
    return found


def seen(warm: Worker, body: str) -> Any:
    """Run ``body`` in a submission and return what it leaves in ``found``; a reason holds 500 characters."""
    body = textwrap.dedent(body) + "\nraise RuntimeError('found ' + json.dumps(found) + ' there')"
    reason = verdict(warm, body).reason
    match = re.search(r"found (.*) there", reason)
    assert match, reason
    return json.loads(match[1])


REFUSED = """
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0
"""


# --- what is there ---------------------------------------------------------------------------------------------------


@needs_sandbox
def test_the_sandbox_holds_no_file_but_what_the_runner_needs(inside: Worker) -> None:
    assert seen(inside, "found = sorted(os.listdir('/'))") == [
        *["dev", "grading", "lib", "lib64", "packages", "proc", "python", "sys", "tmp"]
    ]
    assert seen(inside, "found = [sorted(os.listdir(place)) for place in ('/tmp', '/grading', '/sys', '/python')]") == [
        [],
        ["confinement.py", "runner.py", "straight.py"],
        ["devices"],
        ["bin", "lib"],
    ]
    assert seen(inside, "found = sorted(os.listdir('/dev'))") == ["full", "null", "random", "urandom", "zero"]
    # An empty folder over what is installed there, or none: Debian's Python has its packages elsewhere.
    place = "os.path.dirname(os.__file__) + '/site-packages'"
    assert seen(inside, f"found = os.path.isdir({place}) and os.listdir({place})") in ([], False)
    assert seen(inside, f"found = os.path.exists({place.replace('site', 'dist')})") is False
    packages = seen(inside, "found = [name for name in os.listdir('/packages') if '-' not in name]")
    assert {"torch", "jaxtyping", "safetensors", "numpy"} <= set(packages)
    assert not {"workbook", "transformers", "matplotlib", "pytest", "pip"} & set(packages)


@needs_sandbox
def test_the_sandbox_has_nothing_of_the_user_or_the_project(inside: Worker, tmp_path: Path) -> None:
    gradebook = tmp_path / "gradebook.csv"
    gradebook.write_text("marks", encoding="utf-8")
    ours = [course.PROJECT, course.SOLUTIONS, course.PACKAGE, Path.home(), Path.cwd(), gradebook, Path(sys.prefix)]
    looking = f"found = [place for place in {[str(path) for path in ours]!r} if os.path.exists(place)]"
    assert seen(inside, looking) == []
    names = seen(inside, "import traceback; found = [frame.filename for frame in traceback.extract_stack()]")
    assert "/grading/runner.py" in names
    names += seen(inside, "found = [*sys.path, __file__, torch.__file__, json.__file__]")
    names += seen(inside, "found = [*os.environ.values(), os.getcwd(), sys.prefix, sys.executable]")
    assert [name for name in names if any(str(path) in name for path in ours if path != Path("/"))] == []


@needs_sandbox
def test_the_environment_holds_nothing_of_ours(inside: Worker) -> None:
    assert set(seen(inside, "found = list(os.environ)")) <= {*sandbox.ENVIRONMENT, "PWD", "LC_CTYPE"}


@needs_sandbox
def test_the_sandbox_knows_no_process_but_its_own(inside: Worker) -> None:
    warm, child = seen(inside, "found = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())")
    assert warm == 1
    assert child > 1


@needs_sandbox
def test_a_submission_is_an_ordinary_user_without_capabilities(inside: Worker) -> None:
    assert seen(inside, "found = [os.getuid(), os.geteuid(), os.getgid(), os.getegid()]") == [1000] * 4
    names = "('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp')"
    status = seen(inside, f"found = [line.split() for line in open('/proc/self/status') if line.startswith({names})]")
    assert {name.strip(":"): int(value, 16) for name, value in status if name != "Seccomp_filters:"} == {
        **dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], 0),
        **{"NoNewPrivs": 1, "Seccomp": 2},
    }


@needs_sandbox
def test_the_only_network_is_the_sandboxs_own(inside: Worker) -> None:
    assert seen(inside, "found = [line.split()[0] for line in open('/proc/net/dev') if ':' in line]") == ["lo:"]


def test_a_child_holds_no_descriptor_but_its_connection(confined: Worker) -> None:
    looking = "found = {name: os.readlink(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')[:-1]}"
    held = seen(confined, looking)
    assert {held.pop(name) for name in "012"} == {"/dev/null"}
    assert list(held) == ["3"]
    assert held["3"].startswith("socket:")
    assert seen(confined, "import resource; found = resource.getrlimit(resource.RLIMIT_NOFILE)") == [64, 64]


# --- what it can do --------------------------------------------------------------------------------------------------


def numbers(names: str) -> dict[str, int]:
    """Return the numbers of those system calls that this machine has."""
    import pyseccomp

    found = {name: pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in names.split()}
    found |= {name: confinement.NUMBERS[name] for name, number in found.items() if number == -1}
    return {name: number for name, number in found.items() if number >= 0}


@pytest.mark.parametrize(
    ("names", "error"),
    [(confinement.FORBIDDEN, "EPERM"), (confinement.READ_ONLY, "EROFS"), (confinement.UNKNOWN, "ENOSYS")],
    ids=["forbidden", "read only", "unknown"],
)
def test_every_call_of_the_list_is_refused(confined: Worker, names: str, error: str) -> None:
    looking = f"""
        import ctypes, errno
        library = ctypes.CDLL(None, use_errno=True)
        found = []
        for name, number in {numbers(names)!r}.items():
            ctypes.set_errno(0)
            if library.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.{error}:
                found.append([name, ctypes.get_errno()])
    """
    assert seen(confined, looking) == []


def test_no_process_is_started(confined: Worker) -> None:
    looking = """
        import subprocess
        found = [
            refused(os.fork), refused(os.forkpty), refused(os.execv, sys.executable, [sys.executable]),
            refused(os.posix_spawn, sys.executable, [sys.executable], {}), refused(subprocess.run, [sys.executable]),
        ]
    """
    assert 0 not in seen(confined, REFUSED + textwrap.dedent(looking))


def test_no_socket_is_opened(confined: Worker) -> None:
    looking = "import socket\nfound = [refused(socket.socket), refused(socket.socketpair)]"
    assert seen(confined, REFUSED + looking) == [1, 1]


def test_the_warm_process_and_its_parent_are_out_of_reach(confined: Worker) -> None:
    """Neither can be signalled, read, written, slowed or limited."""
    looking = """
        import resource, signal
        warm = os.getppid()
        parent = int(open(f"/proc/{warm}/stat").read().rpartition(")")[2].split()[1])
        found = []
        for other in {warm, parent} - {0}:
            found += [refused(open, f"/proc/{other}/{name}", "rb") for name in ("mem", "maps", "environ", "auxv")]
            found += [refused(os.readlink, f"/proc/{other}/fd/0"), refused(open, f"/proc/{other}/oom_score_adj", "wb")]
            found += [refused(os.kill, other, number) for number in (0, signal.SIGCONT)]
            found += [refused(resource.prlimit, other, resource.RLIMIT_CORE, (0, 0))]
            found += [refused(os.setpriority, os.PRIO_PROCESS, other, 19), refused(os.setpriority, os.PRIO_USER, 0, 19)]
            found += [refused(os.sched_setaffinity, other, {0})]
        found += [refused(os.kill, -1, 0), refused(os.kill, 0, 0), refused(os.killpg, 0, 0)]
    """
    errors = seen(confined, REFUSED + textwrap.dedent(looking))
    assert len(errors) >= 15
    assert 0 not in errors


def test_a_limit_is_not_raised_again(confined: Worker) -> None:
    looking = """
        import resource
        found = []
        for name in ("AS", "CPU", "FSIZE", "CORE", "NOFILE"):
            try:
                resource.setrlimit(getattr(resource, "RLIMIT_" + name), (-1, -1))
                found.append(name)
            except (ValueError, OSError):
                pass
    """
    assert seen(confined, looking) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only this processor has other ways into Linux")
def test_there_is_no_other_way_into_the_kernel(confined: Worker) -> None:
    """The x32 calls, and the 32-bit ones through their old gate, have other numbers than the filter knows."""
    x32 = "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)"
    assert "signal SIGSYS" in verdict(confined, x32).reason
    gate = """
        import ctypes, mmap
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    """
    reason = verdict(confined, gate).reason
    assert "signal SIGSYS" in reason or "signal SIGSEGV" in reason, reason  # the latter from a kernel without the gate


def test_an_honest_submission_has_all_of_torch_and_threads(confined: Worker) -> None:
    body = """
        import decimal, random, sqlite3, threading
        ran = []
        threads = [threading.Thread(target=ran.append, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ran) == [0, 1, 2, 3]
        torch.set_num_threads(2)
        weight = torch.randn(300, 300, requires_grad=True)
        (weight @ weight).softmax(-1).pow(2).sum().backward()
        assert weight.grad.isfinite().all()
        assert torch.vmap(lambda row: row.sum())(torch.ones(3, 4)).tolist() == [4.0] * 3
        assert (torch.zeros(2, device="meta") + 1).device.type == "meta"
        from torch.nn.attention.flex_attention import create_block_mask
        create_block_mask(lambda b, h, q, k: q >= k, 1, 1, 128, 128, device="cpu")
        print("said", open("/proc/self/comm").read())
        return input_ids == pad_token_id
    """
    found = verdict(confined, body)
    assert found.passed, found.reason


@needs_sandbox
def test_the_sandbox_computes_with_the_code_that_this_process_computes_with(inside: Worker) -> None:
    import torch

    assert seen(inside, "found = torch.backends.cpu.get_cpu_capability()") == (torch.backends.cpu.get_cpu_capability())


# --- what it leaves --------------------------------------------------------------------------------------------------

LEAVING = """
found = []
for place in places:
    new = place + "/left"
    for make in (os.mkdir, os.mkfifo, lambda new: os.symlink("/", new), lambda new: os.close(os.open(new, os.O_CREAT)),
                 lambda new: os.link(sys.executable, new), lambda new: os.utime(place), lambda new: os.chmod(place, 0o700),
                 lambda new: os.close(os.open(place, os.O_TMPFILE | os.O_RDWR))):
        if not refused(make, new):
            found.append(new)
"""
EVERYWHERE = """
places = ["/", "/tmp", "/dev", "/dev/shm", "/dev/mqueue", "/grading", "/packages", "/packages/torch", "/lib", "/proc", "/sys",
          "/python/lib", os.path.dirname(os.__file__), os.path.dirname(os.__file__) + "/site-packages", os.getcwd()]
"""


@needs_sandbox
def test_nothing_can_be_written_anywhere_in_the_sandbox(inside: Worker) -> None:
    assert seen(inside, REFUSED + EVERYWHERE + LEAVING) == []
    files = ("/proc/self/oom_score_adj", "/proc/sys/kernel/core_pattern", "/grading/runner.py", "/python/bin/python")
    assert 0 not in seen(inside, REFUSED + f"found = [refused(open, name, 'r+') for name in {files}]")


def test_nothing_can_be_written_where_a_plain_process_could(confined: Worker, tmp_path: Path) -> None:
    gradebook = tmp_path / "gradebook.csv"
    gradebook.write_text("marks", encoding="utf-8")
    before = tmp_path.stat().st_mtime_ns
    assert seen(confined, REFUSED + f"places = [{str(tmp_path)!r}]" + LEAVING) == []
    looking = f"found = [refused(open, {str(gradebook)!r}, mode) for mode in ('w', 'a', 'r+', 'x')]"
    assert 0 not in seen(confined, REFUSED + looking)
    assert gradebook.read_text(encoding="utf-8") == "marks"
    assert tmp_path.stat().st_mtime_ns == before


def test_memory_outside_the_process_holds_nothing(confined: Worker) -> None:
    """A file in memory is bound by the limit on files, and has no name that the next submission could open."""
    looking = "found = refused(os.write, os.memfd_create('x'), b'x')"
    assert seen(confined, "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + REFUSED + looking) == 27


def straggling(control: socket.socket) -> "subprocess.Popen[bytes]":
    """The sandbox without its filter, in which a submission could leave processes behind."""
    return subprocess.Popen(sandbox.command("runner.py", str(control.fileno())), pass_fds=[control.fileno()])


@needs_sandbox
def test_processes_left_behind_are_ended_with_their_submission() -> None:
    leave = """
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    import time
                    time.sleep(600)
                os._exit(0)
        found = len([name for name in os.listdir('/proc') if name.isdigit()])
    """
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's limit on processes leaves none behind")
    with Worker(launch=straggling) as warm:
        assert warm.isolation == "processes"
        before = warm._process
        assert seen(warm, leave) > 4
        assert len(seen(warm, "found = [name for name in os.listdir('/proc') if name.isdigit()]")) == 2
        assert warm._process is before  # it was no new sandbox that is empty


@needs_sandbox
def test_all_of_the_sandbox_ends_with_its_worker() -> None:
    def running() -> set[int]:
        """Every process whose ancestor is the worker's."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        found = {process}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    with Worker(launch=sandbox.launch) as warm:
        assert warm._process is not None
        process = warm._process.pid
        before = running()
        assert len(before) >= 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in before if Path(f"/proc/{pid}").exists()] == []


# --- how it is started -----------------------------------------------------------------------------------------------


@needs_sandbox
def test_the_sandbox_is_used_where_it_can_be_had() -> None:
    assert Worker().isolation == "sandbox"
    assert Worker(launch=worker.launch).isolation == "processes"


@pytest.fixture
def asked_anew() -> Iterator[None]:
    sandbox.why_not.cache_clear()
    yield
    sandbox.why_not.cache_clear()


@pytest.mark.usefixtures("asked_anew")
class TestWhyNot:
    """Each thing that can be missing is named in one sentence, and grading goes on without the sandbox."""

    @staticmethod
    def reason() -> str:
        reason = sandbox.why_not()
        assert reason is not None
        assert reason.endswith(".")
        assert "\n" not in reason
        assert Worker().isolation == "processes"
        return reason

    def test_another_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        assert "Linux" in self.reason()

    def test_no_bubblewrap(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "bubblewrap is not installed" in self.reason()

    def test_no_pyseccomp(self, monkeypatch: pytest.MonkeyPatch, bwrap_that_says: Callable[[str], None]) -> None:
        bwrap_that_says("")
        monkeypatch.setitem(sys.modules, "pyseccomp", None)
        assert "pyseccomp is not installed" in self.reason()

    def test_no_libseccomp(self, monkeypatch: pytest.MonkeyPatch, bwrap_that_says: Callable[[str], None]) -> None:
        bwrap_that_says("")
        monkeypatch.delitem(sys.modules, "pyseccomp", raising=False)
        monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
        assert "libseccomp2" in self.reason()

    def test_namespaces_are_forbidden(self, bwrap_that_says: Callable[[str], None]) -> None:
        if missing := filter_missing():
            pytest.skip(missing)
        bwrap_that_says("bwrap: No permissions to create new namespace")
        assert "No permissions to create new namespace" in self.reason()

    @pytest.fixture
    def bwrap_that_says(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
        def make(words: str) -> None:
            script = tmp_path / "bwrap"
            script.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n", encoding="utf-8")
            script.chmod(0o755)
            monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

        return make


@needs_sandbox
@pytest.mark.parametrize("program", ["", "AAAAAAAAAAA="])
def test_no_child_runs_unfiltered_in_the_sandbox(program: str) -> None:
    """A filter that is missing or that the kernel refuses ends the warm process before it takes a submission."""

    def launch(control: socket.socket) -> "subprocess.Popen[bytes]":
        arguments = sandbox.command("runner.py", str(control.fileno()), "--confined", program)
        return subprocess.Popen(arguments, pass_fds=[control.fileno()], stderr=subprocess.DEVNULL)

    with pytest.raises(WorkerLost), Worker(launch=launch):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's dynamic linker")
def test_libraries_are_found_below_a_folder_with_a_blank_and_a_colon_in_its_name(tmp_path: Path) -> None:
    """The linker takes both for the end of a path."""
    interpreter = Path("/proc/self/exe").resolve()
    folder = tmp_path / "my: course"
    folder.mkdir()
    library = Path(os.__file__).with_name("lib-dynload")
    objects = {path.name for path in library.glob("_ctypes.*.so")} | {path.name for path in library.glob("_ssl.*.so")}
    if not objects:
        pytest.skip("this interpreter has these modules built in")
    for name in objects:
        (folder / name).write_bytes((library / name).read_bytes())
    there = sandbox._libraries(interpreter, folder, objects, [])
    assert there == sandbox._libraries(interpreter, library, objects, [])
    assert len(there) > len(sandbox._libraries(interpreter, library, [], []))
