import CLinux
import CNetlink
import Glibc
import Wire

/// A request to the kernel to change links, addresses, routes or rules, as its sender wrote it. It tells the author of
/// changes for which the kernel names no socket. A change that the request does not name is not the request's.
public struct NetworkRequest: Sendable {
    /// A link's settings.
    enum Field: CaseIterable, Sendable {
        case name, isUp, isRunning, mtu, mac, master
    }

    private enum Subject { case link, address, route, other }

    /// False if it only asks.
    public private(set) var changes = true
    private var subject = Subject.other
    private var deletes = false
    /// The device by its number, or by its name.
    private var index: Int32 = 0
    private var name: String?
    /// The name of the other end that it makes.
    private var peerName: String?
    /// The fields of a link that it sets.
    private var newName: String?
    private var isUp: Bool?
    private var mtu: Int?
    private var mac: [UInt8]?
    private var master: Int32?
    private var leavesNamespace = false
    /// The address that it adds or removes, its family and its prefix length in bits; nil: any.
    private var address: [UInt8]?
    private var family: UInt8 = 0
    private var length: UInt8?

    private init() {}

    /// The netlink messages of one sending, or of its beginning.
    static func all(in octets: [UInt8]) -> [NetworkRequest] {
        var (requests, start) = ([NetworkRequest](), 0)
        repeat {
            let rest = Array(octets[start...])
            let length = rest.withUnsafeBytes { Int($0.integer(UInt32.self)) }
            requests.append(NetworkRequest(message: Array(rest.prefix(max(length, 0)))))
            start += max(Self.headerLength, (length + 3) & ~3)
        } while start + Self.headerLength <= octets.count
        return requests
    }

    /// The octets of the header that every netlink message begins with.
    private static let headerLength = MemoryLayout<nlmsghdr>.size
    /// Where a message's attributes begin, behind the header of its family.
    private static let linkLength = headerLength + MemoryLayout<ifinfomsg>.size
    private static let addressLength = headerLength + MemoryLayout<ifaddrmsg>.size

    /// A netlink message, or its beginning.
    private init(message octets: [UInt8]) {
        guard octets.count >= Self.addressLength else { return }
        let type = octets.withUnsafeBytes { Int($0.loadUnaligned(as: nlmsghdr.self).nlmsg_type) }
        // Types come in fours (new, delete, get, set) from RTM_NEWLINK on.
        changes = type >= Int(RTM_NEWLINK) && type & 3 != 2
        deletes = type & 3 == 1
        octets.withUnsafeBytes { octets in
            switch type & ~3 {
            case Int(RTM_NEWLINK) where octets.count >= Self.linkLength: readLink(octets)
            case Int(RTM_NEWADDR): readAddress(octets)
            default: break
            }
        }
    }

    private mutating func readLink(_ octets: UnsafeRawBufferPointer) {
        subject = .link
        let header = octets.loadUnaligned(fromByteOffset: Self.headerLength, as: ifinfomsg.self)
        index = header.ifi_index
        let (flags, mask) = (header.ifi_flags, header.ifi_change)
        if mask & UInt32(IFF_UP) != 0 || (mask == 0 && flags & UInt32(IFF_UP) != 0) {
            isUp = flags & UInt32(IFF_UP) != 0
        }
        var request = self
        NetlinkReply.forEachAttribute(in: UnsafeRawBufferPointer(rebasing: octets[Self.linkLength...])) {
            type, payload in
            switch type {
            case IFLA_IFNAME: request.name = payload.text
            case IFLA_MTU: request.mtu = Int(payload.integer(UInt32.self))
            case IFLA_ADDRESS: request.mac = Array(payload)
            case IFLA_MASTER: request.master = payload.integer(Int32.self)
            case IFLA_NET_NS_PID, IFLA_NET_NS_FD: request.leavesNamespace = true
            case IFLA_LINKINFO: request.peerName = Self.peerName(payload)
            default: break
            }
        }
        self = request
        // Where the number says which, the name is a new one.
        if index != 0 { (newName, name) = (name, nil) }
    }

    /// VETH_INFO_PEER (1) has an ifinfomsg, and the other end's attributes.
    private static func peerName(_ info: UnsafeRawBufferPointer) -> String? {
        var found: String?
        NetlinkReply.forEachAttribute(in: info) { type, payload in
            guard type == IFLA_INFO_DATA else { return }
            NetlinkReply.forEachAttribute(in: payload) { type, payload in
                let length = MemoryLayout<ifinfomsg>.size
                guard type == 1, payload.count > length else { return }
                let rest = UnsafeRawBufferPointer(rebasing: payload[length...])
                NetlinkReply.forEachAttribute(in: rest) { type, payload in
                    if type == IFLA_IFNAME { found = payload.text }
                }
            }
        }
        return found
    }

    private mutating func readAddress(_ octets: UnsafeRawBufferPointer) {
        subject = .address
        let header = octets.loadUnaligned(fromByteOffset: Self.headerLength, as: ifaddrmsg.self)
        (family, length) = (header.ifa_family, header.ifa_prefixlen)
        index = Int32(bitPattern: header.ifa_index)
        var request = self
        NetlinkReply.forEachAttribute(in: UnsafeRawBufferPointer(rebasing: octets[Self.addressLength...])) {
            type, payload in
            if type == IFA_LOCAL || (type == IFA_ADDRESS && request.address == nil) { request.address = Array(payload) }
        }
        self = request
    }

    /// An ioctl with a struct ifreq: a name of 16 octets, then what is set.
    init(call: UInt32, _ octets: [UInt8]) {
        guard octets.count == 40 else { return }
        octets.withUnsafeBytes { octets in
            name = UnsafeRawBufferPointer(rebasing: octets[..<16]).text
            let value = UnsafeRawBufferPointer(rebasing: octets[16...])
            switch call {
            // SIOCSIFFLAGS, SIOCSIFMTU, SIOCSIFHWADDR, SIOCSIFNAME, SIOCBRADDBR, SIOCBRDELBR, TUNSETIFF
            case 0x8914: (subject, isUp) = (.link, value.integer(UInt16.self) & UInt16(IFF_UP) != 0)
            case 0x8922: (subject, mtu) = (.link, Int(value.integer(Int32.self)))
            case 0x8924: (subject, mac) = (.link, Array(value[2..<8]))
            case 0x8923: (subject, newName) = (.link, UnsafeRawBufferPointer(rebasing: value[..<16]).text)
            case 0x89a0, 0x4004_54ca: subject = .link
            case 0x89a1: (subject, deletes) = (.link, true)
            // SIOCSIFADDR of IPv4: struct sockaddr_in.
            case 0x8916 where value.integer(UInt16.self) == UInt16(AF_INET):
                (subject, family, address) = (.address, UInt8(AF_INET), Array(value[4..<8]))
            // SIOCADDRT and SIOCDELRT of IPv4: struct rtentry has the destination's sockaddr_in after 8 octets.
            case 0x890b, 0x890c: (subject, deletes, address) = (.route, call == 0x890c, Array(octets[12..<16]))
            default: changes = false
            }
        }
    }

    /// A change of a link's state, by its number.
    public static func link(_ index: Int32, up: Bool) -> NetworkRequest {
        var request = NetworkRequest()
        (request.subject, request.index, request.isUp) = (.link, index, up)
        return request
    }

    // MARK: - Contents

    /// True if it is about this device.
    func concerns(_ device: NetworkState.Device) -> Bool {
        index != 0 ? index == device.index : name != nil && name == device.name
    }

    /// True if it asks that the device have what it has here.
    func asks(for field: Field, of device: NetworkState.Device, before: NetworkState.Device) -> Bool {
        guard subject == .link, !deletes, concerns(before) else { return false }
        switch field {
        case .name: return newName == device.name
        case .isUp: return isUp == device.isUp
        // That follows.
        case .isRunning: return isUp != nil
        case .mtu: return mtu == device.mtu
        case .mac: return mac.map { $0.reduce(0) { $0 << 8 | UInt64($1) } } == device.mac?.bits && mac != nil
        case .master: return master == (device.master ?? 0)
        }
    }

    /// True if it asks for a device of this name, which was not there.
    func makes(_ device: NetworkState.Device) -> Bool {
        subject == .link && !deletes && index == 0 && (name == device.name || peerName == device.name)
    }

    /// True if it takes this device away.
    func takesAway(_ device: NetworkState.Device) -> Bool {
        subject == .link && (deletes || leavesNamespace) && concerns(device)
    }

    /// True if it asks for this record, for which the kernel names no socket.
    func makes(_ record: NetworkState.Record, on device: NetworkState.Device) -> Bool {
        if subject == .route { return !deletes && leads(record) }
        guard concerns(device) else { return false }
        if record.isKernels { return true }
        return !deletes && names(record)
    }

    /// True if a record that was on a device is gone by it: named, or with the state that it asked for and the device
    /// has.
    func removes(
        _ record: NetworkState.Record, of device: NetworkState.Device, now: NetworkState.Device?
    ) -> Bool {
        if subject == .route { return deletes && leads(record) }
        guard concerns(device) else { return false }
        switch subject {
        case .link:
            guard let now else { return takesAway(device) }
            let isDown = isUp == false && !now.isUp
            // Below 1280 octets there is no IPv6.
            let isNarrow = mtu.map { $0 < 1280 && $0 == now.mtu } ?? false
            return isDown || (isNarrow && record.family == UInt8(AF_INET6))
                || (master != nil && master == now.master ?? 0 && device.master ?? 0 != now.master ?? 0)
        case .address:
            // With an address the routes go that need it.
            return deletes && (names(record) || (record.kind == .route && record.family == family))
        case .route, .other: return false
        }
    }

    /// True if a record is a route of IPv4 to the destination.
    private func leads(_ record: NetworkState.Record) -> Bool {
        record.kind == .route && record.family == UInt8(AF_INET) && record.ownAddress ?? [0, 0, 0, 0] == address
    }

    private func names(_ record: NetworkState.Record) -> Bool {
        guard subject == .address, record.kind == .address, record.family == family else { return false }
        return record.ownAddress == address && (length == nil || length == record.octets[1])
    }
}
