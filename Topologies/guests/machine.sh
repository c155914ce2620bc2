#!/bin/sh
# Plays the machine of this scenario, runs a command on it, and takes all away when the command ends:
#
#   sudo ./machine.sh tapline run topology.yaml
#   sudo ./machine.sh tapline run topology-machine.yaml
#   sudo ./machine.sh bash
#
# Nothing of it is on the real machine: it has its own network, processes, /run and mounts, and in them podman's containers and
# the image localhost/shop, which is made from this machine's busybox. No registry is asked.
set -eu
# The virtual machine of topology-machine.yaml comes from the network.
case "$*" in *topology-machine*) [ "${GUESTS_MACHINE:-}" = "$$" ] || "$(dirname "$0")/guest.sh" ;; esac
if [ "${GUESTS_MACHINE:-}" != "$$" ]; then
    exec unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
        sh -c 'GUESTS_MACHINE=$$; export GUESTS_MACHINE; exec sh "$0" "$@"' "$0" "$@"
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
ip link set lo up

if command -v podman >/dev/null; then
    # The container's runtime takes the second version alone.
    mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || true
    mkdir /run/podman
    printf '[storage]\ndriver = "vfs"\nrunroot = "/run/podman/run"\ngraphroot = "/run/podman/graph"\n' >/run/podman/storage.conf
    printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n[containers]\ncgroups = "disabled"\nseccomp_profile = "unconfined"\n' \
        >/run/podman/containers.conf
    export CONTAINERS_STORAGE_CONF=/run/podman/storage.conf CONTAINERS_CONF=/run/podman/containers.conf

    # The image: busybox with the libraries that it needs, and a page.
    box=$(command -v busybox)
    root=/run/podman/root
    mkdir -p $root/bin $root/tmp $root/www/cgi-bin
    cp "$box" $root/bin/busybox
    for applet in sh httpd wget cat echo hostname id sleep kill; do ln -s busybox $root/bin/$applet; done
    for library in $(ldd "$box" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
    echo 'hello from an image' >$root/www/index.html
    printf '#!/bin/sh\necho Content-Type: text/plain\necho\necho "$GREETING, $TAPLINE_NODE of $TAPLINE_TOPOLOGY on $(hostname)"\n' \
        >$root/www/cgi-bin/who
    chmod 755 $root/www/cgi-bin/who
    cat >/run/podman/Containerfile <<'END'
FROM scratch
COPY root /
CMD ["httpd", "-f", "-v", "-p", "80", "-h", "/www"]
HEALTHCHECK CMD wget -q -O /dev/null http://127.0.0.1/
END
    podman build --quiet --format docker --tag localhost/shop:1 /run/podman >/run/podman/log 2>&1 || cat /run/podman/log >&2
fi

status=0
"$@" || status=$?
exit "$status"
