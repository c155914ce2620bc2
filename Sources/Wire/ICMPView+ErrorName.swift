extension ICMPView {
    /// The name of an ICMP error, in a few words.
    public static func errorName(_ type: UInt8, _ code: UInt8, _ family: AddressFamily) -> String {
        switch (family, type, code) {
        case (.ipv4, 3, 4), (.ipv6, 2, _): "packet too big"
        case (.ipv4, 3, 3), (.ipv6, 1, 4): "port unreachable"
        case (.ipv4, 3, 9), (.ipv4, 3, 10), (.ipv4, 3, 13), (.ipv6, 1, 1): "prohibited"
        case (.ipv4, 3, _), (.ipv6, 1, _): "unreachable"
        case (.ipv4, 11, _), (.ipv6, 3, _): "time exceeded"
        default: "type \(type), code \(code)"
        }
    }
}
