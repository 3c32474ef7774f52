"""Submissions are read whole or refused with a reason, and the gradebook says so; nothing of them is run here."""

import contextlib
import csv
import hashlib
import io
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbook import course
from workbook.grading.gradebook import (
    GradedSubmission,
    grade_submission,
    json_names,
    unreadable_submission,
    write_gradebook,
    write_verdicts,
)
from workbook.grading.submission import (
    MANIFEST,
    SIZE_LIMIT,
    Unreadable,
    WrongPath,
    WrongStudent,
    find_submissions,
    modified,
    pack,
    read_submission,
    valid_student,
)
from workbook.grading.verdict import Verdict
from workbook.specs import Spec, specs

FILES = {"padding": b"answer = 1\n", "warmup": "# größer\n".encode()}


def manifest(**changes: Any) -> bytes:
    """Return the manifest of `FILES`, changed; a value of None takes the key away."""
    hashes = {f"exercises/{topic}.py": hashlib.sha256(data).hexdigest() for topic, data in FILES.items()}
    plain = {"course": course.COURSE, "version": course.VERSION, "student": "Ada", "files": hashes} | changes
    return json.dumps({key: value for key, value in plain.items() if value is not None}).encode()


def make_zip(path: Path, entries: Sequence[tuple[str | zipfile.ZipInfo, bytes]], compression: int = 8) -> Path:
    """Write a zip entry by entry, as no honest tool would."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data, compression)
    return path


def honest(*, without: str = "", **changes: Any) -> list[tuple[str | zipfile.ZipInfo, bytes]]:
    entries = {MANIFEST: manifest(**changes)} | {f"exercises/{topic}.py": data for topic, data in FILES.items()}
    return [(name, data) for name, data in entries.items() if name != without]


def reason(path: Path) -> str:
    with pytest.raises(Unreadable) as caught:
        read_submission(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Reading what `submit` wrote


def test_what_is_packed_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ada.zip"
    path.write_bytes(pack("Ada Lovelace", FILES))
    submission = read_submission(path)
    assert (submission.name, submission.student, submission.notes) == ("ada.zip", "Ada Lovelace", ())
    assert submission.files == FILES


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=200),
    st.dictionaries(st.sampled_from(course.TOPICS), st.text(max_size=50).map(str.encode), min_size=1),
)
@settings(max_examples=50, deadline=None)
def test_any_name_and_any_text_survive(student: str, files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.zip"
        path.write_bytes(pack(student, files))
        submission = read_submission(path)
    assert (submission.student, submission.files, submission.notes) == (student, files, ())


def test_the_same_answers_give_the_same_bytes() -> None:
    assert pack("Ada", FILES) == pack("Ada", dict(reversed(FILES.items())))


def test_the_zip_holds_the_manifest_and_the_files_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(pack("Ada", FILES))) as archive:
        assert archive.namelist() == [MANIFEST, "exercises/padding.py", "exercises/warmup.py"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        written = json.loads(archive.read(MANIFEST))
    assert written == json.loads(manifest())


# What is noted


def test_another_course_version_is_noted(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "ada.zip", honest(version="0.0.9"))
    assert read_submission(path).notes == (f"made with course version 0.0.9, this is {course.VERSION}",)


def test_a_file_changed_after_submitting_is_noted(tmp_path: Path) -> None:
    hashes = json.loads(manifest())["files"] | {"exercises/padding.py": "0" * 64}
    path = make_zip(tmp_path / "ada.zip", honest(files=hashes))
    assert read_submission(path).notes == ("exercises/padding.py does not match its SHA-256 in manifest.json",)


def test_a_file_that_only_one_of_manifest_and_zip_has_is_noted(tmp_path: Path) -> None:
    hashes = json.loads(manifest())["files"]
    unlisted = {name: digest for name, digest in hashes.items() if "warmup" in name}
    path = make_zip(tmp_path / "unlisted.zip", honest(files=unlisted))
    assert read_submission(path).notes == ("exercises/padding.py is not in manifest.json",)
    path = make_zip(tmp_path / "lost.zip", honest(without="exercises/padding.py"))
    assert read_submission(path).notes == ("exercises/padding.py is in manifest.json but not in the zip",)


def test_other_files_are_ignored_and_named(tmp_path: Path) -> None:
    others = [("exercises/", b""), ("setup.py", b"1/0"), ("exercises/other.py", b""), ("a", b""), ("b\x1b[31m", b"")]
    submission = read_submission(make_zip(tmp_path / "ada.zip", [*honest(), *others]))
    assert submission.files == FILES
    assert submission.notes == ("ignored: setup.py, exercises/other.py, a and 1 more",)


# What cannot be read


def test_what_is_no_zip_is_unreadable(tmp_path: Path) -> None:
    for name, data in {"empty.zip": b"", "text.zip": b"hello", "cut.zip": pack("Ada", FILES)[:-30]}.items():
        (tmp_path / name).write_bytes(data)
        assert "not a zip" in reason(tmp_path / name)


def test_a_zip_without_a_manifest_or_without_answers_is_unreadable(tmp_path: Path) -> None:
    assert "no manifest.json" in reason(make_zip(tmp_path / "a.zip", honest(without=MANIFEST)))
    assert "no manifest.json" in reason(
        make_zip(tmp_path / "b.zip", [(f"ada/{name}", data) for name, data in honest()])
    )
    assert "no exercises/<topic>.py" in reason(make_zip(tmp_path / "c.zip", honest()[:1]))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xfe", "manifest.json is not UTF-8 (byte 0xff at 0)"),
        (b"{", "manifest.json is not JSON"),
        (b"[" * 100_000, "manifest.json is not JSON"),
        (b"1" * 10_000, "manifest.json is not JSON"),
        (b"[]", "manifest.json is not a JSON object"),
        (manifest(student=None), "manifest.json has no valid 'student'"),
        (manifest(version=1), "manifest.json has no valid 'version'"),
        (manifest(files=[]), "manifest.json has no valid 'files'"),
        (manifest(files={"exercises/padding.py": 1}), "manifest.json has no valid 'files'"),
        (manifest(course="another"), "manifest.json is of the course 'another', not 'attention-mask-workbook'"),
        (manifest(student=" "), "manifest.json: the student's name is empty"),
        (manifest(student="\ud800"), "manifest.json: the student's name '?' holds a character that cannot be printed"),
        (manifest(student="A\nB"), "manifest.json: the student's name 'A?B' holds a character that cannot be printed"),
        (manifest(student="A" * 201), "manifest.json: the student's name has 201 characters; 200 are allowed"),
    ],
)
def test_a_bad_manifest_is_unreadable(tmp_path: Path, data: bytes, expected: str) -> None:
    path = make_zip(tmp_path / "ada.zip", [(MANIFEST, data), *honest(without=MANIFEST)])
    assert reason(path) == expected


def test_a_topic_that_is_not_utf_8_is_unreadable_and_the_student_still_known(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "ada.zip", [*honest(without="exercises/padding.py"), ("exercises/padding.py", b"a\xe9")])
    with pytest.raises(Unreadable, match=r"exercises/padding\.py is not UTF-8") as caught:
        read_submission(path)
    assert caught.value.student == "Ada"


@pytest.mark.parametrize(
    "name", ["../padding.py", "exercises/../../x", "/etc/passwd", "..\\x", "C:\\x", "c:x", "exercises/padding.py\0.txt"]
)
def test_a_name_outside_the_zip_is_unreadable(tmp_path: Path, name: str) -> None:
    entry = zipfile.ZipInfo("x")
    entry.filename = entry.orig_filename = name  # past the cleaning in ZipInfo's constructor
    assert "names a path outside itself" in reason(make_zip(tmp_path / "ada.zip", [*honest(), (entry, b"")]))
    assert not list(tmp_path.parent.glob("padding.py"))


def test_a_symbolic_link_is_unreadable(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("exercises/padding.py")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    entries = [*honest(without="exercises/padding.py"), (link, b"/etc/passwd")]
    assert "symbolic link" in reason(make_zip(tmp_path / "ada.zip", entries))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", [MANIFEST, "exercises/padding.py"])
def test_the_same_name_twice_is_unreadable(tmp_path: Path, name: str) -> None:
    entries = honest()
    assert "twice" in reason(make_zip(tmp_path / "ada.zip", [*entries, *(each for each in entries if each[0] == name)]))


def test_a_bomb_is_refused_while_it_is_read(tmp_path: Path) -> None:
    bomb = ("exercises/padding.py", b" " * (SIZE_LIMIT + 1))
    path = make_zip(tmp_path / "bomb.zip", [*honest(without="exercises/padding.py"), bomb])
    assert path.stat().st_size < 10_000
    assert "larger than 1,048,576 bytes" in reason(path)
    # A header that lies about the size does not get around it.
    data = path.read_bytes().replace((SIZE_LIMIT + 1).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    reason(path)


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "ada.zip").write_bytes(pack("Ada", {"padding": b" " * SIZE_LIMIT}))
    assert len(read_submission(tmp_path / "ada.zip").files["padding"]) == SIZE_LIMIT


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_whose_memory_is_not_bounded_is_unreadable(tmp_path: Path, compression: int) -> None:
    assert "packed in an unusual way" in reason(make_zip(tmp_path / "ada.zip", honest(), compression))


def test_a_crowd_of_entries_and_an_encrypted_one_are_unreadable(tmp_path: Path) -> None:
    crowd = [(f"{number}", b"") for number in range(1_000)]
    assert "more than 1,000 entries" in reason(make_zip(tmp_path / "crowd.zip", [*honest(), *crowd]))
    data = bytearray(pack("Ada", FILES))
    start = 0
    while (start := data.find(b"PK\1\2", start)) >= 0:  # the flag in each entry of the zip's directory
        data[start + 8] |= 1
        start += 4
    (tmp_path / "locked.zip").write_bytes(data)
    assert reason(tmp_path / "locked.zip") == "manifest.json is encrypted"


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_a_damaged_zip_is_read_or_refused_and_never_raises_anything_else(
    flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(pack("Ada", FILES))
    for position, value in flips:
        data[position % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.zip"
        path.write_bytes(data[: max(cut % (2 * len(data)), 1)])
        with contextlib.suppress(Unreadable):
            read_submission(path)


# Folders


def test_a_folder_with_a_topic_file_is_a_submission_named_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "ada"
    folder.mkdir()
    (folder / "padding.py").write_bytes(FILES["padding"])
    (folder / "notes.py").write_text("1/0")
    submission = read_submission(folder)
    assert (submission.name, submission.student, submission.notes) == ("ada", "ada", ())
    assert submission.files == {"padding": FILES["padding"]}
    assert find_submissions([folder]) == {folder: "ada"}


def test_a_folder_is_named_whole_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ada.v2"
    folder.mkdir()
    (folder / "padding.py").write_bytes(b"")
    monkeypatch.chdir(folder)
    assert read_submission(Path(".")).name == "ada.v2"


def test_links_devices_and_large_files_in_a_folder_are_unreadable(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for name in ("link", "pipe", "folder", "large"):
        (tmp_path / name).mkdir()
    (tmp_path / "link" / "padding.py").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe" / "padding.py")
    (tmp_path / "folder" / "padding.py").mkdir()
    (tmp_path / "large" / "padding.py").write_bytes(b" " * (SIZE_LIMIT + 1))
    for name in ("link", "pipe", "folder"):
        assert reason(tmp_path / name) == "padding.py is no plain file"
    assert reason(tmp_path / "large") == "padding.py is larger than 1,048,576 bytes"
    os.mkfifo(tmp_path / "pipe.zip")
    assert reason(tmp_path / "pipe.zip") == "neither a zip nor a folder"


def test_a_folder_of_submissions_gives_every_visible_child_by_name(tmp_path: Path) -> None:
    for name in ("b", "a.zip", ".hidden", "grades"):
        (tmp_path / name).mkdir()
    found = find_submissions([tmp_path], skip=tmp_path / "grades")
    assert list(found.items()) == [(tmp_path / "a.zip", "a.zip"), (tmp_path / "b", "b")]
    assert (
        reason(tmp_path / "b") == f"a folder that holds none of {', '.join(f'{topic}.py' for topic in course.TOPICS)}"
    )


def test_a_download_of_moodles_gives_the_zips_in_each_students_folder(tmp_path: Path) -> None:
    for name in ("Ada_1_file_/hw.zip", "Ben_2_file_/one.zip", "Ben_2_file_/two.ZIP", "Cyd_3_file_/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(pack("Ada", FILES))
    (tmp_path / "Ada_1_file_" / "onlinetext.html").touch()
    (tmp_path / "Dan_4_file_").mkdir()
    (tmp_path / "Dan_4_file_" / "padding.py").touch()
    (tmp_path / "Dan_4_file_" / "old.zip").touch()
    (tmp_path / "Eve_5_file_" / "sub.zip").mkdir(parents=True)
    (tmp_path / "top.zip").touch()
    assert list(find_submissions([tmp_path]).values()) == [
        "Ada_1_file_/hw.zip",
        "Ben_2_file_/one.zip",
        "Ben_2_file_/two.ZIP",
        "Cyd_3_file_",  # a row each, unreadable
        "Dan_4_file_",
        "Eve_5_file_",
        "top.zip",
    ]


def test_no_submission_is_found_twice_and_no_two_have_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1/ada.zip", "b/1/ada.zip", "b/ben.zip", "a/ben"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(pack("Ada", FILES))
    monkeypatch.chdir(tmp_path)
    found = find_submissions([Path("a/1/ada.zip"), Path("b"), tmp_path / "b", Path("a/../b/ben.zip"), Path("a")])
    assert {str(path): name for path, name in found.items()} == {
        "a/1/ada.zip": "a/1/ada.zip",
        "b/1/ada.zip": "b/1/ada.zip",
        "b/ben.zip": "ben.zip",
        "a/ben": "ben",
    }


def test_a_submission_is_as_old_as_its_zip_or_its_newest_topic_file(tmp_path: Path) -> None:
    for name, seconds in {"padding.py": 30, "warmup.py": 20, "other.py": 40, "ada.zip": 50}.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    assert modified(tmp_path) == 30 * 10**9
    assert modified(tmp_path / "ada.zip") == 50 * 10**9
    assert modified(tmp_path / "nowhere") == 0


def test_a_path_that_is_not_there_and_an_empty_folder_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(WrongPath, match="nowhere is not there"):
        find_submissions([tmp_path / "nowhere"])
    (tmp_path / ".hidden").touch()
    with pytest.raises(WrongPath, match="without a submission"):
        find_submissions([tmp_path])


def test_a_students_name_is_cleaned_or_refused() -> None:
    assert valid_student("  Ada Lovelace\n") == "Ada Lovelace"
    with pytest.raises(WrongStudent):
        valid_student("")


# The gradebook


class FixedGrader:
    """Passes what is named and fails the rest."""

    def __init__(self, *passing: str) -> None:
        self.passing = passing

    def grade(self, files: Mapping[str, bytes], specs: Sequence[Spec], seed: int) -> list[Verdict]:
        return [
            Verdict(spec.name, "passed", spec.points, spec.points)
            if spec.name in self.passing
            else Verdict(spec.name, "raised", 0, spec.points, reason="half a pair: \udcff")
            for spec in specs
        ]


def graded(path: Path, *passing: str) -> GradedSubmission:
    try:
        return grade_submission(read_submission(path), specs(), 1, FixedGrader(*passing))
    except Unreadable as error:
        return unreadable_submission(path.name, error, specs())


def test_the_gradebook_has_a_row_a_submission_and_a_column_a_function(tmp_path: Path) -> None:
    (tmp_path / "ada.zip").write_bytes(pack("Ada", FILES))
    (tmp_path / "broken.zip").write_bytes(b"")
    make_zip(tmp_path / "old.zip", honest(version="0.0.9"))
    rows = [
        graded(tmp_path / "ada.zip", *(spec.name for spec in specs())),
        graded(tmp_path / "broken.zip"),
        graded(tmp_path / "old.zip", "padding.masked_mean"),
    ]
    with write_gradebook(tmp_path, rows, specs()).open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    functions = [spec.name for spec in specs()]
    about = ["student", "submission", "status", "points", "max_points", "counts", "isolation", "imports"]
    assert list(read[0]) == [*about, *functions]
    assert [row["submission"] for row in read] == ["ada.zip", "broken.zip", "old.zip"]
    assert [row["student"] for row in read] == ["Ada", "", "Ada"]
    most = sum(spec.points for spec in specs())
    assert (read[0]["status"], read[0]["points"], read[0]["max_points"]) == ("graded", str(most), str(most))
    assert read[1]["status"].startswith("unreadable: not a zip")
    assert {read[1][column] for column in ("points", *functions)} == {""}
    assert read[2]["status"] == f"graded; made with course version 0.0.9, this is {course.VERSION}"
    assert read[2]["padding.masked_mean"] == read[2]["points"] != "0"
    assert read[2]["padding.padding_mask"] == "0"
    assert [row.passed for row in rows] == [True, False, False]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " ="])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    evil = f'{start}HYPERLINK("x")'
    row = GradedSubmission(evil, evil, f"graded; {evil}", True, (), 0)
    with write_gradebook(tmp_path, [row], ()).open(encoding="utf-8", newline="") as file:
        (read,) = csv.DictReader(file)
    assert read["student"] == read["submission"] == "'" + evil
    assert read["status"].startswith("graded")


def test_a_submissions_json_holds_every_verdict(tmp_path: Path) -> None:
    (tmp_path / "ada.zip").write_bytes(pack("Ada", FILES))
    row = graded(tmp_path / "ada.zip", "padding.masked_mean")
    written = json.loads(write_verdicts(tmp_path, "ada.zip.json", row).read_bytes())
    assert (written["student"], written["submission"], written["status"]) == ("Ada", "ada.zip", "graded")
    assert [verdict["exercise"] for verdict in written["verdicts"]] == [spec.name for spec in specs()]
    assert written["points"] == sum(verdict["points"] for verdict in written["verdicts"])
    assert written["verdicts"][0]["reason"] == "half a pair: \udcff"


def test_a_json_is_named_after_its_submission_and_no_two_alike() -> None:
    names = ["ada.zip", "ada", "ada.zip", "ADA.zip", "ada.zip-2", 'a/b:c"d', "é" * 300]
    made = json_names(names)
    assert made[:3] == ["ada.zip.json", "ada.json", "ada.zip-2.json"]
    assert len({name.casefold() for name in made}) == len(names)
    assert made[5] == "a_b_c_d.json"
    assert all(len(name.encode()) < 255 for name in made)


def test_an_interrupted_write_leaves_the_old_gradebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gradebook.csv").write_text("old")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_gradebook(tmp_path, [], ())
    assert [path.name for path in tmp_path.iterdir()] == ["gradebook.csv"]
    assert (tmp_path / "gradebook.csv").read_text() == "old"
