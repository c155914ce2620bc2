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
    /// Makes a pair of veth devices with one end here and the other in `namespace`. One request makes both ends
    /// complete. One more request for each marks it and switches it on: a veth cannot be on before it has its peer.
    ///
    /// - Parameter farIndex: The number of the other end, free in `namespace`; nil: any.
    /// - Throws: EEXIST where a name or the number is taken; EINVAL for a name longer than 15 octets.
    public func createVeth(
        near: LinkSettings, far: LinkSettings, in namespace: NetworkNamespace, farIndex wanted: Int32? = nil
    ) throws(SystemError) -> VethPair {
        let near = try near.checked(), far = try far.checked()
        // The kernel gives the other end the number asked for only where this end has one asked for, too.
        let nearIndex = try wanted == nil ? 0 : 1 + (links().map(\.index).max() ?? 0)
        try request("create the veth pair", "\(near.name) and \(far.name) in \(namespace.name)") {
            () throws(NetlinkFailure) in
            let link = LinkObject(owning: try NetlinkFailure.check(allocated: rtnl_link_veth_alloc()))
            rtnl_link_set_ifindex(link.pointer, nearIndex)
            try link.set(name: near.name)
            try link.set(near)
            let peer = LinkObject(owning: try NetlinkFailure.check(allocated: rtnl_link_veth_get_peer(link.pointer)))
            rtnl_link_set_ifindex(peer.pointer, wanted ?? 0)
            rtnl_link_set_ns_fd(peer.pointer, namespace.descriptor)
            try peer.set(name: far.name)
            var settings = far
            settings.master = nil
            try peer.set(settings)
            return try link.addRequest()
        }
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
