import Forwarding
import Reporting
import Wire

/// The ports that an application has for service ports: as many, in the same order.
public struct PortTranslation: Sendable, Hashable {
    /// The application's ports.
    public var ports: ClosedRange<UInt16>
    /// The application of the chain from which on packets have them; nil: the end of the chain.
    public var at: String?

    /// Memberwise.
    public init(ports: ClosedRange<UInt16>, at: String? = nil) {
        self.ports = ports
        self.at = at
    }
}

/// Why a text says no translation of service ports.
public struct PortTranslationFault: Error, Hashable, Sendable {
    /// What is wrong, after "the service port: ".
    public var message: String
    /// What to write.
    public var hint: String
}

extension PortSpecification {
    /// A text of a service port with its translation, in its parts: `tcp/80 -> 8080 at firewall`.
    package struct Parts: Sendable {
        package var port: String
        package var application: String
        package var at: String?

        /// - Returns: nil if the text has no arrow.
        package init?(_ text: String) {
            guard let (left, right) = text.divided(by: "->") else { return nil }
            port = left
            application = right
            // A word of its own between blanks: no port has one.
            let words = right.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count == 3, words[1] == "at" else { return }
            application = String(words[0])
            at = String(words[2])
        }

        /// True for `tcp` and `tcp/*`: every port of a protocol.
        package var isEveryPort: Bool {
            let name = port.hasSuffix("/*") ? String(port.dropLast(2)) : port
            guard let value = PortSpecification(name), case .number(let number) = value.upperProtocol else {
                return false
            }
            return value.ports == 0...65535 && IPProtocol.hasPorts(number)
        }
    }

    /// Reads a service port with or without its translation: `tcp/80`, `tcp/80 -> 8080`, `tcp/80 -> 8080 at firewall`.
    ///
    /// - Returns: nil if the service port itself has no right form.
    package static func service(_ text: String) throws(PortTranslationFault) -> PortSpecification? {
        guard let parts = Parts(text) else { return PortSpecification(text) }
        if parts.isEveryPort { throw everyPort(parts.port, parts.application) }
        guard let port = PortSpecification(parts.port) else { return nil }
        return try port.translated(to: parts.application, at: parts.at)
    }

    /// The fault of a translation of every port to one.
    package static func everyPort(_ port: String, _ application: String) -> PortTranslationFault {
        let name = port.prefix { $0 != "/" }
        return PortTranslationFault(
            message:
                "every port of \(name) would become \(application), and nothing in the answers would tell which it was",
            hint: "name as many service ports as application ports: \(name)/80 -> 8080, "
                + "\(name)/8000-8099 -> 9000-9099")
    }

    /// The service port with a translation.
    ///
    /// - Parameters:
    ///   - text: The application's ports: `8080`, `9000-9099`.
    ///   - place: The application from which on packets have them; nil: the end of the chain.
    package func translated(to text: String, at place: String? = nil) throws(PortTranslationFault) -> PortSpecification
    {
        guard case .number(let number) = upperProtocol, IPProtocol.hasPorts(number) else {
            throw PortTranslationFault(
                message: "\(self) has no ports that could become \(text)",
                hint: "name a protocol with ports, and the port: tcp/80 -> 8080")
        }
        guard ServicePort(protocolNumber: number).canBeShifted else {
            throw PortTranslationFault(
                message:
                    "ports of SCTP cannot be translated: its checksum (CRC32c) is over the whole packet, and engines change "
                    + "headers alone",
                hint: "let the application listen at the service port, or write `\(self)`")
        }
        let name = "\(self)".prefix { $0 != "/" }
        guard ports != 0...65535 else { throw Self.everyPort("\(name)", text) }
        guard let own = Self.range(text) else {
            let bare = text.split(separator: "/", omittingEmptySubsequences: false).last.map(String.init) ?? ""
            throw PortTranslationFault(
                message: "\(quoted(text)) is no port that an application could have",
                hint: text.contains("/") && Self.range(bare) != nil
                    ? "write the port alone: \(self) -> \(bare)"
                    : "write a port or a range of ports from 1 to 65535: \(name)/80 -> 8080, "
                        + "\(name)/8000-8099 -> 9000-9099")
        }
        guard own.count == ports.count else {
            let last = Int(own.lowerBound) + ports.count - 1
            throw PortTranslationFault(
                message:
                    "\(self) is \(ports.count) \(ports.count == 1 ? "port" : "ports"), and \(text) is \(own.count)",
                hint: last <= 65_535
                    ? "write \(self) -> \(ports.count == 1 ? "\(last)" : "\(own.lowerBound)-\(last)"): ports keep their order"
                    : "write as many application ports as service ports, up to 65535")
        }
        var translated = self
        translated.translation = own == ports ? nil : PortTranslation(ports: own, at: place)
        return translated
    }

    /// A port or a range of ports, without port 0.
    private static func range(_ text: String) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count <= 2, ends.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }),
            let low = ends.first.flatMap({ UInt16($0) }), let high = ends.last.flatMap({ UInt16($0) }), low > 0,
            low <= high
        else { return nil }
        return low...high
    }

    /// The service port alone.
    public var untranslated: PortSpecification {
        var port = self
        port.translation = nil
        return port
    }

    /// What turns service ports into the application's.
    public var shift: PortShift {
        translation.map { PortShift(from: ports.lowerBound, to: $0.ports.lowerBound) } ?? .none
    }
}

extension String {
    /// The parts around the first place of a mark, without blanks at their ends.
    fileprivate func divided(by mark: String) -> (String, String)? {
        let (all, mark) = (Array(self), Array(mark))
        guard all.count >= mark.count,
            let place = (0...(all.count - mark.count)).first(where: { Array(all[$0..<($0 + mark.count)]) == mark })
        else { return nil }
        func trimmed(_ part: ArraySlice<Character>) -> String {
            let start = part.drop { $0.isWhitespace }
            return String(start.reversed().drop { $0.isWhitespace }.reversed())
        }
        return (trimmed(all[..<place]), trimmed(all[(place + mark.count)...]))
    }
}
