# The gateway: its customer has one address. Runs when wireguard-go has made the device.
wg set wg0 listen-port "{{ services.wireguard.port }}" private-key "{{ share }}/wireguard.private" \
    peer "$(cat "{{ share }}/phone.public")" allowed-ips "{{ environment.TUNNEL }}.2"
ip address add "{{ environment.TUNNEL }}.1/24" dev wg0
ip link set wg0 up
