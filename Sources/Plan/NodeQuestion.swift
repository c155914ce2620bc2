import Wire

/// What a text, or the octets of a datagram, must have.
public enum TextPattern: Sendable, Hashable {
    /// This text somewhere.
    case contains(String)
    /// A place that this regular expression matches; ^ and $ are the ends of lines.
    case matches(String)
    /// These octets somewhere.
    case octets([UInt8])

    /// True if the octets have it.
    public func holds(in text: [UInt8]) -> Bool {
        switch self {
        case .contains(let part): text.holds(part)
        case .matches(let pattern): JSONExpectation.matches(pattern, String(decoding: text, as: UTF8.self))
        case .octets(let part): part.isEmpty || text.firstRange(of: part) != nil
        }
    }
}

extension TextPattern: CustomStringConvertible {
    /// It, for messages.
    public var description: String {
        switch self {
        case .contains(let text): "\"\(text)\""
        case .matches(let pattern): "a match of \(pattern)"
        case .octets(let part): "the octets \(part.map(Self.hexadecimal).joined())"
        }
    }

    private static func hexadecimal(_ octet: UInt8) -> String {
        (octet < 16 ? "0" : "") + String(octet, radix: 16)
    }
}

/// Something that is asked inside a node, to know whether a program of it is ready or healthy.
public enum NodeQuestion: Sendable, Hashable {
    /// A datagram is answered; by one with the pattern, if there is one.
    case datagram(address: IPAddress, port: UInt16, send: [UInt8], expect: TextPattern?)
    /// A line that a program has written to its log since it was started last has the pattern.
    ///
    /// - program: One of the node's `programs`; nil: its `run` command.
    case log(TextPattern, program: String?)
    /// There is a file of this path in the node; one that does not begin with / is in the node's own folder.
    case file(String)
    /// A name server answers a question: with a record of this data, or with the code of this name; nil: with any
    /// record.
    case dns(server: IPAddress, port: UInt16, question: DNSQuestion, expect: String?)

    /// Its name in messages and listings.
    public var name: String {
        switch self {
        case .datagram(_, let port, _, _): "udp \(port)"
        case .log(_, let program): "log" + (program.map { " of \($0)" } ?? "")
        case .file(let path): "file \(path)"
        case .dns(_, _, let question, _): "dns \(question.name) \(question.type.word)"
        }
    }
}
