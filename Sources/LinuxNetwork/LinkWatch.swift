import CLinux
import CNetlink

/// What has changed about the links of a namespace.
public enum LinkChange: Sendable {
    /// The link is there, and is like this now.
    case present(Link)
    /// The link of this number is gone.
    case gone(Int32)
    /// More has changed than the kernel could tell: look at all of them.
    case lost
}

/// Hears of every change of a link of a namespace as the kernel tells it (RTNLGRP_LINK), without asking for it: a link
/// that is switched off, deleted, freed from its bridge, or without carrier because of its other end, wherever that is.
public final class LinkWatch: @unchecked Sendable {
    /// Readable when something has changed; valid as long as this object lives.
    public let descriptor: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)

    /// Hears of what changes from now on.
    public init(in namespace: NetworkNamespace) throws(SystemError) {
        descriptor = try namespace.perform { () throws(SystemError) in
            try SystemError.check(clinux_link_socket(), "watch the links of", namespace.name)
        }
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// Calls `body` with every change that has been told.
    public func drain(_ body: (LinkChange) -> Void) {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count < 0 {
                switch currentErrno() {
                case EINTR: continue
                case ENOBUFS:
                    body(.lost)
                    continue
                default: return
                }
            }
            var header = buffer.baseAddress!.assumingMemoryBound(to: nlmsghdr.self)
            var left = Int32(count)
            while nlmsg_ok(header, left) != 0 {
                if let change = Self.change(NetlinkReply(header: header)) { body(change) }
                header = nlmsg_next(header, &left)
            }
        }
    }

    /// Nil for messages of bridges about their ports, which come beside those of the ports themselves.
    private static func change(_ reply: NetlinkReply) -> LinkChange? {
        guard let header = reply.familyHeader(ifinfomsg.self), header.ifi_family == UInt8(AF_UNSPEC) else { return nil }
        if reply.type == Int(RTM_DELLINK) { return .gone(header.ifi_index) }
        return Link(reply).map { .present($0) }
    }
}
