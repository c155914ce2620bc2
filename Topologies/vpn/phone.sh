# The customer: the intranet is behind the gateway. Runs when wireguard-go has made the device.
wg set wg0 private-key "{{ share }}/phone.private" peer "$(cat "{{ share }}/wireguard.public")" \
    endpoint "{{ services.wireguard.address }}:{{ services.wireguard.port }}" allowed-ips "{{ interfaces.inside.network }}"
ip address add "{{ environment.TUNNEL }}.2/24" dev wg0
ip link set wg0 up
ip route add "{{ interfaces.inside.network }}" dev wg0
