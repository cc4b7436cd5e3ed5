#!/usr/bin/env bash
# Mount a medium: mount HASH IMAGE | unmount HASH | status HASH, at $NTT_ROOT/HASH. What mount prints is JSON.
set -euo pipefail
root=${NTT_ROOT:-/mnt/ntt}
[[ ${2-} =~ ^[a-f0-9]{16,64}$ ]] || { echo "usage: ${0##*/} mount HASH IMAGE | unmount HASH | status HASH" >&2; exit 1; }
case $1 in
mount) exec ntt-loops mount "${3:?IMAGE}" --medium "$2" --root "$root" --json ;;
unmount) exec ntt-loops unmount "$2" --root "$root" --json ;;
status) exec grep -E "^[^ ]+ $root/$2(/p[0-9]+)? " /proc/self/mounts ;; # 1 where nothing of it is mounted
*) exit 1 ;;
esac
