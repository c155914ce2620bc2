import CLinux
import CNetlink
import Wire

/// Links: looking them up, changing and deleting them.
extension NetlinkSocket {
    /// The device called `name`, or nil.
    public func link(named name: String) throws(SystemError) -> Link? {
        let message = try NetlinkMessage(Int(RTM_GETLINK))
        message.header(ifinfomsg())
        message.put(IFLA_IFNAME, name)
        return try link(message, name)
    }

    /// The device numbered `index`, or nil.
    public func link(index: Int32) throws(SystemError) -> Link? {
        let message = try NetlinkMessage(Int(RTM_GETLINK))
        var header = ifinfomsg()
        header.ifi_index = index
        message.header(header)
        return try link(message, "number \(index)")
    }

    private func link(_ message: consuming NetlinkMessage, _ object: String) throws(SystemError) -> Link? {
        message.put(IFLA_EXT_MASK, UInt32(RTEXT_FILTER_SKIP_STATS))
        var found: Link?
        do throws(SystemError) {
            try request(message, "look up the link", object) { found = Link($0) ?? found }
        } catch {
            if error.errno == ENODEV { return nil }
            throw error
        }
        return found
    }

    /// The device called `name`.
    ///
    /// - Throws: ENODEV where there is none.
    public func existingLink(named name: String) throws(SystemError) -> Link {
        guard let link = try link(named: name) else { throw SystemError("find the link", name, errno: ENODEV) }
        return link
    }

    /// Every device of the namespace.
    public func links() throws(SystemError) -> [Link] {
        let message = try NetlinkMessage(Int(RTM_GETLINK), flags: NLM_F_DUMP)
        message.header(ifinfomsg())
        message.put(IFLA_EXT_MASK, UInt32(RTEXT_FILTER_SKIP_STATS))
        var links: [Link] = []
        try request(message, "list the links", "") { reply in
            if let link = Link(reply) { links.append(link) }
        }
        return links
    }

    /// Deletes a device (and a veth's other end with it).
    public func deleteLink(index: Int32) throws(SystemError) {
        let message = try NetlinkMessage(Int(RTM_DELLINK))
        var header = ifinfomsg()
        header.ifi_index = index
        message.header(header)
        try request(message, "delete the link", "number \(index)")
    }

    /// Switches a device on or off.
    public func setLink(index: Int32, up: Bool) throws(SystemError) {
        let message = try NetlinkMessage(Int(RTM_NEWLINK))
        message.header(Self.header(index: index, up: up))
        try request(message, up ? "switch on the link" : "switch off the link", "number \(index)")
    }

    /// Gives a device a MAC address.
    public func setLink(index: Int32, mac: MACAddress) throws(SystemError) {
        try changeLink(index, "set the MAC address \(mac) of the link") { $0.put(IFLA_ADDRESS, octets: mac.octets) }
    }

    /// Gives a device an MTU.
    public func setLink(index: Int32, mtu: Int) throws(SystemError) {
        try changeLink(index, "set the MTU \(mtu) of the link") { $0.put(IFLA_MTU, UInt32(clamping: mtu)) }
    }

    /// Sets how many packets a device's transmit queue holds.
    public func setLink(index: Int32, transmitQueueLength length: Int) throws(SystemError) {
        try changeLink(index, "set the transmit queue length \(length) of the link") {
            $0.put(IFLA_TXQLEN, UInt32(clamping: length))
        }
    }

    /// Writes a device's alias.
    public func setLink(index: Int32, mark: String) throws(SystemError) {
        try changeLink(index, "mark the link") { $0.put(IFLA_IFALIAS, octets: Array(mark.utf8)) }
    }

    /// Makes a device a port of the bridge `master`, or of none.
    public func setLink(index: Int32, master: Int32?) throws(SystemError) {
        try changeLink(index, master == nil ? "free from its bridge the link" : "attach to a bridge the link") {
            $0.put(IFLA_MASTER, master ?? 0)
        }
    }

    /// Renames a device.
    public func renameLink(index: Int32, to name: String) throws(SystemError) {
        try changeLink(index, "rename to \(name) the link") { $0.put(IFLA_IFNAME, name) }
    }

    /// Moves a device to another namespace, under another name there where `name` is given.
    public func moveLink(index: Int32, to namespace: NetworkNamespace, name: String? = nil) throws(SystemError) {
        try changeLink(index, "move to the namespace \(namespace.name) the link") {
            $0.put(IFLA_NET_NS_FD, UInt32(namespace.descriptor))
            if let name { $0.put(IFLA_IFNAME, name) }
        }
    }

    /// Changes MAC address, MTU, queue length, master and state of a device in one request, and its mark in another.
    func applyLink(index: Int32, _ settings: LinkSettings) throws(SystemError) {
        let message = try NetlinkMessage(Int(RTM_NEWLINK))
        message.header(Self.header(index: index, up: settings.isUp))
        if let mark = settings.mark { message.put(IFLA_IFALIAS, octets: Array(mark.utf8)) }
        settings.put(in: message)
        try request(message, "set up the link", settings.name)
    }

    private func changeLink(
        _ index: Int32, _ operation: @autoclosure () -> String, _ body: (borrowing NetlinkMessage) -> Void
    ) throws(SystemError) {
        let message = try NetlinkMessage(Int(RTM_NEWLINK))
        var header = ifinfomsg()
        header.ifi_index = index
        message.header(header)
        body(message)
        try request(message, operation(), "number \(index)")
    }

    static func header(index: Int32 = 0, up: Bool) -> ifinfomsg {
        var header = ifinfomsg()
        header.ifi_index = index
        header.ifi_flags = up ? UInt32(IFF_UP) : 0
        header.ifi_change = UInt32(IFF_UP)
        return header
    }
}

extension LinkSettings {
    /// The attributes that a device can be created with (an alias is not one of them).
    func put(in message: borrowing NetlinkMessage) {
        if let mac { message.put(IFLA_ADDRESS, octets: mac.octets) }
        if let mtu { message.put(IFLA_MTU, UInt32(clamping: mtu)) }
        if let transmitQueueLength { message.put(IFLA_TXQLEN, UInt32(clamping: transmitQueueLength)) }
        if let master { message.put(IFLA_MASTER, master) }
    }

    /// The same settings, refused where the kernel would cut the name.
    func checked() throws(SystemError) -> LinkSettings {
        guard (1...15).contains(name.utf8.count) else {
            throw SystemError("name a link", "\"\(name)\" (1 to 15 octets)", errno: EINVAL)
        }
        return self
    }
}
