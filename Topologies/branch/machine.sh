#!/bin/sh
# Plays the Internet and the data centre of this scenario, runs a command beside them, and takes all away when the command ends:
#
#   sudo ./machine.sh tapline run topology.yaml
#   sudo ./machine.sh bash
#
# Nothing of it is on the real machine: it has its own network, processes, /run and mounts.
set -eu
if [ "${BRANCH_MACHINE:-}" != "$$" ]; then
    exec unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
        sh -c 'BRANCH_MACHINE=$$; export BRANCH_MACHINE; exec sh "$0" "$@"' "$0" "$@"
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
ip link set lo up
case "$1" in */tapline) tapline=$1 ;; *) tapline=tapline ;; esac

# What is between the sites: it routes, and counts what it forwards.
ip netns add internet
ip netns exec internet sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
    nft "add table ip way; add chain ip way forwarded { type filter hook forward priority 0; };
        add rule ip way forwarded udp dport 4789 counter accept; add rule ip way forwarded counter"'

"$tapline" up "$(dirname "$0")/datacentre.yaml" -d >/run/datacentre.log 2>&1 || { cat /run/datacentre.log >&2; exit 1; }
status=0
"$@" || status=$?
"$tapline" down datacentre >>/run/datacentre.log 2>&1 || { cat /run/datacentre.log >&2; exit 1; }
exit "$status"
