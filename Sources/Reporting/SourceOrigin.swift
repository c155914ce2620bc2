/// A place in a topology file, or in a file that it includes: line and column, both counted from 1; columns count
/// Unicode scalars.
public struct SourcePosition: Hashable, Sendable, Comparable {
    /// The line, from 1.
    public var line: Int
    /// The column, from 1, in Unicode scalars.
    public var column: Int
    /// The path of the included file, as messages show it; nil: the topology file itself.
    public var file: String?

    /// Memberwise.
    public init(line: Int, column: Int, file: String? = nil) {
        self.line = line
        self.column = column
        self.file = file
    }

    /// In the order of the text; the topology file comes before the files that it includes.
    public static func < (left: SourcePosition, right: SourcePosition) -> Bool {
        (left.file ?? "", left.line, left.column) < (right.file ?? "", right.line, right.column)
    }
}

/// A record that a part of a topology comes from: it has no line, and is known by its kind and its id.
public struct SourceRecord: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The kind of the record, in one word: `service`, `customer`.
    public var kind: String
    /// The id that tells it from the other records of its kind.
    public var id: String
    /// The field that is meant; nil: the record as a whole.
    public var field: String?

    /// Memberwise.
    public init(kind: String, id: String, field: String? = nil) {
        self.kind = kind
        self.id = id
        self.field = field
    }

    /// The record without a field: `service record 17`.
    public var name: String { "\(kind) record \(Int(id) == nil ? quoted(id) : id)" }

    /// `service record 17, field "address"`.
    public var description: String { name + (field.map { ", field \(quoted($0))" } ?? "") }

    /// By kind, id and field. Ids that are numbers go by their values, before other ids.
    public static func < (left: SourceRecord, right: SourceRecord) -> Bool {
        if left.kind != right.kind { return left.kind < right.kind }
        if left.id != right.id {
            switch (Int(left.id), Int(right.id)) {
            case (let one?, let other?) where one != other: return one < other
            case (_?, nil): return true
            case (nil, _?): return false
            default: return left.id < right.id
            }
        }
        return left.field ?? "" < right.field ?? ""
    }
}

/// The place of a statement in a topology: a line of its file, or a record.
///
/// Every part that a message can be about has one, so every message names a place.
public enum SourceOrigin: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// A place in the topology file.
    case line(SourcePosition)
    /// A record.
    case record(SourceRecord)

    /// The place in the file; nil for a record.
    public var position: SourcePosition? {
        switch self {
        case .line(let position): position
        case .record: nil
        }
    }

    /// The record; nil for a place in the file.
    public var record: SourceRecord? {
        switch self {
        case .line: nil
        case .record(let record): record
        }
    }

    /// The line, from 1; 0 for a record, which has none.
    public var lineNumber: Int { position?.line ?? 0 }

    /// The line of the topology file itself, from 1; 0 for a record, and for a line of an included file.
    public var ownLineNumber: Int { position?.file == nil ? lineNumber : 0 }

    /// The column, from 1, in Unicode scalars; 0 for a record, which has none.
    public var columnNumber: Int { position?.column ?? 0 }

    /// `line 14`, `line 14 of common.yaml`, or `service record 17`.
    public var description: String {
        switch self {
        case .line(let position): "line \(position.line)" + (position.file.map { " of \($0)" } ?? "")
        case .record(let record): record.name
        }
    }

    /// The place, inside a sentence: `on line 14`, or `in service record 17`.
    public var place: String {
        switch self {
        case .line: "on \(self)"
        case .record: "in \(self)"
        }
    }

    /// The place, at the head of a message: `topology.yaml:14:3`, or `topology.yaml: service record 17, field
    /// "address"`.
    ///
    /// - Parameter file: The topology's file; a place in an included file names that one.
    public func head(in file: String) -> String {
        switch self {
        case .line(let position): "\(position.file ?? file):\(position.line):\(position.column)"
        case .record(let record): "\(file): \(record)"
        }
    }

    /// Lines in the order of the text, then records.
    public static func < (left: SourceOrigin, right: SourceOrigin) -> Bool {
        switch (left, right) {
        case (.line(let left), .line(let right)): left < right
        case (.record(let left), .record(let right)): left < right
        case (.line, .record): true
        case (.record, .line): false
        }
    }
}
