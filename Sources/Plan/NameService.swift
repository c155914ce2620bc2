import Wire

/// The resolver that answers nodes' questions for names at the engine's addresses: `dns: true`.
public enum NameService {
    /// The name of its node, and of the interface that the node is on.
    public static let node = "dns"
    /// The type of its node.
    public static let type = "dns"
    /// The port, of UDP and TCP (RFC 1035, 4.2).
    public static let port: UInt16 = 53

    /// Networks that its interface may have: the first that no other network overlaps. They are for use between two ends of
    /// one link (RFC 7335, RFC 2544), or were drawn once (RFC 4193).
    package static let networks: [AddressFamily: [String]] = [
        .ipv4: ["192.0.0.1/29", "198.19.255.249/29", "100.127.255.249/29"],
        .ipv6: ["fd8e:52c6:3d1b:53::1/64", "fd8e:52c6:3d1b:54::1/64"],
    ]

    /// What its node runs. It binds its port, and becomes nobody. It asks no other server: names that the topology does not
    /// have are refused.
    package static let command =
        "exec dnsmasq --keep-in-foreground --conf-file=/dev/null --log-facility=- --no-resolv --no-poll --local-ttl=1 "
        + "--cache-size=0 --pid-file= --user=nobody"
}
