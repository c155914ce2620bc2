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
    private let listener: NetlinkListener

    /// Hears of what changes from now on.
    ///
    /// - Throws: The kernel's refusal of the socket; ENOMEM.
    public init(in namespace: NetworkNamespace) throws(SystemError) {
        listener = try namespace.listen([RTNLGRP_LINK], "watch the links of")
        descriptor = listener.descriptor
    }

    /// Calls `body` with every change that has been told.
    public func drain(_ body: (LinkChange) -> Void) {
        _ = listener.drain { heard in
            switch heard {
            case .message(let reply): if let change = Self.change(reply) { body(change) }
            case .lost: body(.lost)
            }
        }
    }

    /// Nil for messages of bridges about their ports, which come beside those of the ports themselves.
    private static func change(_ reply: NetlinkReply) -> LinkChange? {
        guard let header = reply.familyHeader(ifinfomsg.self), header.ifi_family == UInt8(AF_UNSPEC) else { return nil }
        if reply.type == Int(RTM_DELLINK) { return .gone(header.ifi_index) }
        do throws(NetlinkFailure) {
            return try Link(reply).map { .present($0) }
        } catch {
            // What libnl cannot read has to be looked at.
            return .lost
        }
    }
}
