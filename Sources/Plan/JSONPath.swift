/// A path into a JSON document: the part of RFC 9535 that checks need.
///
/// `$` is the document; `.name` and `['name']` a member; `[3]` an element, `[-1]` the last; `[*]` and `.*` all of
/// them; `..name` the members of that name at any depth.
public struct JSONPath: Sendable, Hashable, CustomStringConvertible {
    enum Segment: Sendable, Hashable {
        case member(String)
        case element(Int)
        case every
        case anywhere(String)
    }
    let segments: [Segment]
    /// As it was written.
    public let description: String

    /// Reads a path; nil if it is none.
    public init?(_ text: String) {
        description = text
        var rest = Substring(text)
        guard rest.first == "$" else { return nil }
        rest.removeFirst()
        var segments: [Segment] = []
        while let sign = rest.first {
            let isDeep = rest.hasPrefix("..")
            switch sign {
            case ".":
                rest.removeFirst(isDeep ? 2 : 1)
                if rest.first == "*", !isDeep {
                    rest.removeFirst()
                    segments.append(.every)
                } else if isDeep, rest.first == "[" {
                    guard let name = Self.bracket(&rest), case .member(let member) = name else { return nil }
                    segments.append(.anywhere(member))
                } else {
                    let name = rest.prefix { !".[]*'\" ".contains($0) }
                    guard !name.isEmpty else { return nil }
                    rest.removeFirst(name.count)
                    segments.append(isDeep ? .anywhere(String(name)) : .member(String(name)))
                }
            case "[":
                guard let segment = Self.bracket(&rest) else { return nil }
                segments.append(segment)
            default: return nil
            }
        }
        self.segments = segments
    }

    /// The segment in brackets: `[3]`, `[*]`, `['name']`, `["name"]`.
    private static func bracket(_ rest: inout Substring) -> Segment? {
        rest.removeFirst()
        if let quote = rest.first, quote == "'" || quote == "\"" {
            rest.removeFirst()
            var name = ""
            while let next = rest.popFirst(), next != quote {
                if next == "\\" {
                    guard let escaped = rest.popFirst() else { return nil }
                    name.append(escaped)
                } else {
                    name.append(next)
                }
            }
            guard rest.popFirst() == "]" else { return nil }
            return .member(name)
        }
        guard let end = rest.firstIndex(of: "]") else { return nil }
        let inner = rest[..<end]
        rest = rest[rest.index(after: end)...]
        if inner == "*" { return .every }
        guard let number = Int(inner), inner.first != "+" else { return nil }
        return .element(number)
    }

    /// True if it can name one value at most.
    public var isSingular: Bool {
        segments.allSatisfy {
            switch $0 {
            case .member, .element: true
            case .every, .anywhere: false
            }
        }
    }

    /// The values that it names in `document`, in the order of the text.
    public func values(in document: JSONValue) -> [JSONValue] {
        segments.reduce([document]) { values, segment in values.flatMap { Self.step(segment, $0) } }
    }

    private static func step(_ segment: Segment, _ value: JSONValue) -> [JSONValue] {
        switch segment {
        case .member(let name): return value[name].map { [$0] } ?? []
        case .element(let index):
            guard case .array(let elements) = value else { return [] }
            let place = index < 0 ? elements.count + index : index
            return elements.indices.contains(place) ? [elements[place]] : []
        case .every:
            return children(value)
        case .anywhere(let name):
            return (value[name].map { [$0] } ?? []) + children(value).flatMap { step(segment, $0) }
        }
    }

    private static func children(_ value: JSONValue) -> [JSONValue] {
        switch value {
        case .array(let elements): elements
        case .object(let members): members.map(\.value)
        default: []
        }
    }

    /// The longest beginning of the path that names something, and the value there. It shows a person why the whole
    /// path names nothing.
    func reach(in document: JSONValue) -> (path: String, value: JSONValue) {
        var values = [document]
        var reached = "$"
        for segment in segments {
            let onward = values.flatMap { Self.step(segment, $0) }
            guard !onward.isEmpty else { break }
            values = onward
            reached += Self.written(segment)
        }
        return (reached, values[0])
    }

    private static func written(_ segment: Segment) -> String {
        switch segment {
        case .member(let name): ".\(name)"
        case .element(let index): "[\(index)]"
        case .every: "[*]"
        case .anywhere(let name): "..\(name)"
        }
    }
}
