#!/bin/sh
# Runs inside the virtual machine, as root: guest.sh OUT PROJECT STDLIB.
# Each line of OUT/list is one run of pytest: a name, its seconds, its arguments. The answers are OUT/NAME.xml, .log and
# .status; OUT/NAME.started alone says that the machine did not survive it.
set -u

out=$1 project=$2 stdlib=$3
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8

fail() {
	echo "$*" >"$out/boot.failed"
	exit 1
}

for module in virtio_blk loop ext4 dm-mod md-mod raid1 squashfs vfat isofs udf xfs btrfs fuse overlay; do
	modprobe "$module" || fail "modprobe $module failed"
done

# udev sees each device come and go, as on any machine that is not a container.
if ! udevadm control --ping --timeout=60; then
	/usr/lib/systemd/systemd-udevd --daemon || fail "systemd-udevd does not start"
	udevadm control --ping --timeout=60 || fail "systemd-udevd does not answer"
fi
udevadm trigger --settle

# The project, its Python and all temporary files are on a disk of the machine's own: 9p, which has the rest, is slow,
# and has neither unlinked open files nor the locks that the ledger needs.
mount -t ext4 /dev/vda /mnt || fail "the disk is not there"
mkdir -p /mnt/tmp

# A root that is no 9p: with a remote one each look at a path is made in a child process, which may never return.
root=/run/root
mkdir -p "$root" /run/upper /run/work
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay "$root" || fail "no overlay over /"
for folder in proc sys dev; do
	mount --rbind "/$folder" "$root/$folder" || fail "cannot bind /$folder"
done
mount -t tmpfs tmpfs "$root/run" || fail "no tmpfs at /run"
mkdir "$root/run/udev"
mount --bind /run/udev "$root/run/udev" || fail "cannot bind /run/udev"
mount --bind /mnt "$root/mnt" || fail "cannot bind /mnt"
mount --bind /mnt/project "$root$project" || fail "cannot bind $project"
mount --bind /mnt/stdlib "$root$stdlib" || fail "cannot bind $stdlib"

uname -r >"$out/kernel"
export TMPDIR=/mnt/tmp NTT_LOOPS_REQUIRE=kernel,tools,features
while read -r name seconds arguments; do
	: >"$out/$name.started"
	# The arguments are words.
	# shellcheck disable=SC2086
	timeout --signal=INT --kill-after=60 "$seconds" chroot "$root" sh -c "cd '$project' && exec \"\$@\"" sh \
		.venv/bin/python -m pytest -p no:cacheprovider -q --color=no -o junit_family=xunit1 \
		--durations=10 --basetemp="/mnt/run-$name" --junit-xml="/mnt/$name.xml" $arguments >"$out/$name.log" 2>&1 </dev/null
	status=$?
	cp "/mnt/$name.xml" "$out/$name.xml" 2>/dev/null
	dmesg >"$out/dmesg.log"
	echo "$status" >"$out/$name.status"
done <"$out/list"
