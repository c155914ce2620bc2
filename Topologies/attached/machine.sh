#!/bin/sh
# Plays the machine of this scenario, runs a command on it, and takes all away when the command ends:
#
#   sudo ./machine.sh tapline run topology.yaml
#   sudo ./machine.sh bash
#
# Nothing of it is on the real machine: it has its own network, processes, /run and mounts.
set -eu
if [ "${ATTACHED_MACHINE:-}" != "$$" ]; then
    exec unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
        sh -c 'ATTACHED_MACHINE=$$; export ATTACHED_MACHINE; exec sh "$0" "$@"' "$0" "$@"
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
ip link set lo up

# The card eth1, and a street with two houses behind it.
ip netns add street
ip link add eth1 address 02:00:00:00:00:e1 type veth peer name houses netns street
ip addr add 10.0.0.99/8 dev eth1
ip link set eth1 up
for house in 10.0.0.7/8 10.3.3.3/8; do ip -n street addr add "$house" dev houses; done
ip -n street link set lo up
ip -n street link set houses up
ip -n street route add default via 10.0.0.1
(while :; do ip netns exec street curl -sS -m 2 -o /dev/null http://203.0.113.80/ 2>/dev/null || :; sleep 0.1; done) &

# Two boxes that somebody else runs: a customer, and a web server.
ip netns add box
ip netns add shop
ip -n shop link set lo up
www=/run/www
mkdir "$www"
echo "hello from somebody else's server" >"$www/index.html"
(cd "$www" && exec ip netns exec shop python3 -m http.server 80 >/run/www.log 2>&1) &

# A container of podman, made from this machine's own root file system: no registry, no image.
if command -v podman >/dev/null; then
    # The container's runtime takes the second version alone.
    mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || true
    mkdir /run/podman
    printf '[storage]\ndriver = "vfs"\nrunroot = "/run/podman/run"\ngraphroot = "/run/podman/graph"\n' >/run/podman/storage.conf
    printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n' >/run/podman/containers.conf
    export CONTAINERS_STORAGE_CONF=/run/podman/storage.conf CONTAINERS_CONF=/run/podman/containers.conf
    podman run --detach --name shop --network none --cgroups=disabled --security-opt seccomp=unconfined --rootfs /:O \
        sh -c 'mkdir -p /tmp/www && cd /tmp/www && echo hello from a container >index.html && exec python3 -m http.server 80' \
        >/run/podman/log 2>&1 || cat /run/podman/log >&2
fi

status=0
"$@" || status=$?
exit "$status"
