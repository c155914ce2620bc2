import Forwarding
import Plan
import Reporting
import Wire

/// Reads the records of tenants as services, beside those of the file, and sees to it that tenants do what they may alone.
package struct RecordReader {
    /// The farthest that a record's mistakes let it come.
    package enum Fault: String, Sendable, Codable {
        /// A value has no right form.
        case invalid
        /// The tenant may not do that.
        case forbidden
    }

    let file: TopologyFile
    let diagnostics: Diagnostics

    package init(_ file: TopologyFile, _ diagnostics: Diagnostics) {
        self.file = file
        self.diagnostics = diagnostics
    }

    /// The file with the services of records behind its own.
    ///
    /// - Returns: What is wrong with some of them, which `diagnostics` tells; nil if nothing is.
    package func adding(_ records: [ServiceRecord], to file: inout TopologyFile) -> Fault? {
        var services: [RawService] = []
        if let fault = reading(records, as: &services) { return fault }
        if let fault = judging(zip(records, services).map { ($0, $1) }) { return fault }
        file.services += services
        return nil
    }

    /// Reads records as services.
    ///
    /// - Returns: What is wrong with some of them, which `diagnostics` tells; nil if nothing is.
    package func reading(_ records: [ServiceRecord], as services: inout [RawService]) -> Fault? {
        let before = diagnostics.count
        services = records.map(service)
        return diagnostics.count == before ? nil : .invalid
    }

    /// Sees to it that tenants do what they may alone.
    ///
    /// - Parameter records: All records of these tenants in their order, each with the service that was read of it; nil for one
    ///   that was judged before and only counts.
    /// - Returns: What is wrong with some of them, which `diagnostics` tells; nil if nothing is.
    package func judging(_ records: [(record: ServiceRecord, service: RawService?)]) -> Fault? {
        let before = diagnostics.count
        checkRights(records)
        return diagnostics.count == before ? nil : .forbidden
    }

    // MARK: - Form

    /// The most values of one list.
    static let mostValues = 64
    /// How many combinations of an address, a service port and customers a tenant may have, for each service that it may have.
    static let matchesOfService = 64

    private func service(_ record: ServiceRecord) -> RawService {
        var service = RawService(name: Located(record.id, record.origin()))
        if let fault = RecordName.fault(of: record.name) {
            diagnostics.error(
                record.origin("/name"), "\(quoted(record.name, seen: true)) cannot be the name of a service: \(fault)",
                hint: RecordName.hint)
        }
        service.addresses = values(record.addresses, record, "addresses", address)
        service.ports = values(record.ports, record, "ports", port)
        if record.ports.isEmpty { service.ports = [Located(.any, record.origin())] }
        service.from = values(record.from, record, "from", stop)
        service.distribute = values(record.distribute, record, "distribute", stop)
        service.sequence = values(record.sequence, record, "sequence", stop)
        if record.addresses.isEmpty {
            diagnostics.error(
                record.origin("/addresses"), "the service has no address",
                hint: "name the addresses where customers send")
        }
        if record.sequence.isEmpty {
            diagnostics.error(
                record.origin("/sequence"), "the service has no sequence",
                hint: "name the applications in order, ending at a terminal application or a router")
        }
        return service
    }

    private func values<Value>(
        _ texts: [String], _ record: ServiceRecord, _ key: String,
        _ read: (String, SourceOrigin) -> Value?
    ) -> [Value] {
        guard texts.count <= Self.mostValues else {
            diagnostics.error(
                record.origin("/\(key)"), "`\(key)` has \(texts.count) values, and the most are \(Self.mostValues)",
                hint: "make several services")
            return []
        }
        return texts.enumerated().compactMap { read($1, record.origin("/\(key)/\($0)")) }
    }

    private func address(_ text: String, _ origin: SourceOrigin) -> Located<IPPrefix>? {
        guard let written = InterfaceAddress(text) else {
            diagnostics.error(
                origin, "\(quoted(text, seen: true)) is no address",
                hint: "write 203.0.113.80 or 2001:db8::80, or a prefix")
            return nil
        }
        guard written.prefix.address == written.address else {
            diagnostics.error(
                origin, "\(written) has bits set beyond its length",
                hint: "write \(written.prefix.address)/\(written.prefix.length)")
            return nil
        }
        return Located(written.prefix, origin)
    }

    private func port(_ text: String, _ origin: SourceOrigin) -> Located<PortSpecification>? {
        let read: PortSpecification?
        do throws(PortTranslationFault) { read = try PortSpecification.service(text) } catch {
            diagnostics.error(origin, "the service port: \(error.message)", hint: error.hint)
            return nil
        }
        guard let value = read else {
            diagnostics.error(
                origin, "\(quoted(text, seen: true)) is not a service port",
                hint: Int(text) != nil
                    ? "name the protocol: tcp/\(text) or udp/\(text)"
                    : "write tcp/80, udp/5000-5100, tcp/80 -> 8080, tcp, icmp, any, or the number of a protocol such as "
                        + "protocol/47")
            return nil
        }
        return Located(value, origin)
    }

    private func stop(_ text: String, _ origin: SourceOrigin) -> RawStop? { RawStop(name: Located(text, origin)) }

    // MARK: - Rights

    private func checkRights(_ records: [(record: ServiceRecord, service: RawService?)]) {
        var counts: [String: Int] = [:]
        var matches: [String: Int] = [:]
        let tenants = Dictionary((file.tenants + file.negotiators()).map { ($0.name.value, $0) }) { first, _ in first }
        for (record, service) in records {
            guard let tenant = tenants[record.tenant] else {
                diagnostics.error(
                    record.origin(), "the file has no tenant \(quoted(record.tenant))",
                    hint: "add the tenant to the file, or remove the service")
                continue
            }
            counts[record.tenant, default: 0] += 1
            if counts[record.tenant, default: 0] == tenant.services + 1 {
                diagnostics.error(
                    record.origin(),
                    tenant.services == 1
                        ? "there is room for 1 service, and this is one more"
                        : "there is room for \(tenant.services) services, and this is one more",
                    hint: "remove one first, or ask the operator for more")
            }
            // Each needs entries of its own for every application of the chain.
            let most = Self.matchesOfService * tenant.services
            let before = matches[record.tenant, default: 0]
            let after = before + record.addresses.count * max(1, record.ports.count) * max(1, record.from.count)
            matches[record.tenant] = after
            if before <= most, after > most {
                diagnostics.error(
                    record.origin(),
                    "there is room for \(most) combinations of an address, a service port and customers, "
                        + "and this makes \(after)",
                    hint: "use prefixes and ranges of ports, or remove other services")
            }
            guard let service else { continue }
            if let own = file.services.first(where: { $0.name.value == record.id }) {
                diagnostics.error(
                    record.origin("/name"), "the file has a service \(quoted(record.id)) already",
                    hint: "choose another name", related: [(own.name.origin, "the file's service")])
            }
            check(record, service, tenant)
        }
    }

    private func check(_ record: ServiceRecord, _ service: RawService, _ tenant: RawTenant) {
        for address in service.addresses
        where !tenant.addresses.contains(where: { $0.value.contains(address.value) }) {
            diagnostics.error(
                address.origin, "\(address.value) is none of your addresses",
                hint: "yours are \(tenant.addresses.map { "\($0.value)" }.joined(separator: ", "))")
        }
        let may = tenant.applications.map(\.value)
        for stop in service.distribute + service.sequence where !may.contains(stop.value) {
            diagnostics.error(
                stop.origin, "there is no application \(quoted(stop.value, seen: true)) for you",
                hint: Spelling.hint(for: stop.value, among: may, kind: "applications"))
        }
        let own = tenant.customers.map(\.value)
        let interfaces = file.interfaces.map(\.name.value)
        for stop in service.from
        where !tenant.isApplication && !own.contains(stop.value) && !interfaces.contains(stop.value) {
            diagnostics.error(
                stop.origin, "there is no interface, and no customer of yours, \(quoted(stop.value, seen: true))",
                hint: Spelling.hint(for: stop.value, among: own + interfaces, kind: "customers and interfaces"))
        }
        let used = Set((service.distribute + service.sequence).map(\.value))
        for must in tenant.must where !used.contains(must.value) {
            diagnostics.error(
                record.origin("/sequence"),
                "the chain leaves out \(quoted(must.value)), which every chain of yours has",
                hint: "add it")
        }
    }
}
