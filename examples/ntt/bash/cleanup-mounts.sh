#!/usr/bin/env bash
# Unmount these media and detach all their devices, HASH...; then detach what deleted images of $NTT_IMAGES left behind.
set -euo pipefail
status=0
# Of a medium in use it is said who uses it; the others go.
for medium in "$@"; do
  [[ $medium =~ ^[a-f0-9]{16,64}$ ]] || { echo "usage: ${0##*/} HASH..." >&2; exit 1; }
  ntt-loops unmount "$medium" --root "${NTT_ROOT:-/mnt/ntt}" --timeout "${NTT_TIMEOUT:-30}" || status=$?
done
ntt-loops sweep --under "${NTT_IMAGES:-/data/fast/img}" || status=$?
exit "$status"
