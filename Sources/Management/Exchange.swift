import Instructions
import Records
import Wire

/// A request of the API, whole.
struct APIRequest: Sendable {
    var method: String
    /// The target as it was sent: a path, and a query behind a question mark.
    var target: String
    /// The fields, with their names in small letters, in their order.
    var fields: [(name: String, value: String)]
    var body: [UInt8]
    /// Where it came from, for the audit.
    var origin: String
    /// True if it came by a way that is the operator's alone.
    var isOperators: Bool
    /// True if nobody on the way could read it.
    var isSecure = false
    /// The token of a session of the page, in whose name the page asks. A request from outside has none.
    var session: Admission?
    /// Who sent it, by the management address; nil: it came by the operator's socket.
    var peer: Peer?

    /// The other end of a connection with the management address.
    struct Peer: Sendable {
        /// The source of the packets.
        var address: IPAddress
        /// The names in the client certificate that an authority of the file's has signed; empty: there is none.
        var certificate: [String] = []
        /// When it expires, in seconds since 1970.
        var expires = 0
    }

    /// The value of a field.
    ///
    /// - Throws: `Problem` if it is given more than once.
    func field(_ name: String) throws(Problem) -> String? {
        let values = fields.filter { $0.name == name }.map(\.value)
        guard values.count < 2 else { throw Problem(.notAsExpected, "the field \(name) is given twice") }
        return values.first
    }
}

/// An answer of the API.
struct APIAnswer: Sendable {
    var status: Int
    var type = "application/json"
    var headers: [(String, String)] = []
    var body: [UInt8] = []
}

/// A target of HTTP: the parts of its path and the parameters of its query, decoded.
struct RequestTarget {
    var steps: [String]
    var query: [String: String]

    /// - Throws: `Problem` if it is none.
    init(_ target: String) throws(Problem) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.first?.first == "/" else { throw Problem(.notAsExpected, "the target is no path") }
        steps = []
        for step in parts[0].dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            steps.append(try Self.decoded(step, plusIsBlank: false))
        }
        query = [:]
        guard parts.count > 1, !parts[1].isEmpty else { return }
        for pair in parts[1].split(separator: "&", omittingEmptySubsequences: false) {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try Self.decoded(sides[0], plusIsBlank: true)
            guard query[name] == nil else {
                throw Problem(.notAsExpected, "a parameter is given twice", hint: "give each once")
            }
            query[name] = sides.count > 1 ? try Self.decoded(sides[1], plusIsBlank: true) : ""
        }
    }

    /// A target without the scheme and authority that it may begin with (RFC 9112, section 3.2.2): there is one authority here.
    static func path(of target: String) -> String {
        let scheme = target.prefix(8).lowercased()
        guard scheme == "https://" || scheme.hasPrefix("http://") else { return target }
        let rest = target.utf8.dropFirst(scheme == "https://" ? 8 : 7)
        guard let end = rest.firstIndex(where: { "/?".utf8.contains($0) }) else { return "/" }
        let path = String(target[end...])
        return path.hasPrefix("?") ? "/" + path : path
    }

    private static func decoded(_ text: Substring, plusIsBlank: Bool) throws(Problem) -> String {
        var octets: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "+") where plusIsBlank: octets.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
                else { throw Problem(.notAsExpected, "a percent sign stands without two hexadecimal digits") }
                octets.append(value)
                rest.removeFirst(2)
            default: octets.append(octet)
            }
        }
        guard let decoded = String(validating: octets, as: UTF8.self), !decoded.unicodeScalars.contains("\0") else {
            throw Problem(.notAsExpected, "the target is no text in UTF-8")
        }
        return decoded
    }
}
