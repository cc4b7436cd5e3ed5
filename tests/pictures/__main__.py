"""``python -m tests.pictures [FOLDER]``: draw the pictures anew whose text has changed."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.pictures.drawing import words
from tests.pictures.place import can_be_had, pictures

NAMES = ("list", "why", "release", "sweep")
KEPT = Path(__file__).parents[2] / "docs" / "pictures"


def main() -> None:
    """Leave a picture as it is if it differs in numbers only: those of devices and processes are others in each run."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else KEPT
    if not can_be_had():
        print("Pictures of a terminal take root and loop devices: they stay as they are.")
        return
    known = kept(folder)
    for name, picture in pictures(known).items():
        if known.get(name) != words(picture):
            (folder / f"{name}.svg").write_text(picture, encoding="utf-8")
            print(f"drawn: {folder / name}.svg")


def kept(folder: Path = KEPT) -> dict[str, list[str]]:
    """Return what the pictures that are there say, by name."""
    return {
        name: words(file.read_text(encoding="utf-8")) for name in NAMES if (file := folder / f"{name}.svg").exists()
    }


if __name__ == "__main__":
    main()
