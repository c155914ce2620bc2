extension TextExpectation {
    /// True if nothing is expected.
    public var isEmpty: Bool { self == TextExpectation() }

    /// The expectation, for messages without a text to compare.
    public var summary: String {
        var parts = contains.map { "'\($0)'" } + lacks.map { "no '\($0)'" } + matches.map { "a match of /\($0)/" }
        parts += json.map(\.summary) + jsonLines.map { "a line with " + $0.map(\.summary).joined(separator: ", ") }
        parts += lacksJSONLines.map { "no line with " + $0.map(\.summary).joined(separator: ", ") }
        return parts.isEmpty ? "a readable file" : parts.joined(separator: ", ")
    }

    /// The end of a text that a regular expression is tried on, in octets.
    private static let matchedBound = 1 << 20

    /// The expectations that the text does not meet, as sentences' ends after "expected".
    public func unmet(by text: [UInt8]) -> [String] {
        var unmet: [String] = []
        for part in contains where !text.holds(part) { unmet.append("output with '\(part)'") }
        for part in lacks where text.holds(part) { unmet.append("output without '\(part)'") }
        if !matches.isEmpty {
            let end = String(decoding: text.suffix(Self.matchedBound), as: UTF8.self)
            for pattern in matches where !JSONExpectation.matches(pattern, end) {
                unmet.append("output that matches /\(pattern)/")
            }
        }
        if !json.isEmpty { unmet += unmetDocument(text) }
        if !jsonLines.isEmpty || !lacksJSONLines.isEmpty { unmet += unmetLines(text) }
        return unmet
    }

    private func unmetDocument(_ text: [UInt8]) -> [String] {
        do throws(JSONProblem) {
            let document = try JSONReader.read(text)
            return json.compactMap { $0.unmet(by: document) }
        } catch {
            let lines = text.split(separator: 10).prefix(2)
            let hint = lines.count == 2 && (try? JSONReader.read(lines[0])) != nil
            return [
                "output that is JSON, but it has \(error)"
                    + (hint ? " (each line is a document of its own: use `json-line`)" : "")
            ]
        }
    }

    private func unmetLines(_ text: [UInt8]) -> [String] {
        var sought = jsonLines
        var unmet: [String] = []
        var documents = 0
        var nearest: [Int: (met: Int, what: [String])] = [:]
        for line in text.split(separator: 10) where line.first(where: { $0 > 32 }) == UInt8(ascii: "{") {
            guard let document = try? JSONReader.read(line) else { continue }
            documents += 1
            for (index, wanted) in jsonLines.enumerated() where sought.contains(wanted) {
                let missing = wanted.compactMap { $0.unmet(by: document) }
                if missing.isEmpty {
                    sought.removeAll { $0 == wanted }
                } else if wanted.count - missing.count > nearest[index]?.met ?? 0 {
                    nearest[index] = (wanted.count - missing.count, missing)
                }
            }
            for unwanted in lacksJSONLines where unwanted.allSatisfy({ $0.unmet(by: document) == nil }) {
                let what = "no line with " + unwanted.map(\.summary).joined(separator: ", ")
                if !unmet.contains(what) { unmet.append(what) }
            }
        }
        for (index, wanted) in jsonLines.enumerated() where sought.contains(wanted) {
            var what = "a line with " + wanted.map(\.summary).joined(separator: ", ")
            if documents == 0 { what += ", and no line is JSON" }
            if let near = nearest[index] { what += "; the nearest line lacks " + near.what.joined(separator: ", ") }
            unmet.append(what)
        }
        return unmet
    }
}

extension JSONExpectation {
    /// The expectation: `$.status: "up"`.
    public var summary: String {
        switch demand {
        case .equals(let value): "\(path): \(value)"
        case .compares(let number): "\(path) \(number.summary)"
        case .contains(let text): "\(path) with '\(text)'"
        case .matches(let pattern): "\(path) that matches /\(pattern)/"
        case .exists(let exists): exists ? "\(path)" : "no \(path)"
        case .count(let number): "\(path) with count \(number.summary)"
        }
    }

    /// Why a document does not meet it, after "expected"; nil if it does.
    public func unmet(by document: JSONValue) -> String? {
        let values = path.values(in: document)
        if case .exists(let exists) = demand {
            return values.isEmpty != exists ? nil : "\(summary), and \(exists ? missing(document) : Self.list(values))"
        }
        if case .count(let number) = demand {
            var count = values.count
            if path.isSingular, case .array(let elements)? = values.first { count = elements.count }
            return number.holds(for: UInt64(count)) ? nil : "\(summary), and there are \(count)"
        }
        guard !values.isEmpty else { return "\(summary), and \(missing(document))" }
        if case .equals(.array) = demand, !path.isSingular, demand.isMet(by: .array(values)) { return nil }
        return values.contains(where: demand.isMet) ? nil : "\(summary), and \(Self.list(values))"
    }

    private func missing(_ document: JSONValue) -> String {
        let (reached, value) = path.reach(in: document)
        var what = "there is no \(path): "
        switch value {
        case .object(let members) where !members.isEmpty:
            what += "the members of \(reached) are " + members.prefix(12).map(\.name).joined(separator: ", ")
            if members.count > 12 { what += " …" }
        case .array(let elements): what += "\(reached) is a list of \(elements.count)"
        default: what += "\(reached) is \(Self.cut(value))"
        }
        return what
    }

    private static func list(_ values: [JSONValue]) -> String {
        let shown = values.prefix(5).map(cut).joined(separator: ", ")
        return values.count == 1 ? "it is \(shown)" : "they are \(shown)" + (values.count > 5 ? " …" : "")
    }

    private static func cut(_ value: JSONValue) -> String {
        let text = "\(value)"
        return text.count > 120 ? text.prefix(120) + " …" : text
    }

    static func matches(_ pattern: String, _ text: String) -> Bool {
        guard let regex = try? Regex(pattern).anchorsMatchLineEndings().matchingSemantics(.unicodeScalar) else {
            return false
        }
        return (try? regex.firstMatch(in: text)) != nil
    }
}

extension JSONExpectation.Demand {
    fileprivate func isMet(by value: JSONValue) -> Bool {
        switch self {
        case .equals(let wanted): return value == wanted
        case .compares(let number):
            guard case .number(let found, let written) = value else { return false }
            if let whole = UInt64(written) { return number.holds(for: whole) }
            let bound = Double(number.value)
            return switch number.comparison {
            case .equal: found == bound
            case .notEqual: found != bound
            case .atLeast: found >= bound
            case .atMost: found <= bound
            case .more: found > bound
            case .less: found < bound
            }
        case .contains(let part): return Self.text(value).contains(part)
        case .matches(let pattern): return JSONExpectation.matches(pattern, Self.text(value))
        case .exists, .count: return false
        }
    }

    private static func text(_ value: JSONValue) -> String {
        if case .string(let text) = value { text } else { "\(value)" }
    }
}

extension [UInt8] {
    /// True if `part` occurs in it, octet by octet.
    public func holds(_ part: String) -> Bool {
        let sought = Array(part.utf8)
        guard let first = sought.first else { return true }
        guard sought.count <= count else { return false }
        return withUnsafeBufferPointer { text in
            sought.withUnsafeBufferPointer { sought in
                let last = text.count - sought.count
                var place = 0
                while place <= last {
                    if text[place] == first {
                        var length = 1
                        while length < sought.count, text[place + length] == sought[length] { length += 1 }
                        if length == sought.count { return true }
                    }
                    place += 1
                }
                return false
            }
        }
    }
}
