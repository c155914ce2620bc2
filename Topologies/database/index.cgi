#!/bin/sh
# Answers a customer's request with the report, which is built now, from what the analyser has stored until now.
if report=$(psql -X -w --csv -c 'table report'); then
    printf 'Content-Type: text/csv\r\n\r\n%s\n' "$report"
else
    printf 'Status: 503 Service Unavailable\r\n\r\n'
fi
