# sh provide.sh openvpn|wireguard|ipsec: makes the keys of a gateway and of its customer, in the shared folder.
set -e
folder=$PWD
umask 077
cd "$TAPLINE_SHARE"

# certificate NAME KIND [AUTHORITY]
certificate() {
    NAME=$1 openssl req -x509 -config "$folder/pki.cnf" -extensions "$2" -days 30 -newkey ec \
        -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.crt" ${3:+-CA "$3.crt" -CAkey "$3.key"}
}

case "$1" in
    openvpn)
        certificate authority authority
        certificate openvpn server authority
        certificate laptop client authority
        ;;
    wireguard)
        for name in wireguard phone; do wg genkey | tee "$name.private" | wg pubkey >"$name.public"; done
        ;;
    ipsec)
        printf 'secrets { ike-tablet { secret = "%s" } }\n' "$(openssl rand -base64 24)" >ipsec.conf
        ;;
esac
