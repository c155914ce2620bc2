import Glibc
import Reporting

/// Reads from this machine's kernel which sysctls network namespaces have, without writing any.
package enum KernelSettings {
    /// The folders and files directly below `net` that some kernel has. Sources: Linux 4.18 to 6.18,
    /// Documentation/admin-guide/sysctl and the modules that add to it.
    private static let families: Set<String> = [
        "appletalk", "ax25", "bridge", "can", "core", "dccp", "ieee802154", "ipv4", "ipv6", "ipx", "iucv", "llc",
        "mctp",
        "mpls", "mptcp", "ncsi", "netfilter", "netrom", "nf_conntrack_max", "phonet", "rds", "rose", "rxrpc", "sctp",
        "smc",
        "token-ring", "unix", "vsock", "x25", "xfrm",
    ]
    /// The folders below `net` that have a folder for each device.
    private static let perDevice = [
        ["ipv4", "conf"], ["ipv6", "conf"], ["ipv4", "neigh"], ["ipv6", "neigh"], ["mpls", "conf"],
    ]

    /// The sysctls that exist once for the whole machine, and in no other network namespace (Linux 6.18).
    private static let wholeMachine: Set<String> = Set(
        [
            "bpf_jit_enable", "bpf_jit_harden", "bpf_jit_kallsyms", "bpf_jit_limit", "busy_poll", "busy_read",
            "default_qdisc",
            "dev_weight", "dev_weight_rx_bias", "dev_weight_tx_bias", "devconf_inherit_init_net",
            "fb_tunnels_only_for_init_net", "flow_limit_cpu_bitmap", "flow_limit_table_len", "gro_normal_batch",
            "high_order_alloc_disable", "max_skb_frags", "mem_pcpu_rsv", "message_burst", "message_cost",
            "netdev_budget",
            "netdev_budget_usecs", "netdev_max_backlog", "netdev_rss_key", "netdev_tstamp_prequeue",
            "netdev_unregister_timeout_secs", "rps_sock_flow_entries", "skb_defer_max", "warnings",
        ].map { "core.\($0)" }
            + [
                "cipso_cache_bucket_size", "cipso_cache_enable", "cipso_rbm_optfmt", "cipso_rbm_strictvalid",
                "fib_sync_mem",
                "inet_peer_maxttl", "inet_peer_minttl", "inet_peer_threshold", "ipfrag_secret_interval",
                "route.error_burst",
                "route.error_cost", "route.gc_elasticity", "route.gc_interval", "route.gc_min_interval",
                "route.gc_min_interval_ms", "route.gc_thresh", "route.gc_timeout", "route.max_size",
                "route.redirect_load",
                "route.redirect_number", "route.redirect_silence", "tcp_available_ulp", "tcp_low_latency",
                "tcp_max_orphans",
                "tcp_mem", "udp_mem",
            ].map { "ipv4.\($0)" }
            + [
                "ipv6.calipso_cache_bucket_size", "ipv6.calipso_cache_enable", "ipv6.ip6frag_secret_interval",
                "ipv6.mld_max_msf", "ipv6.mld_qrv", "netfilter.nf_log_all_netns", "nf_conntrack_max",
            ])

    /// False if /proc/sys cannot be read.
    package static var areKnown: Bool { access("/proc/sys/net/ipv4", F_OK) == 0 }

    /// True if no kernel has a sysctl of that name in a network namespace.
    static func isNobodys(_ name: String) -> Bool {
        let parts = parts(of: name)
        return parts.count < 2 || parts[0] != "net" || !families.contains(parts[1]) && access(path(parts), F_OK) != 0
    }

    /// True if the node does not have the device of a sysctl when its sysctls are set.
    ///
    /// - Parameter devices: The node's devices; it also has `lo`, and `all` and `default` stand for many.
    package static func isOfUnknownDevice(_ name: String, devices: [String]) -> Bool {
        let parts = parts(of: name)
        return isPerDevice(Array(parts.dropFirst())) && device(parts, devices) == nil
    }

    /// True for the path below `net` of a sysctl that each device has.
    static func isPerDevice(_ path: [String]) -> Bool { path.count > 2 && perDevice.contains(Array(path[..<2])) }

    /// The device in the path of a sysctl; a device's name may itself hold dots.
    private static func device(_ parts: [String], _ devices: [String]) -> String? {
        let rest = parts[3...].joined(separator: ".")
        return (devices + ["lo", "all", "default"]).first { rest == $0 || rest.hasPrefix($0 + ".") }
    }

    /// The fault of a sysctl, as far as this machine knows; nil: none.
    package static func fault(of name: String, devices: [String]) -> (message: String, hint: String)? {
        var parts = parts(of: name)
        if isPerDevice(Array(parts.dropFirst())), let known = device(parts, devices) {
            let tail = parts[3...].joined(separator: ".").dropFirst(known.count + 1).split(separator: ".").map(
                String.init)
            parts = Array(parts[...2]) + ["default"] + tail
        }
        if wholeMachine.contains(parts.dropFirst().joined(separator: ".")) {
            return (
                "\(quoted(name)) is a setting of the whole machine, not of a network namespace, so `up` fails",
                "set it on the machine with sysctl -w, and remove it here"
            )
        }
        guard access(path(parts), F_OK) != 0 else {
            var status = stat()
            guard stat(path(parts), &status) == 0, status.st_mode & 0o222 == 0 else { return nil }
            return (
                "\(quoted(name)) can only be read", "remove it"
            )
        }
        let folder = path(Array(parts.dropLast()))
        let near = parts.last.flatMap { Spelling.nearest(to: $0, among: names(in: folder)) }
        return (
            "this machine's kernel has no sysctl \(quoted(name)); without it, `up` fails",
            near.map { "did you mean \(quoted((parts.dropLast() + [$0]).joined(separator: ".")))?" }
                ?? "load its module on the machine that will run the file, or remove it"
        )
    }

    /// With dots, or with slashes if a device's name holds a dot.
    static func parts(of name: String) -> [String] {
        name.split(separator: name.contains("/") ? "/" : ".").map(String.init)
    }

    private static func path(_ parts: [String]) -> String { "/proc/sys/" + parts.joined(separator: "/") }

    private static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.first != "." { names.append(name) }
        }
        return names.sorted()
    }
}
