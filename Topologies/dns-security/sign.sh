# Signs two zones, and shares the keys that resolvers trust. For forged.test, that is not the key of its signatures.
set -e
cd /var/lib/bind
mkdir keys trusted
for zone in bank.test forged.test; do
    dnssec-keygen -q -a ECDSAP256SHA256 -f KSK -K keys "$zone" > "$zone.key"
    dnssec-signzone -q -S -z -K keys -o "$zone" -f "$zone.signed" zone
done
dnssec-keygen -q -a ECDSAP256SHA256 -f KSK -K trusted forged.test > trusted.key
cat keys/Kbank.test.*.key trusted/Kforged.test.*.key > "$TAPLINE_SHARE/anchors"
