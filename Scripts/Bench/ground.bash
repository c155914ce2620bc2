# What start-up, failover and probing have in common: a folder, names of their own, and that both go whatever happens.
# Sourced by Scripts/bench.

folder=$(mktemp -d)
tag=b$$
finish() {
    local name
    for name in $tag-up $tag-many $tag-tcp $tag-fail; do "${tapline:-:}" down "$name" >/dev/null 2>&1 || true; done
    for name in $tag-up $tag-tcp $tag-before; do "${earlier:-:}" down "$name" >/dev/null 2>&1 || true; done
    peer_down
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

peer_down() {
    local name
    for name in $(ip netns list | awk -v tag="$tag" 'index($1, tag "p-") == 1 {print $1}'); do
        ip netns pids "$name" | xargs -r kill -9 2>/dev/null || true
        ip netns del "$name"
    done
}
