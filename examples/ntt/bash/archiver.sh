#!/usr/bin/env bash
# Pack $NTT_IMAGES/HASH.img as $NTT_ARCHIVES/HASH.tar.zst, prove it, delete the image. Again, it goes on where it stopped.
set -euo pipefail
[[ ${1-} =~ ^[a-f0-9]{16,64}$ ]] || { echo "usage: ${0##*/} HASH" >&2; exit 1; }
image=${NTT_IMAGES:-/data/fast/img}/$1.img archive=${NTT_ARCHIVES:-/data/cold/img-read}/$1.tar.zst

# Succeed when the archive in this file is sound and holds the image.
is_proved() {
  zstd -q -t "$1" && tar -I zstd -xf "$1" --to-command=sha256sum "${image##*/}" | cmp - <(sha256sum <"$image")
}

release() { ntt-loops release "$1" "$image" --unmount --timeout "${NTT_TIMEOUT:-10}"; }

release "$1" # 75 where somebody uses a device of it, and this script ends with that
if [[ -e $image ]]; then
  exec {lock}<"$image"
  flock --nonblock "$lock" || exit 75 # another archiver is at work
  if [[ ! -e $archive ]]; then
    trap 'rm -f "$archive.unfinished"' EXIT
    tar -I 'zstd -q -T0' -C "${image%/*}" -cf "$archive.unfinished" "${image##*/}"
    is_proved "$archive.unfinished"
    sync "$archive.unfinished"
    mv "$archive.unfinished" "$archive"
  fi
  is_proved "$archive"
  release "$1" # what was attached since
  rm "$image"
fi
[[ -e $archive ]] || { echo "there is neither $image nor $archive" >&2; exit 1; }
release "$1" # what slipped in before the rm
