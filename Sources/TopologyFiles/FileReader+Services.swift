import Plan
import Reporting
import Wire
import Yams

extension FileReader {
    /// A service: a chain for customers, or nodes that are each other's neighbours.
    func service(_ name: Located<String>, _ node: Node) -> RawService {
        let subject = "service \(quoted(name.value))"
        let fields = nodes.fields(node, subject, Grammar.service)
        let kind = nodes.kind(of: fields, Grammar.service)
        var service = RawService(name: name)
        service.addresses = nodes.list(fields["address"]).compactMap { nodes.prefix($0, "the service address") }
        service.ports = nodes.list(fields["ports"]).flatMap { nodes.servicePorts($0) }
        if nodes.list(fields["ports"]).isEmpty { service.ports = [Located(.any, name.origin)] }
        nodes.refuseEmptyList(fields, "ports", "all ports")
        service.distribute = stops(fields["distribute"], "an application of `distribute`")
        service.owner = nodes.text(fields["owner"], "the owner")?.value
        service.impairment = impairment(fields["impair"], "`impair` of \(subject)")
        if kind == "between" {
            service.between = stops(fields["between"], "a node of `between`")
            for port in service.ports where port.value.translation != nil {
                diagnostics.error(
                    port.origin, "\(subject) is between neighbours, whose packets reach them as they were sent",
                    hint: "write \(port.value.untranslated), or give the service a `sequence`")
            }
            if let flag = nodes.flag(fields["subnet"], "`subnet`"), flag.value {
                service.subnet = fields.origin(of: "subnet")
            }
            service.members = nodes.list(fields["members"]).compactMap { nodes.text($0, "a member of groups") }
            nodes.refuseEmptyList(fields, "members", "all nodes of `between`")
            if service.between.isEmpty, nodes.list(fields["between"]).isEmpty {
                diagnostics.error(
                    fields.origin(of: "between"), "\(subject) is between no nodes",
                    hint: "name two nodes or more: `between: [a, b]`")
            }
            return service
        }
        nodes.refuseEmptyList(fields, "from", "all customers")
        service.from = stops(fields["from"], "`from`")
        service.path = nodes.integer(fields["path"], "the service path", in: NSHHeader.paths)
        service.sequence = stops(fields["sequence"], "an application of `sequence`")
        if fields["sequence"] != nil, fields["between"] != nil {
            diagnostics.error(
                fields.origin(of: "between"), "\(subject) has both a sequence and `between`",
                hint: "make two services of it")
        }
        if fields["address"] == nil, !service.sequence.isEmpty {
            service.isGiven = true
        } else if nodes.list(fields["address"]).isEmpty, fields.isMapping {
            diagnostics.error(
                name.origin, "\(subject) has no address", hint: "add `address: …`: where its customers send")
        }
        if nodes.list(fields["sequence"]).isEmpty, fields.isMapping {
            diagnostics.error(
                name.origin, "\(subject) has no sequence",
                hint: "add `sequence: [ … ]`, ending at a terminal application or a router")
        }
        return service
    }
}
