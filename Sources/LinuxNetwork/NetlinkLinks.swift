import CLinux
import CNetlink
import Wire

/// Links: looking them up, changing and deleting them.
extension NetlinkSocket {
    /// The device called `name`, or nil.
    ///
    /// - Throws: The kernel's refusal.
    public func link(named name: String) throws(SystemError) -> Link? {
        try link(name: name, index: 0, name)
    }

    /// The device numbered `index`, or nil.
    ///
    /// - Throws: The kernel's refusal.
    public func link(index: Int32) throws(SystemError) -> Link? {
        try link(name: nil, index: index, "number \(index)")
    }

    private func link(name: String?, index: Int32, _ object: @autoclosure () -> String) throws(SystemError) -> Link? {
        var found: Link?
        do throws(SystemError) {
            try request(
                "look up the link", object(),
                { () throws(NetlinkFailure) in try Self.lookup(name: name, index: index) },
                reply: { (reply) throws(NetlinkFailure) in found = try Link(reply) ?? found })
        } catch {
            if error.errno == ENODEV { return nil }
            throw error
        }
        return found
    }

    /// The request for one device.
    static func lookup(
        name: String? = nil, index: Int32 = 0, withCounters: Bool = false
    ) throws(NetlinkFailure) -> NetlinkMessage {
        // libnl takes a number that no device has for none.
        guard name != nil || index > 0 else { throw NetlinkFailure(errno: ENODEV) }
        let message = try NetlinkMessage { rtnl_link_build_get_request(index, name, $0) }
        // libnl asks for virtual functions, which are not needed here. It has no call that leaves out the counters.
        try message.overwrite(Int(IFLA_EXT_MASK), withCounters ? 0 : UInt32(RTEXT_FILTER_SKIP_STATS))
        return message
    }

    /// The device called `name`.
    ///
    /// - Throws: ENODEV where there is none.
    public func existingLink(named name: String) throws(SystemError) -> Link {
        guard let link = try link(named: name) else { throw SystemError("find the link", name, errno: ENODEV) }
        return link
    }

    /// Every device of the namespace.
    ///
    /// - Throws: The kernel's refusal; EINTR if devices come and go all the time.
    public func links() throws(SystemError) -> [Link] {
        var links: [Link] = []
        try request(
            "list the links", "",
            { () throws(NetlinkFailure) in
                let message = try NetlinkMessage.dump(Int(RTM_GETLINK), ifinfomsg())
                try message.put(Int(IFLA_EXT_MASK), UInt32(RTEXT_FILTER_SKIP_STATS))
                return message
            },
            reply: { (reply) throws(NetlinkFailure) in
                if let link = try Link(reply) { links.append(link) }
            })
        return links
    }

    /// Deletes a device (and a veth's other end with it).
    ///
    /// - Throws: ENODEV where there is none.
    public func deleteLink(index: Int32) throws(SystemError) {
        try request("delete the link", "number \(index)") { () throws(NetlinkFailure) in
            let link = try LinkObject(index: index)
            return try NetlinkMessage { rtnl_link_build_delete_request(link.pointer, $0) }
        }
    }

    /// Switches a device on or off.
    ///
    /// - Throws: ENODEV where there is none.
    public func setLink(index: Int32, up: Bool) throws(SystemError) {
        try changeLink(index, up ? "switch on the link" : "switch off the link") { $0.set(up: up) }
    }

    /// Gives a device a MAC address.
    ///
    /// - Throws: ENODEV where there is none; the kernel's refusal of the address.
    public func setLink(index: Int32, mac: MACAddress) throws(SystemError) {
        try changeLink(index, "set the MAC address \(mac) of the link") { (link) throws(NetlinkFailure) in
            try link.set(mac: mac)
        }
    }

    /// Gives a device an MTU.
    ///
    /// - Parameter mtu: In octets, without the Ethernet header.
    /// - Throws: ENODEV where there is none; EINVAL where the device does not take it.
    public func setLink(index: Int32, mtu: Int) throws(SystemError) {
        try changeLink(index, "set the MTU \(mtu) of the link") {
            rtnl_link_set_mtu($0.pointer, UInt32(clamping: mtu))
        }
    }

    /// Sets how many packets a device's transmit queue holds.
    ///
    /// - Throws: ENODEV where there is none.
    public func setLink(index: Int32, transmitQueueLength length: Int) throws(SystemError) {
        try changeLink(index, "set the transmit queue length \(length) of the link") {
            rtnl_link_set_txqlen($0.pointer, UInt32(clamping: length))
        }
    }

    /// Writes a device's alias.
    ///
    /// - Parameter mark: At most 254 octets; an empty one takes the alias away.
    /// - Throws: ENODEV where there is no such device; ERANGE, EINVAL or EMSGSIZE where the alias is too long.
    public func setLink(index: Int32, mark: String) throws(SystemError) {
        try changeLink(index, "mark the link") { rtnl_link_set_ifalias($0.pointer, mark) }
    }

    /// Makes a device a port of the bridge `master`, or of none.
    ///
    /// - Throws: ENODEV where there is no such device; EINVAL where `master` is none that takes ports.
    public func setLink(index: Int32, master: Int32?) throws(SystemError) {
        try changeLink(index, master == nil ? "free from its bridge the link" : "attach to a bridge the link") {
            rtnl_link_set_master($0.pointer, master ?? 0)
        }
    }

    /// Renames a device.
    ///
    /// - Throws: ENODEV where there is none; EEXIST where the name is taken; ERANGE where it is longer than 15 octets.
    public func renameLink(index: Int32, to name: String) throws(SystemError) {
        try changeLink(index, "rename to \(name) the link") { (link) throws(NetlinkFailure) in
            try link.set(name: name)
        }
    }

    /// Moves a device to another namespace, under another name there where `name` is given.
    ///
    /// - Throws: ENODEV where there is none; EEXIST where the name is taken there.
    public func moveLink(index: Int32, to namespace: NetworkNamespace, name: String? = nil) throws(SystemError) {
        try changeLink(index, "move to the namespace \(namespace.name) the link") { (link) throws(NetlinkFailure) in
            rtnl_link_set_ns_fd(link.pointer, namespace.descriptor)
            if let name { try link.set(name: name) }
        }
    }

    /// Moves a device to another namespace, where it has this name and this number.
    ///
    /// - Throws: ENODEV where there is none; EEXIST or EBUSY where the name or the number is taken there; EINVAL where it
    ///   belongs to its namespace for good.
    public func moveLink(
        index: Int32, to namespace: NetworkNamespace, name: String, number: Int32
    ) throws(SystemError) {
        try request("move to the namespace \(namespace.name) the link", "number \(index)") {
            () throws(NetlinkFailure) in
            let link = try LinkObject()
            rtnl_link_set_ns_fd(link.pointer, namespace.descriptor)
            try link.set(name: name)
            let message = try link.changeRequest(index: index)
            try message.put(Self.newNumber, number)
            return message
        }
    }

    /// IFLA_NEW_IFINDEX (linux/if_link.h), since Linux 5.13.
    private static let newNumber = 49

    /// Changes MAC address, MTU, queue length, master, state and mark of a device in one request.
    func applyLink(index: Int32, _ settings: LinkSettings) throws(SystemError) {
        try request("set up the link", settings.name) { () throws(NetlinkFailure) in
            let link = try LinkObject()
            link.set(up: settings.isUp)
            if let mark = settings.mark { rtnl_link_set_ifalias(link.pointer, mark) }
            try link.set(settings)
            return try link.changeRequest(index: index)
        }
    }

    private func changeLink(
        _ index: Int32, _ operation: @autoclosure () -> String,
        _ body: (borrowing LinkObject) throws(NetlinkFailure) -> Void
    ) throws(SystemError) {
        try request(operation(), "number \(index)") { () throws(NetlinkFailure) in
            let link = try LinkObject()
            try body(link)
            return try link.changeRequest(index: index)
        }
    }
}

extension LinkSettings {
    /// The same settings, refused where the kernel would cut the name.
    func checked() throws(SystemError) -> LinkSettings {
        guard (1...15).contains(name.utf8.count) else {
            throw SystemError("name a link", "\"\(name)\" (1 to 15 octets)", errno: EINVAL)
        }
        return self
    }
}
