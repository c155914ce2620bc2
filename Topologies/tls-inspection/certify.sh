# sh certify.sh authority NAME: makes a certificate authority; everybody finds its certificate in the shared folder.
# sh certify.sh site NAME [AUTHORITY]: makes a site's certificate, signed by an authority of this node, or by the site itself.
set -e
kind=$1 name=$2 authority=$3
SITE=$name openssl req -x509 -config pki.cnf -extensions "$kind" -days 30 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$TAPLINE_DIR/$name.key" -out "$TAPLINE_DIR/$name.crt" \
    ${authority:+-CA "$TAPLINE_DIR/$authority.crt" -CAkey "$TAPLINE_DIR/$authority.key"}
[ "$kind" = site ] || cp "$TAPLINE_DIR/$name.crt" "$TAPLINE_SHARE/"
