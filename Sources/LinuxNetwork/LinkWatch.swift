import CLinux
import CNetlink

/// A change of a link of a namespace.
public enum LinkChange: Sendable {
    /// The link is there, and is like this now.
    case present(Link)
    /// The link of this number is gone.
    case gone(Int32)
    /// More has changed than the kernel could tell: look at all of them.
    case lost
}

/// Hears of every change of a link of a namespace as the kernel notifies it (RTNLGRP_LINK), without polling.
///
/// A change is one of these:
///
/// - a link is switched off or deleted,
/// - a link leaves its bridge,
/// - a link loses its carrier because of its other end, in any namespace.
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

    /// Nil for a bridge's messages about its ports: the ports send messages of their own.
    private static func change(_ reply: NetlinkReply) -> LinkChange? {
        guard let header = reply.familyHeader(ifinfomsg.self), header.ifi_family == UInt8(AF_UNSPEC) else { return nil }
        if reply.type == Int(RTM_DELLINK) { return .gone(header.ifi_index) }
        do throws(NetlinkFailure) {
            return try Link(reply).map { .present($0) }
        } catch {
            // If libnl cannot read it, look at all links.
            return .lost
        }
    }
}
