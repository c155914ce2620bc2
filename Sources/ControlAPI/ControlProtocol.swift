import Reporting

/// The protocol of the control socket: each request is one line of JSON, and so is each answer.
package enum ControlProtocol {
    /// The version of the lines. It rises with every change that an older end would misread; a new command is none.
    package static let version = 2
}

/// One command of the control socket: its arguments, and the type of its answer.
package protocol ControlCommand: Codable, Sendable {
    /// The control process's answer, unless it answers with an error.
    associatedtype Answer: Codable & Sendable
    /// Every key that the command carries.
    associatedtype CodingKeys: CodingKey & CaseIterable

    /// The command as a request.
    var request: ControlRequest { get }

    /// Checks the value of one key. A switch without a default, so that no key can be forgotten.
    ///
    /// - Throws: `ApplianceError` that names the range, if the value is outside of it.
    func check(_ key: CodingKeys) throws(ApplianceError)
}

extension ControlCommand {
    /// Checks every value.
    ///
    /// - Throws: `ApplianceError` that names a value outside of its range.
    package func check() throws(ApplianceError) {
        for key in CodingKeys.allCases { try check(key) }
    }
}

/// The keys of commands that carry nothing.
package enum NoKeys: CodingKey, CaseIterable {}

extension ControlCommand where CodingKeys == NoKeys {
    package func check(_ key: NoKeys) {}
}

/// An answer that says only that the request has been carried out.
package struct Done: Codable, Sendable {
    package init() {}
}

/// The first thing that both ends of the control socket read of a line, in every version.
package struct ControlVersion: Codable, Sendable {
    package var version = ControlProtocol.version
    /// The release of the program that wrote the line, for messages.
    package var release: String? = Release.version

    package init() {}

    /// - Parameter other: The process at the other end, as the beginning of a sentence.
    /// - Throws: `ApplianceError` with both versions if the other end speaks another one.
    package func check(_ other: String, hint: String) throws(ApplianceError) {
        guard version != ControlProtocol.version else { return }
        let name = release.map { "tapline \(ControlText.shown($0, most: 32)) (protocol \(version))" }
        throw ApplianceError(
            .failed,
            "\(other) is \(name ?? "of protocol version \(version)"), but this is tapline \(Release.version) "
                + "(protocol \(ControlProtocol.version))", hint: hint)
    }
}
