# miniupnpd.sh NAME FOLDER: miniupnpd in a namespace NAME-m, a client of it in NAME-c, and what is outside in NAME-o. It runs until a line
# comes to its standard input, and is started again if it ends; then all is taken away. "ready" is printed when all is there.
set -eu
name=$1 folder=$2
server=$name-m client=$name-c outside=$name-o
take_away() {
    for made in "$server" "$client" "$outside"; do ip netns delete "$made" 2>/dev/null || true; done
}
trap take_away EXIT
for made in "$server" "$client" "$outside"; do ip netns add "$made"; done
# Its outside needs a device whose other end is elsewhere, and its address must be a public one.
ip link add inside netns "$server" type veth peer name eth0 netns "$client"
ip link add outside netns "$server" type veth peer name eth0 netns "$outside"
ip -n "$server" address add 198.18.4.1/24 dev inside
ip -n "$client" address add 198.18.4.10/24 dev eth0
ip -n "$server" address add 52.0.0.82/24 dev outside
for device in "$server inside" "$server outside" "$server lo" "$client eth0" "$outside eth0"; do
    # shellcheck disable=SC2086 # the namespace and the device
    set -- $device
    ip -n "$1" link set "$2" up
done
ip netns exec "$server" nft -f - <<RULES
table inet filter {
    chain forward { type filter hook forward priority 0; policy drop; jump miniupnpd; }
    chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
    chain miniupnpd { }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
RULES
cat >"$folder/miniupnpd.conf" <<CONFIGURATION
ext_ifname=outside
ext_ip=52.0.0.82
listening_ip=inside
enable_natpmp=yes
enable_upnp=no
min_lifetime=30
max_lifetime=86400
uuid=471fa32d-6576-4e04-a405-341780192cc0
allow 1024-65535 198.18.4.0/24 1024-65535
CONFIGURATION
while :; do
    ip netns exec "$server" /usr/sbin/miniupnpd -f "$folder/miniupnpd.conf" -P "$folder/miniupnpd.pid" -d \
        >>"$folder/miniupnpd.log" 2>&1 || true
    sleep 0.1
done </dev/null &
loop=$!
echo ready
read -r _ || true
# A test's children have other signals blocked.
kill -KILL "$loop" 2>/dev/null || true
wait "$loop" 2>/dev/null || true
# Whatever is left in the namespace ends with it.
ip netns pids "$server" | xargs -r kill -KILL 2>/dev/null || true
