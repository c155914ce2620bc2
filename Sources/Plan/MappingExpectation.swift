import Wire

/// A service port that an application must have got, or must not have.
public struct MappingExpectation: Sendable, Hashable {
    /// Whether it must be there; the raw value is the file's word.
    public enum Standing: String, Sendable, Hashable, CaseIterable {
        case granted
        case gone
    }
    /// The application.
    public var application: String
    /// The service port, such as `udp/27015`; nil: any.
    public var servicePort: String?
    /// The service address; nil: any.
    public var serviceAddress: IPAddress?
    /// Where the application listens; nil: anywhere.
    public var port: Int?
    /// Whether it must be there.
    public var standing: Standing

    /// Memberwise.
    public init(
        application: String, servicePort: String? = nil, serviceAddress: IPAddress? = nil, port: Int? = nil,
        standing: Standing = .granted
    ) {
        self.application = application
        self.servicePort = servicePort
        self.serviceAddress = serviceAddress
        self.port = port
        self.standing = standing
    }

    /// What is looked for, for a person.
    public var summary: String {
        let parts = [
            servicePort, serviceAddress.map { "at \($0)" }, port.map { "to port \($0)" }, "of \(application)",
        ]
        return "a mapping " + parts.compactMap(\.self).joined(separator: " ")
    }
}
