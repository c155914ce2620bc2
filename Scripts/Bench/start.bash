# What `Scripts/bench start` does, sourced by it: how long start-up takes, TCP through the chain, and the engine's memory.

now() { date +%s%N; }
median() { sort -n | awk '{v[NR]=$1} END {print NR % 2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
milliseconds() { # milliseconds COMMAND…: how long it takes
    local start
    start=$(now)
    "$@" >/dev/null 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 2; }
    echo $((($(now) - start) / 1000)) | awk '{printf "%.1f\n", $1 / 1000}'
}
row() { printf '%-58s %12s %12s %8s\n' "$@"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }

# The four-interface topology with nothing in its nodes, the same with 200 customers, and rules for its firewall.
start_files() {
    local i
    cat >"$folder/up.yaml" <<'YAML'
name: bench
interfaces:
  customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
  inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
  inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
  servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
customers:
  alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
  bob:   { interface: customers, address: [192.0.2.20/24, "2001:db8:2::20/64"] }
applications:
  ids: { type: intrusion-detection, passive: true, attach: { in: inspection } }
  firewall: { type: firewall, attach: { in: inspection, out: inspected } }
  shop: { type: web-server, attach: { in: servers } }
  library: { type: web-server, attach: { in: servers } }
services:
  shopping: { address: 203.0.113.80, from: alice, distribute: [ids, firewall], sequence: [firewall, shop] }
  reading: { address: 203.0.113.81, from: bob, distribute: [ids, firewall], sequence: [firewall, library] }
YAML
    {
        sed -n '1,/^customers:/p' "$folder/up.yaml" | sed 's/192.0.2.1\/24/10.0.0.1\/16/; s/"2001:db8:2::1\/64"/"2001:db8:2::1\/64"/'
        for i in $(seq 1 200); do echo "  c$i: { interface: customers }"; done
        sed -n '/^applications:/,$p' "$folder/up.yaml" | sed 's/from: alice/from: c1/; s/from: bob/from: c2/'
    } >"$folder/many.yaml"
    cat >"$folder/firewall.nft" <<'NFT'
table inet filter {
    chain forwarding {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        tcp dport 5201 ct state new accept
    }
}
NFT
}

# The peer: the same namespaces, bridges, TAPs, veths, addresses and routes, one `ip` process each.
peer_bridge() { # NAME: a bridge with a TAP in the fabric
    ip -n "$fabric" link add "br-$1" type bridge
    ip netns exec "$fabric" ip tuntap add "tap-$1" mode tap multi_queue vnet_hdr
    ip -n "$fabric" link set "tap-$1" master "br-$1" up
    ip -n "$fabric" link set "br-$1" up
}
peer_leg() { # NODE DEVICE BRIDGE ADDRESS4 ADDRESS6 MAC
    ip link add name "$2" netns "$tag""p-$1" type veth peer name "v-$1-$2" netns "$fabric"
    ip -n "$tag""p-$1" link set "$2" address "$6" up
    ip -n "$tag""p-$1" address add "$4" dev "$2"
    ip -n "$tag""p-$1" address add "$5" dev "$2" nodad
    ip -n "$fabric" link set "v-$1-$2" master "br-$3" up
    bridge -n "$fabric" link set dev "v-$1-$2" isolated on learning off flood off
    bridge -n "$fabric" fdb replace "$6" dev "v-$1-$2" master static
}
peer_node() { # NAME: a namespace with the sysctls of a node
    ip netns add "$tag""p-$1"
    ip -n "$tag""p-$1" link set lo up
    ip netns exec "$tag""p-$1" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.accept_dad=0
}
peer_up() {
    fabric=$tag"p-fabric"
    ip netns add "$fabric"
    for b in cust insp insd serv; do peer_bridge $b; done
    local customers=${1:-2} i
    for i in $(seq 1 "$customers"); do
        peer_node "c$i"
        peer_leg "c$i" e0 cust "10.0.$((i / 200)).$((i % 200 + 10))/16" "2001:db8:2::$((i + 10))/64" \
            "$(printf '02:00:01:00:%02x:%02x' $((i / 256)) $((i % 256)))"
        ip -n "$tag""p-c$i" route add default via 10.0.0.1
        ip -n "$tag""p-c$i" route add default via 2001:db8:2::1
    done
    for i in ids fw shop lib; do peer_node $i; done
    peer_leg ids e0 insp 198.18.2.10/24 2001:db8:12::10/64 02:00:02:00:00:01
    peer_leg fw e0 insp 198.18.2.11/24 2001:db8:12::11/64 02:00:02:00:00:02
    peer_leg fw e1 insd 198.18.3.11/24 2001:db8:13::11/64 02:00:02:00:00:03
    peer_leg shop e0 serv 198.18.4.10/24 2001:db8:14::10/64 02:00:02:00:00:04
    peer_leg lib e0 serv 198.18.4.11/24 2001:db8:14::11/64 02:00:02:00:00:05
    ip netns exec "$tag""p-fw" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    ip -n "$tag""p-fw" route add default via 198.18.3.1
    ip -n "$tag""p-shop" route add default via 198.18.4.1
    ip -n "$tag""p-lib" route add default via 198.18.4.1
}

measure_up() { # TITLE FILE NAME PEER-CUSTOMERS
    local today=() theirs=() before=() i
    for i in $(seq 1 "$rounds"); do
        today+=("$(milliseconds "$tapline" up "$2" --name "$3" -d)")
        "$tapline" down "$3" >/dev/null 2>&1
        if [ -n "${earlier:-}" ]; then
            before+=("$(milliseconds "$earlier" up "$2" --name "$3" -d)")
            "$earlier" down "$3" >/dev/null 2>&1
        fi
        theirs+=("$(milliseconds peer_up "$4")")
        peer_down
    done
    local a b
    a=$(printf '%s\n' "${today[@]}" | median)
    b=$(printf '%s\n' "${theirs[@]}" | median)
    row "$1" "$a ms" "$b ms" "$(ratio "$a" "$b")"
    beside_row "$a" ms "${before[@]}"
}
beside_row() { # FIGURE UNIT VALUE…: today's figure beside the median of the earlier commit's values, where there are any
    [ $# -gt 2 ] || return 0
    local b
    b=$(printf '%s\n' "${@:3}" | median)
    row "  the same (peer: Tapline at $beside)" "$1 $2" "$b $2" "$(ratio "$1" "$b")"
}

# TCP through the whole chain: customer, firewall, server, with a copy of everything to a passive node.
tcp_topology() { # COPIES: yes or no
    sed -n '1,/^services:/p' "$folder/up.yaml" |
        sed -E 's/(firewall: .*) \}$/\1, setup: nft -f firewall.nft }/; s/(shop: .*) \}$/\1, run: exec iperf3 -s, ready: { tcp: 5201 } }/'
    local distribute='[firewall]'
    [ "$1" = yes ] && distribute='[ids, firewall]'
    echo "  bulk: { address: 203.0.113.80, ports: [tcp/5201], from: alice, distribute: $distribute, sequence: [firewall, shop] }"
}
gigabits() { # COMMAND… that runs an iperf3 client with -J
    "$@" | sed -n '/"sum_received"/,/}/s/.*"bits_per_second":[[:space:]]*\([0-9.e+]*\).*/\1/p' | awk '{printf "%.2f\n", $1 / 1e9}'
}
# The peer: the same namespaces connected by kernel bridges and a routing namespace where the engine would be.
kernel_chain() { # COPIES
    local i s=$tag"p-switch"
    ip netns add "$s"
    ip netns exec "$s" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
    for i in alice ids fw shop; do
        ip netns add "$tag""p-$i"
        ip -n "$tag""p-$i" link set lo up
        ip netns exec "$tag""p-$i" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
    done
    kernel_bridge() { # NAME ADDRESS
        ip -n "$s" link add "$1" type bridge
        ip -n "$s" link set "$1" up
        ip -n "$s" address add "$2" dev "$1"
    }
    kernel_leg() { # NODE DEVICE BRIDGE ADDRESS
        ip link add name "$2" netns "$tag""p-$1" type veth peer name "v$1$2" netns "$s"
        ip -n "$s" link set "v$1$2" master "$3" up
        ip -n "$tag""p-$1" link set "$2" up
        ip -n "$tag""p-$1" address add "$4" dev "$2"
    }
    kernel_bridge b1 192.0.2.1/24
    kernel_bridge b2 198.18.2.1/24
    kernel_bridge b3 198.18.3.1/24
    kernel_bridge b4 198.18.4.1/24
    kernel_leg alice e0 b1 192.0.2.10/24
    kernel_leg ids e0 b2 198.18.2.10/24
    kernel_leg fw e0 b2 198.18.2.11/24
    kernel_leg fw e1 b3 198.18.3.11/24
    kernel_leg shop e0 b4 198.18.4.10/24
    ip -n "$tag""p-alice" route add default via 192.0.2.1
    ip -n "$tag""p-fw" route add 192.0.2.0/24 via 198.18.2.1
    ip -n "$tag""p-fw" route add default via 198.18.3.1
    ip -n "$tag""p-shop" route add default via 198.18.4.1
    ip -n "$tag""p-shop" address add 203.0.113.80/32 dev lo
    ip netns exec "$tag""p-fw" sysctl -qw net.ipv4.ip_forward=1
    ip netns exec "$tag""p-fw" nft -f "$folder/firewall.nft"
    ip -n "$s" rule add iif b1 lookup 101
    ip -n "$s" route add default via 198.18.2.11 table 101
    ip -n "$s" rule add iif b3 lookup 103
    ip -n "$s" route add default via 198.18.4.10 table 103
    ip -n "$s" rule add iif b4 lookup 104
    ip -n "$s" route add default via 198.18.3.11 table 104
    if [ "$1" = yes ]; then
        ip netns exec "$s" tc qdisc add dev vfwe0 clsact
        ip netns exec "$s" tc filter add dev vfwe0 ingress u32 match u32 0 0 action mirred egress mirror dev vidse0
        ip netns exec "$s" tc filter add dev vfwe0 egress u32 match u32 0 0 action mirred egress mirror dev vidse0
        # The passive node gets single frames with full checksums here, as it does from Tapline.
        ip netns exec "$s" ethtool -K vidse0 tx off sg off tso off gso off >/dev/null 2>&1
    fi
    ip netns exec "$tag""p-shop" iperf3 -s -D
    sleep 0.3
}
measure_tcp() { # TITLE COPIES
    local today=() theirs=() before=() i memory=0
    tcp_topology "$2" >"$folder/tcp.yaml"
    for i in $(seq 1 "$rounds"); do
        "$tapline" up "$folder/tcp.yaml" --name "$tag-tcp" -d >/dev/null 2>&1
        today+=("$(gigabits "$tapline" exec "$tag-tcp" alice -- iperf3 -c 203.0.113.80 -C cubic -t 3 -J)")
        # shellcheck disable=SC2016 # awk's fields
        memory=$("$tapline" status "$tag-tcp" --json | sed -n '/"engine"/,/}/s/.*"pid" : \([0-9]*\).*/\1/p' |
            xargs -I PID awk '/^VmRSS/ {print $2 * 1024}' /proc/PID/status)
        "$tapline" down "$tag-tcp" >/dev/null 2>&1
        if [ -n "${earlier:-}" ]; then
            "$earlier" up "$folder/tcp.yaml" --name "$tag-tcp" -d >/dev/null 2>&1
            before+=("$(gigabits "$earlier" exec "$tag-tcp" alice -- iperf3 -c 203.0.113.80 -C cubic -t 3 -J)")
            "$earlier" down "$tag-tcp" >/dev/null 2>&1
        fi
        kernel_chain "$2"
        theirs+=("$(gigabits ip netns exec "$tag""p-alice" iperf3 -c 203.0.113.80 -C cubic -t 3 -J)")
        ip netns pids "$tag""p-shop" | xargs -r kill
        peer_down
    done
    local a b
    a=$(printf '%s\n' "${today[@]}" | median)
    b=$(printf '%s\n' "${theirs[@]}" | median)
    row "$1" "$a Gbit/s" "$b Gbit/s" "$(ratio "$a" "$b")"
    beside_row "$a" Gbit/s "${before[@]}"
    engine_memory=$memory
}

bench_start() {
    start_files
    row "figure (median of $rounds)" tapline peer ratio
    measure_up "up, four interfaces (peer: a script of ip commands)" "$folder/up.yaml" "$tag-up" 2
    measure_up "up, 200 customers on one interface (same peer)" "$folder/many.yaml" "$tag-many" 200
    measure_tcp "TCP through firewall (peer: kernel bridges and routing)" no
    measure_tcp "TCP through firewall, copied to a passive node (peer: tc)" yes
    row "engine resident memory after that" "$(awk -v b="${engine_memory:-0}" 'BEGIN {printf "%.1f MB", b / 1e6}')" - -
}
