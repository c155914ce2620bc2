import CLinux
import CNetlink
import Wire

/// All that a device loses when it is moved to another namespace: its addresses and routes, whether it is on, its alias,
/// its parameters below /proc/sys/net, and the work that it leaves to others. So it can be put back as it was.
///
/// It does not know queueing disciplines, filters (tc, XDP), group memberships and neighbours.
public struct DeviceState: Codable, Sendable, Equatable {
    /// The device's number in its namespace.
    public var index: Int32
    /// Its name.
    public var name: String
    /// Its MAC address.
    public var hardwareAddress: String
    /// Its MTU in octets.
    public var mtu: Int
    /// Packets that its transmit queue holds.
    public var transmitQueueLength: Int
    /// Whether it was on.
    public var isUp: Bool
    /// Its alias; empty if it had none.
    public var alias: String
    /// The features that were wanted on and could be changed.
    public var features: [String]
    /// Its parameters, such as `net/ipv4/conf/eth1/rp_filter`.
    public var parameters: [String: String]
    /// Its addresses, as the kernel wrote them (RTM_NEWADDR without the netlink header).
    public var addresses: [[UInt8]]
    /// The routes by it, of all tables, in the kernel's order (RTM_NEWROUTE).
    public var routes: [[UInt8]]

    private static let parameterFolders = ["ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh"]

    /// The state of a device.
    ///
    /// - Throws: ENODEV where there is none; the kernel's refusal to list something.
    public init(of name: String, in namespace: NetworkNamespace) throws(SystemError) {
        let netlink = try namespace.netlink
        let link = try netlink.existingLink(named: name)
        index = link.index
        self.name = link.name
        hardwareAddress = link.mac.map { "\($0)" } ?? ""
        mtu = link.mtu
        transmitQueueLength = link.transmitQueueLength
        isUp = link.isUp
        alias = link.alias ?? ""
        features = (try? netlink.changeableFeatures(of: link.name)) ?? []
        parameters = try namespace.perform { () throws(SystemError) in Self.parameters(of: link.name) }
        addresses = try netlink.records(.address, of: link.index)
        routes = try netlink.records(.route, of: link.index)
    }

    /// Called in the device's namespace.
    private static func parameters(of name: String) -> [String: String] {
        var found: [String: String] = [:]
        for folder in parameterFolders {
            guard let stream = opendir("/proc/sys/net/\(folder)/\(name)") else { continue }
            defer { closedir(stream) }
            while let entry = readdir(stream) {
                let file = withUnsafeBytes(of: &entry.pointee.d_name) { UnsafeRawBufferPointer($0).text }
                // The kernel makes a secret for itself, and counts in others.
                guard file.first != ".", file != "stable_secret",
                    let text = try? File.read("/proc/sys/net/\(folder)/\(name)/\(file)")
                else { continue }
                found["net/\(folder)/\(name)/\(file)"] = String(text.prefix { $0 != "\n" })
            }
        }
        return found
    }

    /// Puts a device back to this state, in its own namespace, as far as it is not in it. Its alias is written last, so that
    /// a mark shows until then that it is not whole.
    ///
    /// - Returns: The failures, as sentences.
    /// - Throws: ENODEV where there is no such device.
    public func restore(in namespace: NetworkNamespace) throws(SystemError) -> [String] {
        let netlink = try namespace.netlink
        let now = try netlink.existingLink(named: name)
        var failures: [String] = []
        func attempt(_ body: () throws(SystemError) -> Void) {
            do throws(SystemError) { try body() } catch { failures.append("\(error)") }
        }
        attempt { () throws(SystemError) in try restoreFeatures(netlink) }
        if now.mtu != mtu { attempt { () throws(SystemError) in try netlink.setLink(index: now.index, mtu: mtu) } }
        if now.transmitQueueLength != transmitQueueLength {
            attempt { () throws(SystemError) in
                try netlink.setLink(index: now.index, transmitQueueLength: transmitQueueLength)
            }
        }
        attempt { () throws(SystemError) in
            failures += try namespace.perform { () throws(SystemError) in restoreParameters() }
        }
        if now.isUp != isUp {
            attempt { () throws(SystemError) in try netlink.setLink(index: now.index, up: isUp) }
        }
        // The kernel's own records come with the device and with the addresses.
        for (kind, wanted) in [(NetworkState.Kind.address, addresses), (.route, routes)] {
            for octets in wanted.sorted(by: { !kind.hasGateway($0) && kind.hasGateway($1) }) {
                attempt { () throws(SystemError) in try netlink.ensure(kind, octets, of: now.index) }
            }
        }
        if failures.isEmpty || (now.alias ?? "") != alias {
            attempt { () throws(SystemError) in try netlink.setLink(index: now.index, mark: alias) }
        }
        return failures
    }

    private func restoreFeatures(_ netlink: NetlinkSocket) throws(SystemError) {
        let now = (try? netlink.changeableFeatures(of: name)) ?? []
        guard now != features else { return }
        try netlink.setFeatures(now.filter { !features.contains($0) }, of: name, on: false)
        try netlink.setFeatures(features.filter { !now.contains($0) }, of: name, on: true)
    }

    private func restoreParameters() -> [String] {
        let now = Self.parameters(of: name)
        // Settings for all devices, such as `forwarding`, do not change the others here.
        return parameters.sorted { $0.key < $1.key }.compactMap { key, value in
            guard let present = now[key], present != value else { return nil }
            do throws(SystemError) { try Sysctl.writeHere(key, value) } catch { return "\(error)" }
            return nil
        }
    }
}

extension NetworkState.Kind {
    /// True for a route by way of a gateway, which needs the route to the gateway first.
    fileprivate func hasGateway(_ octets: [UInt8]) -> Bool {
        NetworkState.Record(kind: self, octets: octets).hasGateway
    }
}

extension NetlinkSocket {
    /// The addresses of a device, or the routes by it, as they can be put back.
    fileprivate func records(_ kind: NetworkState.Kind, of index: Int32) throws(SystemError) -> [[UInt8]] {
        var found: [[UInt8]] = []
        for family in AddressFamily.allCases {
            try request(
                kind.listing, "", { () throws(NetlinkFailure) in try kind.dump(of: family) },
                reply: { reply in
                    guard let octets = reply.whole(kind),
                        NetworkState.Record(kind: kind, octets: octets).device == index
                    else { return }
                    found.append(octets)
                })
        }
        return found
    }

    /// Puts a record back, unless it is there.
    fileprivate func ensure(_ kind: NetworkState.Kind, _ octets: [UInt8], of index: Int32) throws(SystemError) {
        guard try !records(kind, of: index).contains(octets) else { return }
        let record = NetworkState.Record(kind: kind, octets: octets)
        let flags = NLM_F_CREATE | (kind == .route ? NLM_F_APPEND : NLM_F_REPLACE)
        do throws(SystemError) {
            try request("put back the", "\(record)") { () throws(NetlinkFailure) in
                let message = try NetlinkMessage(kind.added, flags: flags)
                var octets = octets
                try message.append(&octets, octets.count)
                return message
            }
        } catch {
            guard error.errno != EEXIST else { return }
            throw error
        }
    }
}

extension NetlinkReply {
    /// The message behind its netlink header, with all that a request may say; nil if it is of another kind, or if the
    /// kernel makes it by itself.
    fileprivate func whole(_ kind: NetworkState.Kind) -> [UInt8]? {
        guard type == kind.added else { return nil }
        var head: [UInt8]
        let left: Set<Int>
        if kind == .address {
            guard var header = familyHeader(ifaddrmsg.self) else { return nil }
            // They follow from the device and from the address's age.
            header.ifa_flags &= ~UInt8(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)
            head = withUnsafeBytes(of: header) { Array($0) }
            // Addresses that expire go on doing so, from what is left of their time.
            left = UInt32(header.ifa_flags) & UInt32(IFA_F_PERMANENT) != 0 ? [Int(IFA_CACHEINFO)] : []
        } else {
            guard var header = familyHeader(rtmsg.self), header.rtm_flags & UInt32(RTM_F_CLONED) == 0,
                header.rtm_type != UInt8(RTN_MULTICAST),
                header.rtm_table != UInt8(RT_TABLE_LOCAL.rawValue) || header.rtm_protocol != UInt8(RTPROT_KERNEL)
            else { return nil }
            header.rtm_flags &= UInt32(RTNH_F_ONLINK)
            head = withUnsafeBytes(of: header) { Array($0) }
            left = [Int(RTA_CACHEINFO.rawValue)]
        }
        func take(_ type: Int, _ payload: UnsafeRawBufferPointer) {
            guard !left.contains(type) else { return }
            var payload = Array(payload)
            if kind == .address, type == Int(IFA_FLAGS), payload.count == 4 {
                payload[0] &= ~UInt8(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)
            }
            head += withUnsafeBytes(of: UInt16(payload.count + 4)) { Array($0) }
            head += withUnsafeBytes(of: UInt16(type)) { Array($0) }
            head += payload
            while head.count % 4 != 0 { head.append(0) }
        }
        if kind == .address {
            forEachAttribute(after: ifaddrmsg.self, take)
        } else {
            forEachAttribute(after: rtmsg.self, take)
        }
        return head
    }
}
