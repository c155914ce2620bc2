import CLinux
import Glibc
import LinuxNetwork
import Nodes
import Reporting
import Wire

/// The sockets where requests for mappings arrive, in the namespace of the node that answers: one for each of the engine's
/// addresses, so an answer leaves from the address and port that was asked. On the thread of `NegotiationKeeper`.
final class NegotiationSockets {
    /// The node's namespace.
    let namespace: UInt64
    let servers: [IPAddress]
    let descriptors: [Int32]
    private let port: UInt16
    private var buffer = [UInt8](repeating: 0, count: 2048)

    /// - Throws: `SystemError` if a socket cannot be opened.
    init(_ servers: [IPAddress], port: UInt16, in namespace: NetworkNamespace) throws(SystemError) {
        var opened: [Int32] = []
        do throws(SystemError) {
            for server in servers {
                opened.append(
                    try namespace.perform { () throws(SystemError) in try Self.open(server, port) })
            }
        } catch {
            for descriptor in opened { close(descriptor) }
            throw error
        }
        self.namespace = namespace.identity
        self.servers = servers
        self.port = port
        descriptors = opened
    }

    deinit { for descriptor in descriptors { close(descriptor) } }

    private static func open(_ address: IPAddress, _ port: UInt16) throws(SystemError) -> Int32 {
        let what = "\(address) port \(port)"
        let descriptor = socket(
            address.family == .ipv6 ? AF_INET6 : AF_INET,
            Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("make a socket for", what, errno: errno) }
        guard address.withSocketAddress(port: port, { bind(descriptor, $0, $1) }) == 0,
            sendGroups(descriptor, address.family)
        else {
            let code = errno
            close(descriptor)
            throw SystemError("wait for requests at", what, errno: code)
        }
        return descriptor
    }

    /// Has packets to groups, which no route leads to, leave by the node's device.
    private static func sendGroups(_ descriptor: Int32, _ family: AddressFamily) -> Bool {
        // The loopback device has the number 1 in every namespace, and the node has one more.
        guard let names = if_nameindex() else { return false }
        defer { if_freenameindex(names) }
        var (place, device) = (0, UInt32(0))
        while names[place].if_index != 0 {
            if names[place].if_index != 1 { device = names[place].if_index }
            place += 1
        }
        guard family == .ipv4 else {
            return setsockopt(
                descriptor, Int32(IPPROTO_IPV6), IPV6_MULTICAST_IF, &device, socklen_t(MemoryLayout<UInt32>.size)) == 0
        }
        var request = ip_mreqn()
        request.imr_ifindex = Int32(device)
        return setsockopt(
            descriptor, Int32(IPPROTO_IP), IP_MULTICAST_IF, &request, socklen_t(MemoryLayout<ip_mreqn>.size)) == 0
    }

    /// Reads one datagram; nil: none waits. A datagram that does not fit is cut: its length shows that it is too long.
    func read(_ descriptor: Int32) -> (datagram: [UInt8], sender: IPAddress, port: UInt16)? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let count = buffer.withUnsafeMutableBytes { buffer in
            withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(descriptor, buffer.baseAddress, buffer.count, 0, $0, &length)
                }
            }
        }
        guard count >= 0, let (address, port) = Self.address(&storage) else { return nil }
        return (Array(buffer[..<count]), address, port)
    }

    private static func address(_ storage: inout sockaddr_storage) -> (IPAddress, UInt16)? {
        let family = Int32(storage.ss_family)
        return withUnsafeBytes(of: &storage) { octets in
            let port = UInt16(bigEndian: octets.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            switch family {
            case AF_INET:
                return (
                    IPAddress(ipv4: UInt32(bigEndian: octets.loadUnaligned(fromByteOffset: 4, as: UInt32.self))), port
                )
            case AF_INET6:
                let high = UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                let low = UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                return (IPAddress(ipv6High: high, low: low), port)
            default: return nil
            }
        }
    }

    /// Sends a datagram from the server's address. What cannot be sent is lost, as on any network.
    func send(_ datagram: [UInt8], from descriptor: Int32, to receiver: IPAddress, port: UInt16) {
        _ = receiver.withSocketAddress(port: port) { address, length in
            datagram.withUnsafeBytes {
                sendto(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT), address, length)
            }
        }
    }
}
