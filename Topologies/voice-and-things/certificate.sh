# usage: certificate.sh NAME: a key in this node's folder, and a certificate of that name for all nodes.
exec openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj "/CN=$1" \
    -addext "subjectAltName=DNS:$1" -keyout "$TAPLINE_DIR/key.pem" -out "$TAPLINE_SHARE/$1.pem"
