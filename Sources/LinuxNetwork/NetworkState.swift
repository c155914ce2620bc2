import CLinux
import CNetlink
import Wire

/// The links, addresses, routes and rules of a namespace at one moment. Later changes can be found and undone.
///
/// Addresses, routes and rules of all tables are kept as the kernel wrote them, with all attributes. libnl's objects
/// know only some of the attributes. So a restored record is the same to the last octet. Routes of routing daemons and
/// routes that the kernel learns are left out.
public struct NetworkState: Sendable, Equatable {
    /// A device.
    struct Device: Sendable, Hashable {
        var index: Int32
        var name: String
        var isUp: Bool
        /// Not told as a change: it follows from other devices.
        var isRunning: Bool
        var mtu: Int
        var mac: MACAddress?
        var master: Int32?
        /// The other end of a pair, where it is in the same namespace.
        var peer: Int32?
    }
    /// An address, a route or a rule: its message without what counts and ages.
    struct Record: Sendable, Hashable {
        var kind: Kind
        var octets: [UInt8]
    }
    enum Kind: Int, Sendable, Hashable, CaseIterable {
        case address, route, rule
    }

    var devices: [Device]
    var records: Set<Record>
}

extension NetlinkSocket {
    /// How the namespace is now.
    ///
    /// - Throws: The kernel's refusal to list links, addresses, routes or rules.
    public func networkState() throws(SystemError) -> NetworkState {
        let devices = try links().map {
            NetworkState.Device(
                index: $0.index, name: $0.name, isUp: $0.isUp, isRunning: $0.isRunning, mtu: $0.mtu, mac: $0.mac,
                master: $0.master, peer: $0.isPeerApart ? nil : $0.peer)
        }
        var records: Set<NetworkState.Record> = []
        for kind in NetworkState.Kind.allCases {
            for family in AddressFamily.allCases {
                do throws(SystemError) {
                    try request(
                        kind.listing, "", { () throws(NetlinkFailure) in try kind.dump(of: family) },
                        reply: { reply in
                            guard let octets = reply.lasting(kind) else { return }
                            records.insert(NetworkState.Record(kind: kind, octets: octets))
                        })
                } catch {
                    // A kernel without policy routing has no rules.
                    guard kind == .rule, error.errno == EOPNOTSUPP || error.errno == EAFNOSUPPORT else { throw error }
                }
            }
        }
        return NetworkState(devices: devices, records: records)
    }
}

extension NetworkState {
    /// The differences in `other`, one sentence each: "the route default via 192.0.2.1 is gone".
    public func changes(to other: NetworkState, except: Set<Int32> = []) -> [String] {
        var summary: [String] = []
        let now = Dictionary(other.devices.map { ($0.index, $0) }) { first, _ in first }
        for device in devices where !except.contains(device.index) {
            guard let after = now[device.index] else {
                summary.append("the device \(device.name) is gone")
                continue
            }
            if after.name != device.name { summary.append("the device \(device.name) is called \(after.name)") }
            if after.isUp != device.isUp {
                summary.append("the device \(device.name) is \(after.isUp ? "up" : "down")")
            }
            if after.mtu != device.mtu {
                summary.append("the MTU of \(device.name) is \(after.mtu), not \(device.mtu)")
            }
            if after.mac != device.mac, let mac = after.mac {
                summary.append("the MAC address of \(device.name) is \(mac)")
            }
            if after.master ?? 0 != device.master ?? 0 {
                summary.append(
                    after.master ?? 0 == 0
                        ? "the device \(device.name) is a port of nothing"
                        : "the device \(device.name) is a port of another device")
            }
        }
        let known = Set(devices.map(\.index))
        for device in other.devices where !known.contains(device.index) {
            summary.append("there is a new device \(device.name)")
        }
        func names(_ record: Record) -> String {
            let device = record.device.map { index in
                (devices.first { $0.index == index } ?? now[index])?.name ?? "device \(index)"
            }
            return "\(record)" + (device.map { " on \($0)" } ?? "")
        }
        // A device's records go with it and get no sentence of their own.
        let gone = records.subtracting(other.records).filter { record in
            record.device.map { except.contains($0) || now[$0] == nil } != true
        }
        let added = other.records.subtracting(records).filter { $0.device.map(except.contains) != true }
        summary += gone.filter(\.isReported).map { "the \(names($0)) is gone" }.sorted()
        if summary.isEmpty { summary += gone.map { "the \(names($0)) is gone" }.sorted() }
        summary += added.filter { !$0.isKernels }.map { "there is a new \(names($0))" }.sorted()
        return summary
    }
}

extension NetworkState.Kind {
    private var listed: Int {
        switch self {
        case .address: Int(RTM_GETADDR)
        case .route: Int(RTM_GETROUTE)
        case .rule: Int(RTM_GETRULE)
        }
    }
    var added: Int { listed - 2 }
    var deleted: Int { listed - 1 }

    /// The request for all of this kind and of a family.
    func dump(of family: AddressFamily) throws(NetlinkFailure) -> NetlinkMessage {
        switch self {
        case .address:
            var header = ifaddrmsg()
            header.ifa_family = family.number
            return try .dump(listed, header)
        case .route, .rule:
            // struct fib_rule_hdr is laid out as rtmsg is.
            var header = rtmsg()
            header.rtm_family = family.number
            return try .dump(listed, header)
        }
    }

    var listing: String {
        switch self {
        case .address: "list the addresses"
        case .route: "list the routes"
        case .rule: "list the rules"
        }
    }

    var headerSize: Int {
        self == .address ? MemoryLayout<ifaddrmsg>.size : MemoryLayout<rtmsg>.size
    }
}

extension NetlinkReply {
    /// The flags of an address that a program sets. The others change at the kernel's own pace.
    private static let lastingFlags = UInt32(IFA_F_SECONDARY) | UInt32(IFA_F_NODAD) | UInt32(IFA_F_HOMEADDRESS)

    /// The message behind its netlink header, without what counts and ages; nil if it is not of the network state.
    func lasting(_ kind: NetworkState.Kind) -> [UInt8]? {
        guard type == kind.added || type == kind.deleted else { return nil }
        var head: [UInt8]
        switch kind {
        case .address:
            guard var header = familyHeader(ifaddrmsg.self) else { return nil }
            header.ifa_flags &= UInt8(truncatingIfNeeded: Self.lastingFlags)
            head = withUnsafeBytes(of: header) { Array($0) }
        case .route, .rule:
            guard var header = familyHeader(rtmsg.self) else { return nil }
            if kind == .route {
                guard header.rtm_protocol <= UInt8(RTPROT_STATIC),
                    header.rtm_type != UInt8(RTN_MULTICAST), header.rtm_flags & UInt32(RTM_F_CLONED) == 0,
                    // With an address the kernel makes these, and takes them away: no other part does.
                    header.rtm_protocol != UInt8(RTPROT_KERNEL) || header.rtm_table != UInt8(RT_TABLE_LOCAL.rawValue)
                else { return nil }
                // Whether a next hop is dead or its link without carrier shows by the link.
                header.rtm_flags &= UInt32(RTNH_F_ONLINK)
            }
            head = withUnsafeBytes(of: header) { Array($0) }
        }
        func take(_ type: Int, _ payload: UnsafeRawBufferPointer) {
            switch kind {
            case .address:
                guard [IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST].contains(type) else { return }
            case .route:
                guard type != Int(RTA_CACHEINFO.rawValue) else { return }
            case .rule: break
            }
            let length = UInt16(payload.count + 4)
            head += withUnsafeBytes(of: length) { Array($0) }
            head += withUnsafeBytes(of: UInt16(type)) { Array($0) }
            head += Array(payload)
            while head.count % 4 != 0 { head.append(0) }
        }
        switch kind {
        case .address: forEachAttribute(after: ifaddrmsg.self, take)
        case .route, .rule: forEachAttribute(after: rtmsg.self, take)
        }
        return head
    }
}

extension NetworkState.Record: CustomStringConvertible {
    private func attribute(_ wanted: Int) -> [UInt8]? {
        var found: [UInt8]?
        octets.withUnsafeBytes { octets in
            let rest = UnsafeRawBufferPointer(rebasing: octets[kind.headerSize...])
            NetlinkReply.forEachAttribute(in: rest) { type, payload in
                if type == wanted { found = Array(payload) }
            }
        }
        return found
    }

    private func address(_ attribute: Int) -> IPAddress? {
        self.attribute(attribute).flatMap { octets in octets.withUnsafeBytes { IPAddress(octets: $0) } }
    }

    /// The number of the device that it belongs to, where it belongs to one.
    var device: Int32? {
        switch kind {
        case .address: Int32(bitPattern: header(ifaddrmsg.self).ifa_index)
        case .route: attribute(Int(RTA_OIF.rawValue)).map { $0.withUnsafeBytes { $0.integer(Int32.self) } }
        case .rule: nil
        }
    }

    /// The octets of an address, or of a route's destination.
    var ownAddress: [UInt8]? {
        switch kind {
        case .address: attribute(Int(IFA_LOCAL)) ?? attribute(Int(IFA_ADDRESS))
        case .route: attribute(Int(RTA_DST.rawValue))
        case .rule: nil
        }
    }

    /// The header that the record begins with, of its kind's type.
    private func header<Header: BitwiseCopyable>(_: Header.Type) -> Header {
        octets.withUnsafeBytes { $0.loadUnaligned(as: Header.self) }
    }

    var family: UInt8 { kind == .address ? header(ifaddrmsg.self).ifa_family : header(rtmsg.self).rtm_family }

    /// The key that a route shares with its replacement: family, table, destination, type of service and priority.
    var routeKey: [UInt8]? {
        guard kind == .route else { return nil }
        let header = header(rtmsg.self)
        return [header.rtm_family, header.rtm_dst_len, header.rtm_tos]
            + [Int(RTA_TABLE.rawValue), Int(RTA_DST.rawValue), Int(RTA_PRIORITY.rawValue)].flatMap { type in
                attribute(type).map { [1] + $0 } ?? [0]
            }
    }

    var hasGateway: Bool {
        kind == .route
            && (attribute(Int(RTA_GATEWAY.rawValue)) != nil || attribute(Int(RTA_VIA.rawValue)) != nil)
    }

    /// True for records that the kernel makes by itself for a device or an address: routes, link-local addresses.
    var isKernels: Bool {
        switch kind {
        case .address: (address(Int(IFA_LOCAL)) ?? address(Int(IFA_ADDRESS)))?.isLinkLocal ?? false
        case .route: header(rtmsg.self).rtm_protocol == UInt8(RTPROT_KERNEL)
        case .rule: false
        }
    }

    /// False for records that go with an address or a device: they get no sentence of their own.
    var isReported: Bool { kind != .route || !isKernels }

    var description: String {
        let family: AddressFamily = self.family == UInt8(AF_INET) ? .ipv4 : .ipv6
        switch kind {
        case .address:
            let address = address(Int(IFA_LOCAL)) ?? address(Int(IFA_ADDRESS))
            return "address " + (address.map { "\($0)/\(header(ifaddrmsg.self).ifa_prefixlen)" } ?? "?")
        case .route:
            let length = header(rtmsg.self).rtm_dst_len
            let destination =
                address(Int(RTA_DST.rawValue)).map { "\($0)/\(length)" }
                ?? (family == .ipv4 ? "default" : "default (IPv6)")
            let gateway = address(Int(RTA_GATEWAY.rawValue)).map { " via \($0)" } ?? ""
            let table = attribute(Int(RTA_TABLE.rawValue)).map { $0.withUnsafeBytes { $0.integer(UInt32.self) } }
            let others = table.map { $0 == UInt32(RT_TABLE_MAIN.rawValue) ? "" : " in table \($0)" } ?? ""
            return "route \(destination)\(gateway)\(others)"
        case .rule:
            let priority = attribute(6).map { $0.withUnsafeBytes { $0.integer(UInt32.self) } } ?? 0
            return "\(family == .ipv4 ? "IPv4" : "IPv6") rule of priority \(priority)"
        }
    }
}
