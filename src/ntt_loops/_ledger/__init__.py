"""The ledger: which attachments are ours, one append-only file a medium.

::

    /run/ntt-loops/                                     0700, of the user who runs the stages: root
    ├── 536a933b4481f605fcd44615740a9025.jsonl          one line an event, flock(2)ed for the length of one change
    ├── Zip%20disk%20%2312.jsonl                        any id is a file name, percent-encoded
    ├── <160 bytes>%%<sha256>.jsonl                     or shortened, with a digest
    ├── <name>.mount                                    flock(2)ed around look, attach and mount of a medium
    ├── <name>.jsonl.aside-<hex nanoseconds>             a file that could not be read, set aside
    └── last-sweep.json                                 how the last sweep went that was to be put on record
"""

from __future__ import annotations

from ntt_loops._ledger.book import Book
from ntt_loops._ledger.folder import Ledger
from ntt_loops._ledger.last_sweep import LastSweep
from ntt_loops._ledger.mount_lock import mount_lock
from ntt_loops._ledger.record import Key, Lifetime, Record
from ntt_loops._ledger.tag import Tag, new_nonce, token_of

__all__ = ["Book", "Key", "LastSweep", "Ledger", "Lifetime", "Record", "Tag", "mount_lock", "new_nonce", "token_of"]
