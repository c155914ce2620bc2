/// The field `Host` of a request (RFC 9112, section 3.2): exactly one where HTTP is 1.1 or later, at most one before, each of the form
/// of RFC 3986, section 3.2.2 and 3.2.3.
package enum HostField {
    /// The longest value that is read, in octets: a name of DNS has 253.
    private static let longest = 512

    /// What is wrong, in one sentence; nil: nothing is.
    ///
    /// - Parameters:
    ///   - values: The values of all fields of this name in a request.
    ///   - isRequired: Whether a request without one is wrong.
    package static func fault(of values: [String], isRequired: Bool) -> String? {
        guard let value = values.first else { return isRequired ? "the field Host is missing" : nil }
        guard values.count == 1 else { return "the field Host is given twice" }
        return isPlace(Array(value.utf8)) ? nil : "the field Host is no name or address"
    }

    /// True for `host [":" port]`, where the host may be empty.
    private static func isPlace(_ value: [UInt8]) -> Bool {
        guard value.count <= longest else { return false }
        let bracket = UInt8(ascii: "]")
        let end: Int
        if value.first == UInt8(ascii: "[") {
            guard let close = value.firstIndex(of: bracket), isLiteral(value[1..<close]) else { return false }
            end = close + 1
        } else {
            end = value.firstIndex(of: UInt8(ascii: ":")) ?? value.count
            guard isName(value[..<end]) else { return false }
        }
        guard end < value.count else { return true }
        return value[end] == UInt8(ascii: ":") && value[(end + 1)...].allSatisfy { (48...57).contains($0) }
    }

    /// An IPv6 address, or what may follow it one day.
    private static func isLiteral(_ text: ArraySlice<UInt8>) -> Bool {
        !text.isEmpty
            && text.allSatisfy { isUnreserved($0) || $0 == UInt8(ascii: ":") || "!$&'()*+,;=".utf8.contains($0) }
    }

    private static func isName(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        while let octet = rest.popFirst() {
            if octet == UInt8(ascii: "%") {
                guard rest.count >= 2, rest.prefix(2).allSatisfy(isHexadecimal) else { return false }
                rest.removeFirst(2)
            } else if !isUnreserved(octet), !"!$&'()*+,;=".utf8.contains(octet) {
                return false
            }
        }
        return true
    }

    private static func isHexadecimal(_ octet: UInt8) -> Bool {
        (48...57).contains(octet) || (65...70).contains(octet & 0xDF)
    }

    private static func isUnreserved(_ octet: UInt8) -> Bool {
        (48...57).contains(octet) || (97...122).contains(octet | 0x20) || "-._~".utf8.contains(octet)
    }
}
