import LinuxNetwork

/// A named network namespace that Tapline did not make, for tests of what must be left alone.
///
/// Made as Tapline makes its own, and then without a mark: `ip netns add` would leave /run/netns mounted on itself on a
/// machine where no namespace ever had a name, and a test leaves the host as it was.
final class ForeignNamespace {
    let name: String
    private let identity: UInt64
    private var isDeleted = false

    /// - Parameter mark: Somebody else's alias of its lo; nil for none.
    init(_ name: String, mark: String? = nil) throws {
        self.name = name
        let namespace = try NetworkNamespace.create(name, mark: mark ?? "somebody else's")
        identity = namespace.identity
        if mark == nil { try namespace.netlink.setLink(index: 1, mark: "") }
    }

    /// True where it is there, and is no other.
    var isThere: Bool { (try? NetworkNamespace.open(name))?.identity == identity }

    /// Takes it away before its time.
    func delete() throws {
        try NetworkNamespace.delete(name)
        isDeleted = true
    }

    deinit {
        guard !isDeleted else { return }
        do { try NetworkNamespace.delete(name) } catch { print("the namespace \(name) was gone already: \(error)") }
    }
}
