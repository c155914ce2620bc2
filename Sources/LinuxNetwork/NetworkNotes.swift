import CLinux
import CNetlink

/// Hears of every change of a namespace's links, addresses, routes and rules, and from which netlink socket it came.
public final class NetworkNotes: @unchecked Sendable {
    /// The netlink socket that requested a change, by its port number. If the kernel chose the number, it is the
    /// process's number. It is 0 for:
    ///
    /// - changes of a link's state,
    /// - IPv6 addresses,
    /// - changes by ioctl,
    /// - the kernel's own changes.
    public typealias Port = UInt32

    /// Readable when something has changed; valid as long as this object lives.
    public let descriptor: Int32
    private let listener: NetlinkListener
    private var isLost = false
    private var notified: [NetworkState.Difference: (port: Port, age: Int)] = [:]
    private var age = 0

    private static let groups = [
        RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_IFADDR,
        RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE,
    ]

    /// Hears of what changes from now on.
    ///
    /// - Throws: The kernel's refusal of the socket; ENOMEM.
    public init(in namespace: NetworkNamespace) throws(SystemError) {
        listener = try namespace.listen(Self.groups, "watch the network of")
        descriptor = listener.descriptor
    }

    /// Reads the notifications; true if there were any.
    public func hear() -> Bool {
        listener.drain { heard in
            switch heard {
            case .message(let reply): note(reply)
            case .lost: isLost = true
            }
        }
    }

    private func note(_ reply: NetlinkReply) {
        let port = reply.header.pointee.nlmsg_pid
        if [Int(RTM_NEWLINK), Int(RTM_DELLINK)].contains(reply.type) {
            guard let header = reply.familyHeader(ifinfomsg.self) else { return }
            // Most notifications of a link carry 0. Keep one that names a socket.
            let device = NetworkState.Difference.device(header.ifi_index)
            if port != 0 || notified[device].map({ $0.port == 0 || $0.age != age }) ?? true {
                notified[device] = (port, age)
            }
            return
        }
        for kind in NetworkState.Kind.allCases {
            guard reply.type == kind.added || reply.type == kind.deleted, let octets = reply.lasting(kind) else {
                continue
            }
            let record = NetworkState.Record(kind: kind, octets: octets)
            notified[reply.type == kind.added ? .added(record) : .gone(record)] = (port, age)
        }
    }

    /// True if more has changed than the kernel could tell.
    public var hasLost: Bool { isLost }

    /// The socket that requested a difference; 0 if no socket is named, nil if there was no notification.
    func port(of difference: NetworkState.Difference) -> Port? { notified[difference]?.port }

    /// The notifications since the last settling.
    var lastNotified: [(NetworkState.Difference, Port)] {
        notified.compactMap { $0.value.age == age ? ($0.key, $0.value.port) : nil }
    }

    /// Settles all notifications except the last ones: a network state may be older than these.
    public func settled() {
        notified = notified.filter { $0.value.age == age }
        (isLost, age) = (false, age + 1)
    }
}

extension NetworkState {
    /// One thing in which two network states differ.
    enum Difference: Hashable {
        /// A device that came, went, or is another one in some respect, by its number.
        case device(Int32)
        case added(Record)
        case gone(Record)
    }

    func differences(to later: NetworkState) -> [Difference] {
        let (before, after) = (byIndex, later.byIndex)
        // Devices first: the records of a removed device go with it.
        return Set(before.keys).union(after.keys).sorted().filter { before[$0] != after[$0] }.map { .device($0) }
            + later.records.subtracting(records).map { .added($0) }
            + records.subtracting(later.records).map { .gone($0) }
    }

    /// The devices by their numbers.
    var byIndex: [Int32: Device] {
        Dictionary(devices.map { ($0.index, $0) }) { first, _ in first }
    }
}
