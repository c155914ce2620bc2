import Reporting

/// What is wrong with a sysctl's value, on any machine.
extension KernelSettings {
    /// A value that a sysctl cannot have.
    struct ValueFault {
        var message: String
        var hint: String
        /// True if a later kernel may take the value.
        var mayBeTaken = false
    }

    /// The largest number of an enumeration: later kernels add to those, as they did to tcp_tw_reuse.
    private static let enumerations: Int64 = 7

    /// The fault of a value; nil: none, or the sysctl is not known to hold numbers.
    static func fault(of name: String, value: String) -> ValueFault? {
        var parts = parts(of: name).dropFirst()
        guard let last = parts.last else { return nil }
        if isPerDevice(Array(parts)) { parts = parts.prefix(2) + ["*", last] }
        let key = parts.joined(separator: ".")
        guard let (count, range) = numberRanges[key].map({ (1, $0) }) ?? listRanges[key] else { return nil }
        let words = value.split(whereSeparator: \.isWhitespace).map(String.init)
        let span = "\(range.lowerBound) to \(range.upperBound)"
        for word in words {
            guard let number = number(word) else {
                return ValueFault(
                    message: "\(quoted(name)) is \(quoted(word)), but holds \(amount(count))",
                    hint: range == 0...1 && count == 1 ? "write 0 or 1" : hint(count, range))
            }
            guard range.contains(number) else {
                return ValueFault(
                    message: "\(quoted(name)) is \(word), but the kernel takes \(span)",
                    hint: hint(count, range),
                    mayBeTaken: range.upperBound <= enumerations && (0...255).contains(number))
            }
        }
        guard words.count <= count else {
            return ValueFault(
                message: "\(quoted(name)) has \(words.count) values, but holds \(amount(count))",
                hint: hint(count, range))
        }
        guard key == "ipv4.ip_local_port_range" else { return nil }
        let bounds = words.compactMap(number)
        guard bounds.count != 2 || bounds[0] > bounds[1] else { return nil }
        return ValueFault(
            message: "\(quoted(name)) is \(quoted(value)), which is no range of ports",
            hint: "write the first port and the last one: \"32768 60999\"")
    }

    private static func amount(_ count: Int) -> String { count == 1 ? "a number" : "\(count) numbers" }

    private static func hint(_ count: Int, _ range: ClosedRange<Int64>) -> String {
        count == 1 && range.lowerBound <= Int64(Int32.min)
            ? "write a whole number, such as 1"
            : count == 1
                ? "write a number from \(range.lowerBound) to \(range.upperBound)"
                : "write \(count) numbers with blanks between them, each from \(range.lowerBound) to \(range.upperBound)"
    }

    /// As the kernel reads it: decimal, 0x…, or octal after a 0.
    private static func number(_ word: String) -> Int64? {
        let isNegative = word.hasPrefix("-")
        var digits = Substring(isNegative ? word.dropFirst() : word[...])
        var radix = 10
        if digits.hasPrefix("0x") || digits.hasPrefix("0X") {
            (radix, digits) = (16, digits.dropFirst(2))
        } else if digits.hasPrefix("0"), digits.count > 1 {
            radix = 8
        }
        guard let first = digits.first, first != "+", first != "-" else { return nil }
        // Numbers that no sysctl holds become the largest: they are out of every range but the widest.
        guard digits.allSatisfy({ $0.isASCII && ($0.hexDigitValue ?? 16) < radix }) else { return nil }
        let size = Int64(digits, radix: radix) ?? .max
        return isNegative ? -size : size
    }
}
