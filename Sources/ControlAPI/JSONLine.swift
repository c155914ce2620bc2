import FoundationEssentials
import Reporting

/// Values as one line of JSON, and back.
package enum JSONLine {
    /// The value, and a newline.
    ///
    /// - Throws: `ApplianceError` if the value cannot be written as JSON.
    package static func encode(_ value: some Encodable) throws(ApplianceError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(value)) + [10]
        } catch {
            throw .wrapping(error, "cannot encode a message")
        }
    }

    /// The value of one line.
    ///
    /// - Throws: `ApplianceError` if the line is not such a value.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, _ line: some Sequence<UInt8>
    ) throws(ApplianceError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(line))
        } catch {
            throw ApplianceError(.failed, "a message is invalid", hint: "are both ends the same version?")
        }
    }
}

/// A value as people and programs read it from `--json`: sorted keys, one per line.
///
/// - Throws: `ApplianceError` if the value cannot be written as JSON.
public func prettyJSON(_ value: some Encodable) throws(ApplianceError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    do {
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch {
        throw .wrapping(error, "cannot encode the listing")
    }
}
