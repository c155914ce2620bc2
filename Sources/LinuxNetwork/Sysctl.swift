import CLinux

/// Kernel parameters of a network namespace.
///
/// /proc/sys/net shows the parameters of the network namespace of the thread that opens it. Everything outside of it
/// belongs to the whole machine and is refused.
public enum Sysctl {
    /// Writes a parameter in `namespace`.
    ///
    /// - Parameter name: With dots, as sysctl(8) has it, or with slashes where an interface's name holds a dot:
    ///   "net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/rp_filter". It begins with "net".
    /// - Throws: ENOENT if there is no such parameter; EINVAL if the kernel does not take the value.
    public static func write(_ name: String, _ value: String, in namespace: NetworkNamespace) throws(SystemError) {
        try namespace.perform { () throws(SystemError) in try writeHere(name, value) }
    }

    /// Writes several parameters in `namespace`, in order.
    ///
    /// - Throws: The kernel's refusal of the first parameter that it does not take.
    public static func write(
        _ values: [(name: String, value: String)], in namespace: NetworkNamespace
    ) throws(SystemError) {
        try namespace.perform { () throws(SystemError) in
            for (name, value) in values { try writeHere(name, value) }
        }
    }

    /// Reads a parameter in `namespace`, without its newline.
    ///
    /// - Throws: ENOENT if there is no such parameter.
    public static func read(_ name: String, in namespace: NetworkNamespace) throws(SystemError) -> String {
        try namespace.perform { () throws(SystemError) in
            var text = try File.read(try path(name))
            while text.last == "\n" { text.removeLast() }
            return text
        }
    }

    static func writeHere(_ name: String, _ value: String) throws(SystemError) {
        let file = OwnedDescriptor(
            owning: try SystemError.checkErrno(
                clinux_open(try path(name), O_WRONLY, 0), "write the sysctl", name))
        var text = value
        let written = text.withUTF8 { CLinux.write(file.number, $0.baseAddress, $0.count) }
        guard written >= 0 else {
            let error = currentErrno()
            throw SystemError("write the sysctl", "\(name) = \(value)", errno: error)
        }
    }

    private static func path(_ name: String) throws(SystemError) -> String {
        let separator: Character = name.contains("/") ? "/" : "."
        let parts = name.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count > 1, parts[0] == "net", !parts.contains(where: { $0.isEmpty || $0 == ".." || $0 == "." })
        else { throw SystemError("write the sysctl", "\(name): it is not below net", errno: EINVAL) }
        return "/proc/sys/" + parts.joined(separator: "/")
    }
}
