# sh ask.sh PATH [OPTION…]: forty requests for a page, each on a connection of its own, with further options of curl.
path=$1
shift
for _ in $(seq 40); do curl -sS -i -m 20 --get "$@" "http://site.example$path"; done
