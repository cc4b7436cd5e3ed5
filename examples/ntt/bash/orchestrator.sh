#!/usr/bin/env bash
# Take one medium, HASH, or all in $NTT_IMAGES through mount, copy to $NTT_WORK/HASH, unmount, archive.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
images=${NTT_IMAGES:-/data/fast/img} root=${NTT_ROOT:-/mnt/ntt} work=${NTT_WORK:-/data/fast/ntt}
[[ -d $images && -d $work ]] || { echo "$images or $work is no folder" >&2; exit 1; }

if (($# == 0)); then
  status=0
  for image in "$images"/*.img; do
    [[ ${image##*/} =~ ^[a-f0-9]{16,64}\.img$ ]] || continue
    "$0" "$(basename "$image" .img)" || status=$? # a medium that fails does not stop the others
  done
  exit "$status"
fi

[[ $1 =~ ^[a-f0-9]{16,64}$ ]] || { echo "usage: ${0##*/} [HASH]" >&2; exit 1; }
if [[ -e $images/$1.img ]]; then # else it was killed behind the rm: the archiver goes on
  trap '"$here/mount-helper.sh" unmount "$1" >/dev/null' EXIT # however it ends
  "$here/mount-helper.sh" mount "$1" "$images/$1.img" >"$work/$1.json"
  mkdir -p "$work/$1"
  cp -a "$root/$1/." "$work/$1/"
  "$here/mount-helper.sh" unmount "$1" >/dev/null
  trap - EXIT
fi
"$here/archiver.sh" "$1"
