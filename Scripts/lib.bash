# What the scripts beside this file share: who may run them, what they install, how they build. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
swift_release=6.3.1
# Swift.org's "Swift 6.x Release Signing Key", by its whole fingerprint: whoever can change the list of keys that is fetched
# beside the release cannot add one of their own.
swift_key=52BB7E3DE28A71BE22EC05FFEF80A866B47A981F

say() { printf '%s\n' "$*" >&2; }
fail() { say "$(basename "$0"): $*"; exit 1; }

require_root() {
    [ "$(id -u)" -eq 0 ] || fail "needs root to build network namespaces; run: sudo $0"
}

# need_packages NAME…: installs with apt what is missing, and starts no daemon by it.
need_packages() {
    local missing=() name
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "these packages are missing; run: sudo apt-get install ${missing[*]}"
    command -v apt-get >/dev/null || fail "these packages are missing and there is no apt-get: ${missing[*]}"
    say "installing: ${missing[*]}"
    refresh_package_lists
    without_daemons env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${apt_options[@]}" "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}"
}
apt_options=()

refresh_package_lists() {
    [ -n "${package_lists_fresh:-}" ] && return 0
    apt-get update -qq >/dev/null || fail "apt-get update failed: is the network there?"
    package_lists_fresh=yes
}

# Runs an installation under a policy that starts no daemon, and disables at boot those that it brought.
without_daemons() {
    local policy=/usr/sbin/policy-rc.d ours='' status=0 before after unit
    before=$(systemctl list-unit-files --state=enabled --no-legend 2>/dev/null | awk '{print $1}' | sort)
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && ours=yes
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    "$@" || status=$?
    if [ -n "$ours" ]; then rm -f "$policy"; trap - EXIT; fi
    after=$(systemctl list-unit-files --state=enabled --no-legend 2>/dev/null | awk '{print $1}' | sort)
    for unit in $(comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after")); do
        case "$unit" in
            nginx.service | suricata.service | nftables.service | iperf3.service | haproxy.service | squid.service | \
                keepalived.service | bird.service | \
                pgbouncer.service | postgresql.service | \
                dnsdist.service | named.service | unbound.service | unbound-resolvconf.service | \
                apache2.service | c-icap.service | clamav-daemon.service | clamav-daemon.socket | \
                clamav-freshclam.service | clamsmtp.service | opensmtpd.service | openvpn.service | \
                strongswan.service | strongswan-starter.service | \
                kamailio.service | mosquitto.service | \
                miniupnpd.service | transmission-daemon.service | \
                mariadb.service | redis-server.service | sslh.service | varnish.service | varnishncsa.service | \
                openvswitch-switch.service | ovs-record-hostname.service | prometheus.service | \
                prometheus-node-exporter.service)
                systemctl disable -q "$unit" 2>/dev/null || true ;;
        esac
    done
    return "$status"
}

# Suricata: in Ubuntu's archive, and in Debian 12's backports, which are added where they are not yet known.
need_suricata() {
    command -v suricata >/dev/null && return 0
    refresh_package_lists
    if ! has_candidate suricata && grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
        local list=/etc/apt/sources.list.d/tapline-bookworm-backports.sources mirror
        mirror=$(apt-cache policy | awk '/bookworm\/main/ && !/security/ {print $2; exit}')
        say "adding bookworm-backports, for Suricata: $list"
        printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n' \
            "${mirror:-http://deb.debian.org/debian}" /usr/share/keyrings/debian-archive-keyring.gpg >"$list"
        package_lists_fresh=
        refresh_package_lists
        apt_options=(-t bookworm-backports)
    fi
    has_candidate suricata ||
        fail "Suricata cannot be had from this machine's package archives, and the main topology needs it"
    need_packages suricata
    apt_options=()
}

# A browser for the tests of the live page: Chromium of the distribution, or one that is there. Ubuntu's package only installs a
# snap, whose browser sees no files of the tests.
need_browser() {
    local name path
    for name in chromium chromium-browser google-chrome; do
        path=$(command -v "$name") || continue
        case "$(readlink -f "$path")" in */snap*) continue ;; esac
        grep -aqs 'snap run\|/snap/bin' "$path" || return 0
    done
    refresh_package_lists
    if ! has_candidate chromium || apt-cache show chromium | grep -q '^Depends:.*snapd'; then
        fail "the tests of the live page need Chromium or Google Chrome, and this machine's archives have none but a snap: \
install google-chrome-stable from https://www.google.com/chrome/"
    fi
    need_packages chromium
}

# What judges the API of the records, and a client that asks for ports, which Debian does not have or has older: from PyPI, by
# version, into a folder of its own.
need_judges() {
    local folder=$root/.build/judges name version package
    local -A releases=([schemathesis]=4.32.5 [openapi_spec_validator]=0.9.0 [libtorrent]=2.1.1)
    for name in "${!releases[@]}"; do
        version=${releases[$name]}
        [ -d "$folder/$name-$version.dist-info" ] || local absent=yes
    done
    # Some of it is compiled for one version of Python.
    version=$(python3 -c 'import sys; print(sys.version)')
    [ -z "${absent:-}" ] && [ "$(cat "$folder/python" 2>/dev/null)" = "$version" ] && return 0
    rm -rf "$folder"
    say "installing from PyPI: ${!releases[*]}"
    local packages=()
    for package in "${!releases[@]}"; do packages+=("${package//_/-}==${releases[$package]}"); done
    python3 -m pip install --quiet --disable-pip-version-check --no-input --root-user-action ignore --no-compile \
        --target "$folder" "${packages[@]}" || fail "PyPI did not give ${packages[*]}: is the network there?"
    printf '%s\n' "$version" >"$folder/python"
}

has_candidate() {
    local candidate
    candidate=$(apt-cache policy "$1" | awk '/Candidate:/ {print $2}')
    [ -n "$candidate" ] && [ "$candidate" != "(none)" ]
}

# The programs that the scenarios run, and those that look on.
need_applications() {
    need_packages iproute2 procps nftables nginx-light curl iputils-ping iputils-tracepath traceroute \
        haproxy squid dnsmasq-base bind9-dnsutils tcpdump iptables iperf3 python3
    need_suricata
}

# What runs containers for the tests: they make theirs from the machine's own root file system, without a registry.
need_podman() {
    need_packages podman busybox
}

# The programs of the topologies that only the tests run: one package a line, sorted.
need_gallery() {
    local packages=(
        apache2
        bind9
        bind9-utils
        busybox
        c-icap
        charon-systemd
        clamav-daemon
        clamsmtp
        dnsdist
        kamailio
        libapache2-mod-security2
        libc-icap-mod-virus-scan
        libcharon-extra-plugins
        libnginx-mod-http-modsecurity
        mariadb-client
        mariadb-server
        modsecurity-crs
        mosquitto
        mosquitto-clients
        natpmpc
        opensmtpd
        openssl
        openvpn
        pgbouncer
        postgresql
        redis-server
        redis-tools
        sip-tester
        sslh
        sslsplit
        strongswan-swanctl
        stunnel4
        swaks
        unbound
        varnish
        wireguard-go
        wireguard-tools
    )
    need_packages "${packages[@]}"
}

# Swift on the PATH, from where its installers put it, or from swift.org with its signature verified.
need_swift() {
    local place home
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    for place in /opt/swift/usr/bin /usr/share/swift/usr/bin /usr/libexec/swift/*/bin "$home/.local/share/swiftly/bin" \
        "/opt/swift-$swift_release/usr/bin"; do
        [ -x "$place/swift" ] && PATH=$PATH:$place
    done
    [ "${place%/bin}" = "$home/.local/share/swiftly" ] && export SWIFTLY_HOME_DIR="$home/.local/share/swiftly"
    need_packages libnl-3-dev libnl-route-3-dev libpcap-dev pkg-config git
    if command -v swift >/dev/null; then
        local version
        # A toolchain that was unpacked by hand may lack the libraries that it is linked with.
        swift --version >/dev/null 2>&1 || need_packages "${swift_libraries[@]}"
        version=$(swift_version)
        [ -n "$version" ] && [ "$(printf '%s\n6.3\n' "$version" | sort -V | head -n 1)" = 6.3 ] && return 0
        say "Swift ${version:-of unknown version} is older than 6.3"
    fi
    install_swift
}

swift_version() {
    { swift --version 2>/dev/null || true; } | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p'
}

# What swift.org's toolchains need of Debian and Ubuntu.
swift_libraries=(binutils ca-certificates g++ libc6-dev libcurl4 libedit2 libncurses6 libsqlite3-0 libxml2 libz3-4 tzdata
    zlib1g-dev)

install_swift() {
    local id release platform suffix='' name address folder
    # shellcheck source=/dev/null
    id=$(. /etc/os-release && echo "$ID")
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && echo "$VERSION_ID")
    [ "$(id -u)" -eq 0 ] || fail "Swift 6.3 is missing; install it from https://www.swift.org/install/linux/"
    case "$id-$release" in
        debian-12) platform=debian12 ;;
        ubuntu-22.04 | ubuntu-24.04) platform=ubuntu$release ;;
        *) fail "Swift 6.3 is missing; install it from https://www.swift.org/install/linux/" ;;
    esac
    [ "$(uname -m)" = aarch64 ] && suffix=-aarch64
    need_packages curl gnupg "${swift_libraries[@]}"
    name=swift-$swift_release-RELEASE-$platform$suffix
    address=https://download.swift.org/swift-$swift_release-release/${platform//./}$suffix/swift-$swift_release-RELEASE
    folder=$(mktemp -d)
    say "fetching Swift $swift_release from swift.org"
    if ! curl -fsSL "https://www.swift.org/keys/all-keys.asc" -o "$folder/keys" ||
        ! curl -fsSL "$address/$name.tar.gz" -o "$folder/swift.tar.gz" ||
        ! curl -fsSL "$address/$name.tar.gz.sig" -o "$folder/swift.tar.gz.sig"; then
        rm -rf "$folder"
        fail "Swift $swift_release could not be fetched; install it from https://www.swift.org/install/linux/"
    fi
    if ! gpg --homedir "$folder" --quiet --import "$folder/keys" 2>/dev/null ||
        ! is_signed_by "$swift_key" "$folder" "$folder/swift.tar.gz"; then
        rm -rf "$folder"
        fail "the fetched Swift $swift_release is not signed with swift.org's key $swift_key; nothing was installed"
    fi
    mkdir -p "/opt/swift-$swift_release"
    tar -xzf "$folder/swift.tar.gz" -C "/opt/swift-$swift_release" --strip-components=1
    rm -rf "$folder"
    PATH=/opt/swift-$swift_release/usr/bin:$PATH
}

# is_signed_by FINGERPRINT KEYS FILE: whether FILE.sig is a good signature of the file by that very key, or a subkey of it,
# which is in the key ring of the folder KEYS.
is_signed_by() {
    gpg --homedir "$2" --quiet --status-fd 1 --verify "$3.sig" "$3" 2>/dev/null |
        awk -v key="$1" '$2 == "VALIDSIG" && $NF == key { found = 1 } END { exit !found }'
}

# build [ARGUMENT…]: a release build; what it prints is kept back unless it fails.
build() {
    local log
    log=$(mktemp)
    say "building Tapline"
    if ! (cd "$root" && swift build -c release "$@" >"$log" 2>&1); then
        cat "$log" >&2
        rm -f "$log"
        fail "the build failed"
    fi
    rm -f "$log"
    # shellcheck disable=SC2034 # for those who source this
    products=$(cd "$root" && swift build -c release --show-bin-path)
}

# build_earlier COMMIT [PRODUCT…]: a release build of that commit in a folder of its own below .build, kept for the next
# time, with further products besides the two programs that every commit has; `earlier` becomes its program.
build_earlier() {
    local commit place log product
    commit=$(git -c safe.directory="$root" -C "$root" rev-parse --verify --quiet "$1^{commit}") || fail "$1 is no commit"
    place=$root/.build/beside/$commit
    # shellcheck disable=SC2034 # for those who source this
    earlier=$place/.build/release/tapline
    set -- tapline-engine tapline "${@:2}"
    for product in "$@"; do
        [ -x "$place/.build/release/$product" ] || break
        [ "$product" != "${!#}" ] || return 0
    done
    say "building Tapline of commit ${commit:0:12}"
    log=$(mktemp)
    mkdir -p "$place"
    git -c safe.directory="$root" -C "$root" archive "$commit" | tar -x -C "$place"
    # The same packages as today's.
    [ ! -f "$root/Package.resolved" ] || cp "$root/Package.resolved" "$place/"
    if ! (cd "$place" && for product in "$@"; do swift build -c release --product "$product" || exit; done) >"$log" 2>&1; then
        cat "$log" >&2
        rm -rf "$log" "$place"
        fail "the build of $commit failed"
    fi
    rm -f "$log"
}

# host_state: what Tapline must leave as it found it, one line each.
host_state() {
    {
        ip -o link show | sed -E 's/ qlen .*//; s/state [A-Z]+//; s/^[0-9]+: //'
        ip -o address show | sed -E 's/(valid|preferred)_lft [^ ]+//g; s/^[0-9]+: //'
        ip route show table all; ip -6 route show table all | sed -E 's/expires [0-9]+sec//'
        ip rule show; ip -6 rule show
        ls /run/netns /run/tapline /var/lib/tapline || true
        # Control groups are the machine's: those of lanes beside this one come and go.
        [ -n "${TEST_LANE_INSIDE:-}" ] || find /sys/fs/cgroup -type d -name 'tapline-*' | sort || true
        sort -k5 /proc/self/mountinfo | awk '{print $5, $9}'
        ip neigh show nud permanent || true
        sysctl -a 2>/dev/null | grep -E '^net\.(ipv4|ipv6|bridge|core)\.' | grep -vE 'nf_conntrack_count|entries|\.stable_secret' || true
        ps -eo stat=,pid=,args= | awk '$1 !~ /^Z/ && $3 ~ /tapline|suricata|nginx|haproxy|squid|dnsmasq/ {print $2, $3}'
    } 2>/dev/null
}
