# What `Scripts/bench failover` does, sourced by it. Each fault is caused once in every round, in Tapline and in its peer,
# under a 1 kHz UDP probe and a TCP stream; what the customer saw is printed as median/worst of all rounds.
#
# The service is alice -> firewall -> web. The firewall is two: fw-a (iptables, which hands all to Suricata) and fw-b
# (nftables). fw-a works as long as it can. The peer is keepalived, VRRP version 3 with an advertisement each 10 ms, which
# moves the two gateways (one group, with gratuitous ARP) between the same two firewalls on kernel bridges.

probe=$root/Scripts/Bench/failover-probe
address=203.0.113.80
# How long one measurement takes, and when in it the fault is caused, in seconds.
length=2
moment=0.7
# How long what a fault broke may take to be as it was, in seconds.
patience=30

# The faults in their order: a name, what happens in Tapline, and its like in the peer, which looks at no rule and has no
# engine.
faults=(
    "none|nothing: what the measurement itself sees|nothing"
    "kill|the firewall's process killed -9|keepalived killed -9, its rules drop everything"
    "link|link down inside the firewall|link down inside the firewall"
    "cable|link down at its other end|link down at its other end"
    "stop|the firewall SIGSTOPped|the firewall and keepalived SIGSTOPped"
    "dropping|the rules drop everything|"
    "passing|the rules pass everything|"
    "planned|the instance drained|keepalived ended"
    "engine-kill|an engine of two killed -9|"
    "engine-stop|an engine of two SIGSTOPped|"
    "engine-replace|an engine of two replaced|"
)

failover_files() {
    cat >"$folder/fw-a.rules" <<'RULES'
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -p tcp --dport 7007 -j NFQUEUE --queue-num 0
-A FORWARD -p tcp --sport 7007 ! --syn -j NFQUEUE --queue-num 0
-A FORWARD -p udp --dport 7007 -j NFQUEUE --queue-num 0
-A FORWARD -p udp --sport 7007 -j NFQUEUE --queue-num 0
-A FORWARD -p icmp -j NFQUEUE --queue-num 0
COMMIT
RULES
    sed '/NFQUEUE/d; /INVALID/d' "$folder/fw-a.rules" >"$folder/dropping.rules"
    sed 's/^:FORWARD DROP/:FORWARD ACCEPT/' "$folder/dropping.rules" >"$folder/passing.rules"
    cat >"$folder/fw-b.nft" <<'NFT'
table inet filter {
    chain forwarding {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iifname "inspection" meta l4proto { tcp, udp } th dport 7007 accept
        iifname "inspected" udp sport 7007 accept
        iifname "inspected" tcp sport 7007 tcp flags & (fin | syn | rst | ack) == ack accept
        meta l4proto icmp accept
    }
}
NFT
    cat >"$folder/suricata.yaml" <<'YAML'
%YAML 1.1
---
default-log-dir: .
rule-files: []
nfq: { mode: accept }
outputs: []
stats: { enabled: no }
logging: { default-log-level: notice, outputs: [ { console: { enabled: yes } } ] }
exception-policy: ignore
stream: { midstream: yes, inline: yes, drop-invalid: no, memcap: 32mb, reassembly: { memcap: 64mb } }
flow: { memcap: 32mb, hash-size: 4096, prealloc: 256 }
defrag: { memcap: 8mb }
unix-command: { enabled: no }
YAML
    cat >"$folder/failover.yaml" <<YAML
name: failover-bench
interfaces:
  customers:  { address: 192.0.2.1/24 }
  inspection: { address: 198.18.2.1/24 }
  inspected:  { address: 198.18.3.1/24 }
  servers:    { address: 198.18.4.1/24 }
customers:
  alice: { interface: customers, address: 192.0.2.10 }
applications:
  firewall:
    type: firewall
    attach: { in: inspection, out: inspected }
    sysctls: { net.netfilter.nf_conntrack_tcp_be_liberal: 1 }
    instances:
      fw-a:
        priority: 200
        setup: iptables-restore fw-a.rules
        run: exec suricata -c suricata.yaml -q 0 -l "\$TAPLINE_DIR"
        ready: started
        restart: always
      fw-b: { priority: 100, setup: nft -f fw-b.nft }
    health:
      - { heartbeat: true, interval: 10ms, fall: 3 }
      - { negative-heartbeat: { protocol: udp, destination-port: 9 }, interval: 10ms }
    damping: false
    drain: 1s
  web:
    type: server
    attach: servers
    run: exec python3 "$probe" serve $address
    ready: { tcp: 7007, address: $address }
services:
  bulk: { address: $address, ports: [tcp/7007, udp/7007], sequence: [firewall, web] }
engines: 2
YAML
}

# MARK: Tapline

ours=$tag-fail
ours_up() { # FILE
    "$tapline" up "$1" --name "$ours" -d >"$folder/errors" 2>&1 || { cat "$folder/errors" >&2; fail "$ours did not come up"; }
}
ours_in() { local node=$1; shift; ip netns exec "$ours-$node" "$@"; }
ours_suricata() { ip netns pids "$ours-fw-a" | xargs -r ps -o pid=,comm= -p | awk '/Suricata|suricata/ {print $1; exit}'; }
# The first packeting engine's process.
ours_engine() { "$tapline" status "$ours" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["engines"][0]["pid"])'; }
# The veth's end in the fabric: of fw-a's device NAME.
ours_cable() { # DEVICE up|down
    local namespace index
    namespace=$(ours_in fw-a ip -o link show "$1" | sed -n 's/.*link-netns \([^ \\]*\).*/\1/p')
    index=$(ours_in fw-a cat "/sys/class/net/$1/iflink")
    ip -n "$namespace" -o link show | awk -F': ' -v i="$index" '$1 == i {sub(/@.*/, "", $2); print $2}' |
        xargs -I DEVICE ip -n "$namespace" link set DEVICE "$2"
}
ours_break() {
    case $1 in
        none) ;;
        kill) kill -9 "$(ours_suricata)" ;;
        link) ours_in fw-a ip link set inspected down ;;
        cable) ours_cable inspected down ;;
        stop) kill -STOP "$(ours_suricata)" ;;
        dropping) ours_in fw-a iptables-restore "$folder/dropping.rules" ;;
        passing) ours_in fw-a iptables-restore "$folder/passing.rules" ;;
        planned) "$tapline" drain "$ours" fw-a --for 500ms ;;
        engine-kill) kill -9 "$(ours_engine)" ;;
        engine-stop) kill -STOP "$(ours_engine)" ;;
        engine-replace) "$tapline" engine replace "$ours" 1 ;;
    esac
}
ours_repair() {
    case $1 in
        link) ours_in fw-a ip link set inspected up && ours_in fw-a ip route replace default via 198.18.3.1 ;;
        cable) ours_cable inspected up && ours_in fw-a ip route replace default via 198.18.3.1 ;;
        stop) ours_suricata | xargs -r kill -CONT ;;
        dropping | passing) ours_in fw-a iptables-restore "$folder/fw-a.rules" ;;
        planned) "$tapline" undrain "$ours" fw-a ;;
    esac
}
# True where fw-a works and both engines run.
ours_is_whole() {
    "$tapline" status "$ours" --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
instances = {i["name"]: i for a in status["applications"] for i in a["instances"]}
whole = instances["fw-a"]["state"] == "active" and instances["fw-b"]["state"] == "standby"
# While it joins, what had begun before is left to the other one.
whole = whole and "joinLeft" not in instances["fw-a"]
sys.exit(not (whole and all(e["state"] == "running" for e in status["engines"])))'
}

# MARK: The peer

theirs_in() { local node=$1; shift; ip netns exec "$tag""p-$node" "$@"; }
theirs_leg() { # NODE DEVICE BRIDGE ADDRESS
    ip link add name "$2" netns "$tag""p-$1" type veth peer name "$1-$3" netns "$tag""p-switch"
    ip -n "$tag""p-switch" link set "$1-$3" master "$3" up
    ip -n "$tag""p-$1" link set "$2" up
    ip -n "$tag""p-$1" address add "$4" dev "$2"
}
theirs_gateway() { # NAME DEVICE IDENTIFIER PRIORITY ADDRESS
    cat <<CONF
vrrp_instance $1 {
    state BACKUP
    interface $2
    virtual_router_id $3
    priority $4
    advert_int 0.01
    virtual_ipaddress { $5 dev $2 }
}
CONF
}
theirs_keepalived() { # FIREWALL PRIORITY
    {
        echo 'global_defs { vrrp_version 3 }'
        echo 'vrrp_sync_group both { group { inside outside } }'
        theirs_gateway outside inspection 51 "$2" 192.0.2.1/24
        theirs_gateway inside inspected 52 "$2" 198.18.4.1/24
    } >"$folder/$1.conf"
    theirs_in "$1" keepalived -n -l -P -f "$folder/$1.conf" -p "$folder/$1.pid" -r "$folder/$1.vrrp" \
        >"$folder/$1.log" 2>&1 &
}
theirs_route() { theirs_in "$1" ip route replace "$address" via 198.18.4.10; }
theirs_up() {
    local node bridge
    for node in switch alice fw-a fw-b web; do
        ip netns add "$tag""p-$node"
        ip -n "$tag""p-$node" link set lo up
    done
    for bridge in b1 b2; do
        ip -n "$tag""p-switch" link add "$bridge" type bridge
        ip -n "$tag""p-switch" link set "$bridge" up
    done
    theirs_leg alice eth0 b1 192.0.2.10/24
    theirs_leg fw-a inspection b1 192.0.2.2/24
    theirs_leg fw-b inspection b1 192.0.2.3/24
    theirs_leg fw-a inspected b2 198.18.4.2/24
    theirs_leg fw-b inspected b2 198.18.4.3/24
    theirs_leg web eth0 b2 198.18.4.10/24
    ip -n "$tag""p-alice" route add default via 192.0.2.1
    ip -n "$tag""p-web" route add default via 198.18.4.1
    ip -n "$tag""p-web" address add "$address/32" dev lo
    for node in fw-a fw-b; do
        theirs_in $node sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_tcp_be_liberal=1
        theirs_route $node
    done
    theirs_in fw-a iptables-restore "$folder/fw-a.rules"
    theirs_in fw-b nft -f "$folder/fw-b.nft"
    theirs_in fw-a suricata -c "$folder/suricata.yaml" -q 0 -l "$folder" >"$folder/suricata.log" 2>&1 &
    theirs_in web python3 "$probe" serve "$address" >"$folder/web.log" 2>&1 &
    theirs_keepalived fw-a 200
    theirs_keepalived fw-b 100
}
theirs_pids() { cat "$folder/fw-a.pid" "$folder/fw-a.vrrp"; }
theirs_suricata() { ip netns pids "$tag""p-fw-a" | xargs -r ps -o pid=,comm= -p | awk '/Suricata|suricata/ {print $1; exit}'; }
theirs_break() {
    case $1 in
        none) ;;
        # A machine that is lost: nothing on it says so, and nothing on it passes anything on.
        kill) theirs_in fw-a iptables-restore "$folder/dropping.rules" && theirs_pids | xargs kill -9 ;;
        link) theirs_in fw-a ip link set inspected down ;;
        cable) ip -n "$tag""p-switch" link set fw-a-b2 down ;;
        stop) { theirs_suricata; theirs_pids; } | xargs kill -STOP ;;
        planned) kill -TERM "$(cat "$folder/fw-a.pid")" ;;
    esac
}
theirs_repair() {
    case $1 in
        kill)
            # What was killed could not take its addresses away.
            theirs_in fw-a ip address flush dev inspection
            theirs_in fw-a ip address flush dev inspected
            theirs_in fw-a ip address add 192.0.2.2/24 dev inspection
            theirs_in fw-a ip address add 198.18.4.2/24 dev inspected
            theirs_in fw-a iptables-restore "$folder/fw-a.rules"
            rm -f "$folder/fw-a.pid" "$folder/fw-a.vrrp"
            theirs_keepalived fw-a 200
            ;;
        link) theirs_in fw-a ip link set inspected up ;;
        cable) ip -n "$tag""p-switch" link set fw-a-b2 up ;;
        stop) { theirs_suricata; theirs_pids; } | xargs kill -CONT ;;
        planned) theirs_keepalived fw-a 200 ;;
    esac
    theirs_route fw-a
}
theirs_is_whole() {
    theirs_in fw-a ip -o address show dev inspection | grep -q '192\.0\.2\.1/' &&
        theirs_in fw-a ip -o address show dev inspected | grep -q '198\.18\.4\.1/' &&
        ! theirs_in fw-b ip -o address show dev inspection | grep -q '192\.0\.2\.1/' &&
        theirs_in alice ping -c 1 -W 1 "$address" >/dev/null
}

# MARK: Measuring

wait_until() { # COMMAND…: until it holds
    local deadline=$((SECONDS + patience))
    until "$@" 2>/dev/null; do
        if [ $SECONDS -ge $deadline ]; then
            say "after $patience s it is not true yet: $*"
            return 1
        fi
        sleep 0.1
    done
    sleep 0.3
}
# The same of an earlier commit's build, under a name of its own.
as_earlier() { local tapline=$earlier ours=$tag-before; "$@"; }
earlier_break() { as_earlier ours_break "$@"; }
earlier_repair() { as_earlier ours_repair "$@"; }
earlier_is_whole() { as_earlier ours_is_whole; }

measure_fault() { # ours|earlier|theirs FAULT CUSTOMER-NAMESPACE
    local measured
    ip netns exec "$3" python3 "$probe" measure "$address" "$length" >>"$folder/$1.$2" &
    measured=$!
    sleep "$moment"
    "$1_break" "$2" >"$folder/errors" 2>&1 || { cat "$folder/errors" >&2; fail "the fault $2 could not be caused"; }
    wait $measured
    "$1_repair" "$2" >"$folder/errors" 2>&1 || { cat "$folder/errors" >&2; fail "the fault $2 could not be repaired"; }
    wait_until "$1_is_whole" || fail "the fault $2 left a trace"
}
column() { # FILE FIELD: median/worst
    awk -v f="$2" '{print $f}' "$1" | sort -n |
        awk '{v[NR]=$1} END {m = NR % 2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2; printf "%.4g/%.4g", m, v[NR]}'
}
seen() { # TITLE SIDE FILE
    [ -s "$3" ] || return 0
    printf '%-48s %-10s %11s %13s %13s %13s %7s\n' "$1" "$2" "$(column "$3" 2)" "$(column "$3" 3)" "$(column "$3" 4)" \
        "$(column "$3" 5)" \
        "$(grep -c alive "$3" || true)/$(wc -l <"$3")"
}

# Each fault in Tapline and in its peer in turn, round after round; then what looking after many costs.
bench_failover() {
    local fault name ours_title theirs_title
    failover_files
    if [ "$sides" != peer ]; then
        ours_up "$folder/failover.yaml"
        wait_until ours_is_whole || fail "the topology is not healthy"
        if [ -n "${earlier:-}" ]; then
            as_earlier ours_up "$folder/failover.yaml"
            wait_until earlier_is_whole || fail "the topology of the earlier commit is not healthy"
        fi
    fi
    if [ "$sides" != tapline ]; then
        theirs_up
        wait_until theirs_is_whole || { cat "$folder"/fw-?.log >&2; fail "the peer did not come up"; }
    fi
    for _ in $(seq 1 "$rounds"); do
        for fault in "${faults[@]}"; do
            IFS='|' read -r name ours_title theirs_title <<<"$fault"
            case "$wanted" in *" $name "* | "  ") ;; *) continue ;; esac
            [ "$sides" = peer ] || measure_fault ours "$name" "$ours-alice"
            [ "$sides" = peer ] || [ -z "${earlier:-}" ] || measure_fault earlier "$name" "$tag-before-alice"
            [ "$sides" = tapline ] || [ -z "$theirs_title" ] || measure_fault theirs "$name" "$tag""p-alice"
        done
    done
    echo "Each figure is median/worst of $rounds rounds. Lost: of $((length * 1000)) datagrams, one each millisecond. Gap: the longest time"
    echo "between two answers. Sent: the longest between two datagrams sent, which is the machine's own. Stall: the longest in"
    echo "which the TCP stream brought nothing. All in milliseconds. Lived: streams that were neither reset nor closed."
    printf '%-48s %-10s %11s %13s %13s %13s %7s\n' fault in lost gap sent stall lived
    for fault in "${faults[@]}"; do
        IFS='|' read -r name ours_title theirs_title <<<"$fault"
        seen "$ours_title" tapline "$folder/ours.$name"
        seen "$ours_title" "${beside:0:10}" "$folder/earlier.$name"
        seen "$theirs_title" keepalived "$folder/theirs.$name"
    done
    peer_down
    [ "$sides" = peer ] && return
    "$tapline" down "$ours" >/dev/null 2>&1
    [ -z "${earlier:-}" ] || "$earlier" down "$tag-before" >/dev/null 2>&1
    [ "$wanted" != "  " ] || bench_probing
}

# What it costs the control process to look after 200 instances ten times a second: firewalls by heartbeats, which go in, come
# out and are answered, servers by whether they are there.
bench_probing() {
    local health firewalls servers share
    failover_files
    for health in heartbeat neighbour echo; do
        firewalls=
        servers=", redundancy: balance, instances: 200, health: { $health: true, interval: 100ms }"
        if [ $health = heartbeat ]; then
            firewalls=$servers
            servers=
        fi
        {
            sed -n '1,/^applications:/p' "$folder/failover.yaml" |
                sed 's/198\.18\.\([234]\)\.1\/24/10.\1.0.1\/16/'
            cat <<YAML
  firewall: { attach: { in: inspection, out: inspected }$firewalls }
  web: { attach: servers$servers }
services:
  bulk: { address: $address, sequence: [firewall, web] }
YAML
        } >"$folder/probing.yaml"
        ours_up "$folder/probing.yaml"
        share=$(processor_share "$("$tapline" status "$ours" --json |
            python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')" 10)
        "$tapline" down "$ours" >/dev/null 2>&1
        echo "control process, 200 instances, $health every 100 ms: $share % of one core"
    done
}
processor_share() { # PID SECONDS: percent of one core
    local before after
    before=$(awk '{print $14 + $15}' "/proc/$1/stat")
    sleep "$2"
    after=$(awk '{print $14 + $15}' "/proc/$1/stat")
    awk -v t=$((after - before)) -v s="$2" -v h="$(getconf CLK_TCK)" 'BEGIN {printf "%.1f", 100 * t / h / s}'
}
