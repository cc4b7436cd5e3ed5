"""``examples/ntt/orchestrator.py``: killed, interrupted or failed at any stage, it goes on where it was."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support import ntt, ntt_media
from tests.support.ntt_media import BUSY, DONE, ERROR, FILES, INTERRUPTED, MORE
from tests.support.ntt_place import STAGES, end_of_stopped, start_and_stop_in_copy

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.ntt_place import Place


BOTH = {f"p1/{name}": content for name, content in FILES.items()} | {f"p2/{name}": MORE[name] for name in MORE}


def test_all_media_go_through_all_stages(place: Place) -> None:
    """With and without partitions; what is no medium is left alone; again, there is nothing to do."""
    single, multi = ntt_media.whole_disk(place.images), ntt_media.two_partitions(place.images)
    other = place.images / "letter.img"
    other.write_bytes(b"no medium")
    done = place.run()
    assert (done.returncode, done.stdout) == (DONE, ""), done.stderr
    for image in (single, multi):
        place.assert_done(image)
    assert place.copies(single) == dict(FILES)
    assert place.copies(multi) == BOTH
    assert list(place.images.iterdir()) == [other]
    again = place.run()
    assert (again.returncode, again.stderr) == (DONE, "")


#: Where it is stopped, in a program of the system that is called with this word, or in its own copy; and how many
#: stages are done by then.
MOMENTS = {
    "mount": ("mount", "p2 ", 0),
    "copy": None,
    "unmount": ("umount", "p1", 2),
    "pack": ("tar", "-cf", 3),
    "prove": ("zstd", "-t", 3),
}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_ended_in_any_stage_it_goes_on_with_that(
    place: Place, moment: tuple[str, str, int] | None, number: signal.Signals
) -> None:
    """What is done is noted; a signal that can be caught leaves nothing mounted or attached; the next run ends it."""
    image = ntt_media.two_partitions(place.images)
    done = 1 if moment is None else moment[2]
    with _stopped(place, moment) as process:
        process.send_signal(number)
        (place.folder / "bin" / "umount").unlink(missing_ok=True)  # only the first one hangs
        _, errors = process.communicate(timeout=300)
    end_of_stopped(place.folder)
    if number != signal.SIGKILL:
        assert process.returncode == INTERRUPTED, errors
        ntt_media.assert_nothing_of(image, place.root)
    assert (place.state(image)["done"] if done else []) == STAGES[:done]
    again = place.run()
    assert again.returncode == DONE, again.stderr
    place.assert_done(image)
    assert place.copies(image) == BOTH


def _stopped(place: Place, moment: tuple[str, str, int] | None) -> subprocess.Popen[str]:
    if moment is None:
        return start_and_stop_in_copy(place)
    environment = ntt.stopped_at(place.folder, *moment[:2])
    process = ntt.start("orchestrator.py", *place.arguments(), environment=environment)
    ntt.wait_for(place.folder / "stopped")
    return process


def test_a_stage_that_fails_once_is_tried_again(place: Place, tmp_path: Path) -> None:
    """mount(8) fails the first time: it is said, and the medium is done all the same."""
    image = ntt_media.whole_disk(place.images)
    fail_once = f'[ -e "{tmp_path}/failed" ] || {{ touch "{tmp_path}/failed"; echo "no luck" >&2; exit 32; }}'
    done = place.run(environment=ntt.replaced(tmp_path, "mount", fail_once))
    assert done.returncode == DONE, done.stderr
    assert "mount failed and is tried again" in done.stderr
    assert "no luck" in done.stderr
    place.assert_done(image)


def test_one_that_fails_in_all_tries_does_not_stop_the_others(place: Place) -> None:
    """It ends with 1; the state says why, the image stays, and the next run tries it again."""
    bad, good = ntt_media.garbage(place.images), ntt_media.whole_disk(place.images)
    for _ in range(2):
        done = place.run()
        assert done.returncode == ERROR
        assert done.stderr.count("mount failed and is tried again") == 2
        assert place.state(bad)["facts"]["error"].startswith("mount: ")
        assert bad.exists()
        ntt_media.assert_nothing_of(bad, place.root)
    place.assert_done(good)


def test_a_medium_in_use_is_left_for_later(place: Place) -> None:
    """Somebody works in a mount: it ends with 75 and says who; afterwards it goes on with the unmount."""
    image = ntt_media.whole_disk(place.images)
    with start_and_stop_in_copy(place) as process:
        process.kill()
        process.communicate()
    with ntt_media.working_in(place.root / image.stem) as user:
        done = place.run()
        assert done.returncode == BUSY
        assert f"pid {user.pid}" in done.stderr
        assert place.state(image)["done"] == STAGES[:2]
    assert place.run().returncode == DONE
    place.assert_done(image)


def test_two_at_once_share_the_media(place: Place, tmp_path: Path) -> None:
    """What one is at the other leaves alone, and says so."""
    first, second = sorted(ntt_media.whole_disk(place.images) for _ in range(2))
    environment = ntt.stopped_at(tmp_path, "tar", first.name)
    with ntt.start("orchestrator.py", *place.arguments(first.stem, "--tries", "1"), environment=environment) as process:
        ntt.wait_for(tmp_path / "stopped")
        done = place.run()
        assert done.returncode == BUSY
        assert f"{first.stem}: FAILED: another process is at work" in done.stderr
        place.assert_done(second)
        assert first.exists()
        end_of_stopped(tmp_path)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == ERROR, errors
    assert place.run().returncode == DONE
    place.assert_done(first)


def test_a_medium_that_is_read_anew_begins_anew(place: Place) -> None:
    """Another image is there: neither stages nor copies of the old one count, nor is its archive a proof."""
    image = ntt_media.whole_disk(place.images)
    assert place.run().returncode == DONE
    old = place.folder / "work" / "out" / image.stem / "p2" / "second"  # as large as the new one, with other content
    old.parent.mkdir()
    old.write_bytes(bytes(len(MORE["second"])))
    ntt_media.two_partitions(place.images).rename(image)
    done = place.run()
    assert done.returncode == ERROR
    assert place.state(image)["done"] == STAGES[:3]
    assert "does not hold" in place.state(image)["facts"]["error"]
    assert image.exists()
    assert place.copies(image) == BOTH
    (place.folder / "archives" / f"{image.stem}.tar.zst").unlink()
    assert place.run().returncode == DONE
    place.assert_done(image)


@pytest.mark.parametrize("name", ["", "x" * 32, "a" * 15, "../" + "a" * 32])
def test_a_name_that_is_no_hash_is_refused(place: Place, name: str) -> None:
    """It ends with 1, and no other medium is begun."""
    image = ntt_media.whole_disk(place.images)
    done = place.run(image.stem, name)
    assert done.returncode == ERROR
    assert "is no hash" in done.stderr
    assert image.exists()


def test_a_hash_without_an_image_is_an_error(place: Place) -> None:
    """It ends with 1, and nothing is noted of it."""
    done = place.run("a" * 32, "--tries", "1")
    assert done.returncode == ERROR
    assert "a" * 32 in done.stderr
    assert list((place.folder / "work" / "state").glob("*.json")) == []


@pytest.mark.parametrize("name", ["img", "archives"])
def test_a_folder_that_is_not_there_is_an_error(place: Place, name: str) -> None:
    """It is not taken for one without media."""
    (place.folder / name).rmdir()
    done = place.run()
    assert done.returncode == ERROR
    assert f"{place.folder / name} is no folder" in done.stderr
