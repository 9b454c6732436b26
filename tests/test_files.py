"""Files that are replaced wholly or not at all."""

import pytest

from mamlbook.files import replacing, require_writable


def test_the_new_file_takes_the_place_of_the_old_one_at_the_end(tmp_path):
    path = tmp_path / "a" / "b" / "number.txt"
    for text in ("1", "2"):
        with replacing(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".txt"  # numpy would add its own to another one
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "1"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "number.txt"
    path.write_text("1")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "number.txt"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("1")
        other.write_text("2")
    assert path.read_text() == "1"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [path]


def test_the_permissions_stay(tmp_path):
    path = tmp_path / "number.txt"
    for mode in (0o644, 0o755):
        path.touch()
        path.chmod(mode)
        with replacing(path):
            pass
        assert path.stat().st_mode & 0o777 == mode


def test_a_link_stays_one(tmp_path):
    (tmp_path / "large disk").mkdir()
    (link := tmp_path / "run.txt").symlink_to("large disk/run.txt")
    for text in ("1", "2"):
        with replacing(link) as temporary:
            temporary.write_text(text)
        assert link.is_symlink()
        assert (tmp_path / "large disk" / "run.txt").read_text() == text
    assert {path.name for path in tmp_path.rglob("*")} == {"large disk", "run.txt"}


def test_what_can_be_written_is_left_alone(tmp_path):
    (path := tmp_path / "number.txt").write_text("1")
    require_writable(path)
    require_writable(tmp_path / "another.txt")
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="long"):
        require_writable(tmp_path / ("a" * 250))


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"), replacing(tmp_path / "file" / "number.txt"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
