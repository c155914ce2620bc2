/// A question to a name server, and the reading of its answer (RFC 1035, section 4; RFC 3596 for AAAA, RFC 2782 for SRV).
///
/// ```
///  0                   1
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
/// +-------------------------------+
/// |              ID               |
/// |QR| Opcode |AA|TC|RD|RA| Z|RCODE|
/// |            QDCOUNT            |
/// |            ANCOUNT            |
/// |            NSCOUNT            |
/// |            ARCOUNT            |
/// +-------------------------------+
/// ```
public struct DNSQuestion: Sendable, Hashable {
    /// The types of records whose data can be read.
    public enum RecordType: UInt16, Sendable, Hashable, CaseIterable {
        case a = 1
        case ns = 2
        case cname = 5
        case soa = 6
        case ptr = 12
        case mx = 15
        case txt = 16
        case aaaa = 28
        case srv = 33

        /// As zone files write it.
        public var word: String { "\(self)".uppercased() }
    }

    /// The name, without the dot at its end.
    public let name: String
    /// The type of the wanted records.
    public let type: RecordType

    /// nil if no domain can have the name: labels have 1 to 63 octets, and all of them at most 253 with their dots.
    public init?(name: String, type: RecordType) {
        let bare = name.utf8.last == 0x2E ? String(name.dropLast()) : name
        let labels = bare.split(separator: ".", omittingEmptySubsequences: false)
        guard bare.utf8.count <= 253, labels.allSatisfy({ (1...63).contains($0.utf8.count) }),
            bare.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
        self.name = bare
        self.type = type
    }

    /// The octets of the query: recursion is desired, and nothing else is.
    public func query(id: UInt16) -> [UInt8] {
        var octets: [UInt8] = [UInt8(id >> 8), UInt8(id & 0xFF), 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") {
            octets.append(UInt8(label.utf8.count))
            octets += label.utf8
        }
        return octets + [0, UInt8(type.rawValue >> 8), UInt8(type.rawValue & 0xFF), 0, 1]
    }

    /// The meaning of a datagram that came back; nil if it is no answer to the query with this identification.
    public func answer(in octets: [UInt8], id: UInt16) -> DNSAnswer? {
        var reader = DNSReader(octets)
        guard let seen = reader.word(), seen == id, let flags = reader.word(), flags & 0x8000 != 0,
            let questions = reader.word(), let answers = reader.word(), reader.skip(4)
        else { return nil }
        // An error may come without the question.
        guard questions <= 1 else { return nil }
        if questions == 1 {
            guard let asked = reader.name(), asked.lowercased() == name.lowercased(), reader.word() == type.rawValue,
                reader.skip(2)
            else { return nil }
        }
        var answer = DNSAnswer(code: UInt8(flags & 0xF), isTruncated: flags & 0x0200 != 0)
        for _ in 0..<answers {
            guard reader.name() != nil, let kind = reader.word(), reader.skip(6), let length = reader.word(),
                let end = reader.end(after: Int(length))
            else { break }
            if kind == type.rawValue, let text = reader.data(of: type, until: end) { answer.records.append(text) }
            reader.place = end
        }
        return answer
    }
}

/// What a name server answers.
public struct DNSAnswer: Sendable, Hashable {
    /// RCODE: 0 if there is no error.
    public var code: UInt8
    /// The answer did not fit into a datagram.
    public var isTruncated: Bool
    /// The data of the records of the wanted type, as zone files write them; names without the dot at their end.
    public var records: [String]

    /// Memberwise.
    public init(code: UInt8, isTruncated: Bool, records: [String] = []) {
        self.code = code
        self.isTruncated = isTruncated
        self.records = records
    }

    /// The codes' names (RFC 1035, section 4.1.1; RFC 2136, section 2.2).
    public static let codeNames = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ]

    /// The code's name.
    public var codeName: String {
        Self.codeNames.indices.contains(Int(code)) ? Self.codeNames[Int(code)] : "code \(code)"
    }
}

/// Reads a message from its beginning; what lies beyond its end is nil.
private struct DNSReader {
    private let octets: [UInt8]
    var place = 0

    init(_ octets: [UInt8]) { self.octets = octets }

    mutating func byte() -> UInt8? {
        guard place < octets.count else { return nil }
        defer { place += 1 }
        return octets[place]
    }

    mutating func word() -> UInt16? {
        guard let high = byte(), let low = byte() else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    mutating func skip(_ count: Int) -> Bool {
        guard let end = end(after: count) else { return false }
        place = end
        return true
    }

    func end(after count: Int) -> Int? { place + count <= octets.count ? place + count : nil }

    /// A name, whose end may be elsewhere in the message (section 4.1.4). The pointers lead back only, so it ends.
    mutating func name() -> String? {
        var labels: [String] = []
        var behind: Int?
        var length = 0
        while let head = byte() {
            switch head {
            case 0:
                if let behind { place = behind }
                return labels.joined(separator: ".")
            case 1...63:
                guard let end = end(after: Int(head)) else { return nil }
                length += Int(head) + 1
                guard length <= 255 else { return nil }
                labels.append(String(decoding: octets[place..<end], as: UTF8.self))
                place = end
            case 0xC0...:
                let start = place - 1
                guard let low = byte() else { return nil }
                let target = Int(head & 0x3F) << 8 | Int(low)
                guard target < start else { return nil }
                behind = behind ?? place
                place = target
            default: return nil
            }
        }
        return nil
    }

    /// The data of a record, as text.
    mutating func data(of type: DNSQuestion.RecordType, until end: Int) -> String? {
        switch type {
        case .a:
            guard end - place == 4 else { return nil }
            return "\(IPAddress(ipv4: octets[place..<end].reduce(0) { $0 << 8 | UInt32($1) }))"
        case .aaaa:
            guard end - place == 16 else { return nil }
            let high = octets[place..<place + 8].reduce(0) { $0 << 8 | UInt64($1) }
            let low = octets[place + 8..<end].reduce(0) { $0 << 8 | UInt64($1) }
            return "\(IPAddress(ipv6High: high, low: low))"
        case .ns, .cname, .ptr:
            guard let host = name(), place == end else { return nil }
            return host
        case .mx:
            guard let preference = word(), let host = name(), place == end else { return nil }
            return "\(preference) \(host)"
        case .soa:
            guard let server = name(), let mailbox = name(), place + 20 == end else { return nil }
            return "\(server) \(mailbox)"
        case .srv:
            guard let priority = word(), let weight = word(), let port = word(), let host = name(), place == end else {
                return nil
            }
            return "\(priority) \(weight) \(port) \(host)"
        case .txt:
            var text: [UInt8] = []
            while place < end, let length = byte(), let stop = self.end(after: Int(length)), stop <= end {
                text += octets[place..<stop]
                place = stop
            }
            return String(decoding: text, as: UTF8.self)
        }
    }
}
