# usage: site.sh NUMBER [ids]
# Another site: a network namespace with one link to the router, whose kernel ends the tunnels, filters and, if told, listens.
set -e
n=$1
engine=198.18.64.1 site=198.51.100.$((n * 16 + 7)) router=198.51.100.$((n * 16 + 1))
engine6=2001:db8:64::1 site6=2001:db8:51:$n::7 router6=2001:db8:51:$n::1
near=198.18.$((n * 10 + 2)) far=198.18.$((n * 10 + 3)) mac=02:00:00:0$n
ip link set lo up
# The router's end is in the namespace of the node's first process. One from before a restart may still be there.
nsenter --target 1 --net ip link delete site$n 2>/dev/null || :
ip link add wan mtu 1400 type veth peer name site$n mtu 1400 netns 1
nsenter --target 1 --net sh -c "
    ip address add $router/28 dev site$n
    ip address add $router6/64 dev site$n nodad
    ip link set site$n up"
ip address add $site/28 dev wan
connect() {
    ip link set wan up
    ip route add $engine via $router
    ip address add $site6/64 dev wan nodad
    ip route add $engine6 via $router6
}
connect

# NAME ID MAC LOCAL REMOTE
tunnel() {
    ip link add "$1" mtu 1330 address "$3" type vxlan id "$2" local "$4" remote "$5" dstport 4789 dev wan
    ip link set "$1" up
}
for key in all default; do echo 0 > /proc/sys/net/ipv4/conf/$key/rp_filter; done
tunnel in 10 $mac:10:07 $site $engine
tunnel out 11 $mac:11:07 $site $engine
ip address add $near.7/24 dev in
ip address add $far.7/24 dev out
ip route add 192.0.2.0/24 via $near.1
ip route add 203.0.113.80 via $far.1
echo 1 > /proc/sys/net/ipv4/ip_forward
nft -f firewall.nft
echo $$ > "$TAPLINE_DIR/site$n.pid"
echo "site $n is up"
if [ "$2" = ids ]; then
    tunnel ids 12 $mac:12:07 $site6 $engine6
    # The detector's copies are for tcpdump alone: the kernel would route them, too, and put their fragments to the firewall's.
    nft "table netdev copies { chain taken { type filter hook ingress device ids priority 0; policy drop; }; }"
    tcpdump -l -n -i ids &
fi
# Signals cut the link to the router, and heal it.
trap "ip link set wan down" USR1
trap connect USR2
while :; do wait || :; done
