# Stores who connects, and who asks what: each packet of interest becomes a row. tshark's fields are separated as COPY's are; a
# backslash is doubled, so that it stays one. While the database is away (psql ends with status 2) rows wait.
tcpdump -n -U -i "$TAPLINE_IN" -w - tcp |
    tshark -l -n -r - -Y 'pgsql.query or (tcp.flags.syn == 1 and tcp.flags.ack == 0)' \
        -T fields -e ip.src -e ip.dst -e tcp.dstport -e pgsql.query |
    sed -u 's/\\/\\\\/g' |
    while IFS= read -r row; do
        while
            printf '%s\n' "$row" | psql -X -q -w -c "copy seen (customer, service, port, query) from stdin null ''"
            [ $? -eq 2 ]
        do sleep 1; done
    done
