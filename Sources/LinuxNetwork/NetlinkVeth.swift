import CLinux
import CNetlink
import Wire

/// The numbers of a veth pair's ends, each in its own namespace.
public struct VethPair: Hashable, Sendable {
    /// The end in the namespace of the socket that made the pair.
    public let near: Int32
    /// The other end.
    public let far: Int32
}

/// Veth pairs.
extension NetlinkSocket {
    /// Makes a pair of veth devices with one end here and the other in `namespace`; both complete, in one request,
    /// then marked and switched on in one more each (a veth cannot be on before it has its peer).
    ///
    /// - Parameter farIndex: The number that the other end is to have, free in `namespace`; any where nil.
    public func createVeth(
        near: LinkSettings, far: LinkSettings, in namespace: NetworkNamespace, farIndex wanted: Int32? = nil
    ) throws(SystemError) -> VethPair {
        let near = try near.checked(), far = try far.checked()
        let message = try NetlinkMessage(Int(RTM_NEWLINK), flags: NLM_F_CREATE | NLM_F_EXCL)
        // The kernel gives the other end the number asked for only where this end has one asked for, too.
        let nearIndex = try wanted == nil ? 0 : 1 + (links().map(\.index).max() ?? 0)
        message.header(Self.header(index: nearIndex, up: false))
        message.put(IFLA_IFNAME, near.name)
        near.put(in: message)
        try message.nest(IFLA_LINKINFO) { () throws(SystemError) in
            message.put(IFLA_INFO_KIND, "veth")
            try message.nest(IFLA_INFO_DATA) { () throws(SystemError) in
                try message.nest(Int(VETH_INFO_PEER)) { () throws(SystemError) in
                    message.header(Self.header(index: wanted ?? 0, up: false))
                    message.put(IFLA_IFNAME, far.name)
                    message.put(IFLA_NET_NS_FD, UInt32(namespace.descriptor))
                    var settings = far
                    settings.master = nil
                    settings.put(in: message)
                }
            }
        }
        try request(message, "create the veth pair", "\(near.name) and \(far.name) in \(namespace.name)")
        let made = try existingLink(named: near.name)
        guard let farIndex = made.peer else { throw SystemError("find the other end of", near.name, errno: ENODEV) }
        do throws(SystemError) {
            var rest = LinkSettings(name: near.name, mark: near.mark, isUp: near.isUp)
            try applyLink(index: made.index, rest)
            rest = LinkSettings(name: far.name, mark: far.mark, master: far.master, isUp: far.isUp)
            try namespace.netlink.applyLink(index: farIndex, rest)
        } catch {
            try? deleteLink(index: made.index)  // the error that led here is the one to tell
            throw error
        }
        return VethPair(near: made.index, far: farIndex)
    }
}
