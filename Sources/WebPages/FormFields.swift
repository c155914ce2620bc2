/// The fields of a form or of a query, as browsers write them (application/x-www-form-urlencoded).
package struct FormFields: Sendable {
    private let fields: [String: String]

    /// Of fields beyond these, nothing is read.
    private static let most = 64

    package init(_ text: some StringProtocol) {
        var fields: [String: String] = [:]
        for pair in text.split(separator: "&").prefix(Self.most) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(parts[0]), let value = parts.count > 1 ? Self.decoded(parts[1]) : "" else {
                continue
            }
            fields[name] = value
        }
        self.fields = fields
    }

    /// A field; nil if it is missing or blank.
    package subscript(name: String) -> String? {
        fields[name].flatMap { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
    }

    /// The names of fields that are neither missing nor blank.
    package var names: [String] { fields.keys.filter { self[$0] != nil } }

    /// A number in a range; the nearest one if it is outside; `otherwise` if it is none.
    package func number(_ name: String, _ range: ClosedRange<Int>, otherwise: Int) -> Int {
        guard let number = self[name].flatMap({ Int($0) }) else { return otherwise }
        return min(max(number, range.lowerBound), range.upperBound)
    }

    /// The text of a name or a value; nil if it is not UTF-8, or a percent sign stands without two digits.
    private static func decoded(_ text: some StringProtocol) -> String? {
        var octets: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "+"): octets.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
                else {
                    return nil
                }
                octets.append(value)
                rest.removeFirst(2)
            default: octets.append(octet)
            }
        }
        return String(validating: octets, as: UTF8.self)
    }
}
