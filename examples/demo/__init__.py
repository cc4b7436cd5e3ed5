"""What stands around the pipeline: images, the machine, failures, other people, and the proofs."""

from __future__ import annotations

from examples.demo.machine import Machine, choose_machine, why_not_real
from examples.demo.medium import Medium, make_medium, sha256
from examples.demo.orphans import delete_one_and_sweep
from examples.demo.output import headline, print_table, print_warnings, tell
from examples.demo.proofs import prove
from examples.demo.stories import STORIES, Story
from examples.demo.workplace import working_folder

__all__ = [
    "STORIES",
    "Machine",
    "Medium",
    "Story",
    "choose_machine",
    "delete_one_and_sweep",
    "headline",
    "make_medium",
    "print_table",
    "print_warnings",
    "prove",
    "sha256",
    "tell",
    "why_not_real",
    "working_folder",
]
