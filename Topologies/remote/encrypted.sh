# usage: encrypted.sh
# Another site behind WireGuard: a network namespace whose only way out is encrypted, and the router's end of that way.
set -e
umask 077
engine=198.18.64.1 gateway=198.18.66.1 site=198.18.66.7
outer=198.51.100.1 far=198.51.100.7
cd "$TAPLINE_DIR"
router() { nsenter --target 1 --net "$@"; }
ip link set lo up
# The router's end is in the namespace of the node's first process. One from before a restart may still be there.
router ip link delete site 2>/dev/null || :
router ip link delete wg-gateway 2>/dev/null || :
ip link add wan type veth peer name site netns 1
ip address add $far/24 dev wan
ip link set wan up
router sh -c "ip address add $outer/24 dev site; ip link set site up
    nft 'table ip way { chain out { type filter hook postrouting priority 0; oifname site udp dport 51820 counter accept; oifname site counter; }; }'"

for name in gateway site; do wg genkey | tee $name.private | wg pubkey > $name.public; done
router wireguard-go -f wg-gateway &
wireguard-go -f wg-site &
for name in gateway site; do until [ -S /run/wireguard/wg-$name.sock ]; do sleep 0.05; done; done
# WHERE NAME PEER ENDPOINT ALLOWED ADDRESS
secure() {
    $1 wg set wg-"$2" listen-port 51820 private-key "$2".private \
        peer "$(cat "$3".public)" endpoint "$4":51820 allowed-ips "$5"
    $1 ip address add "$6" dev wg-"$2"
    $1 ip link set wg-"$2" mtu 1420 up
}
secure "" site gateway $outer $gateway,$engine $site/24
secure router gateway site $far $site $gateway/24
ip route add $engine dev wg-site

# NAME ID MAC
tunnel() {
    ip link add "$1" mtu 1370 address "$3" type vxlan id "$2" local $site remote $engine dstport 4789 dev wg-site
    ip link set "$1" up
}
for key in all default; do echo 0 > /proc/sys/net/ipv4/conf/$key/rp_filter; done
tunnel in 10 02:00:00:00:10:07
tunnel out 11 02:00:00:00:11:07
ip address add 198.18.2.7/24 dev in
ip address add 198.18.3.7/24 dev out
ip route add 192.0.2.0/24 via 198.18.2.1
ip route add 203.0.113.80 via 198.18.3.1
echo 1 > /proc/sys/net/ipv4/ip_forward
nft -f firewall.nft
echo "the site is up"
wait
