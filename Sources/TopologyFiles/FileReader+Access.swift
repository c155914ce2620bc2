import Plan
import Reporting
import Yams

extension FileReader {
    /// Who judges an application's packets by tenants' access lists: words, or a mapping.
    func judges(of node: RawNode, _ fields: Fields) -> RawAccess? {
        guard let value = fields["access"] else { return nil }
        var access = RawAccess(origin: fields.origin(of: "access"))
        if value.mapping != nil {
            let own = nodes.fields(value, "`access` of \(fields.subject)", Grammar.accessMapping)
            access.isByEngine = nodes.flag(own["engine"], "`engine`")?.value ?? false
            access.byApplication = enforcement(own["application"])
            // A mistake in it was told already.
            guard own.isMapping, !access.isByEngine, own["application"]?.mapping == nil else {
                return allowed(access, of: node, fields)
            }
        } else {
            let words: [Located<AccessJudge>] = nodes.list(value).compactMap { nodes.choice($0, "`access`") }
            access.isByEngine = words.contains { $0.value == .engine }
            if words.contains(where: { $0.value == .application }) { access.byApplication = .nftables }
            guard words.count == nodes.list(value).count else { return nil }
        }
        guard access.isByEngine || access.byApplication != nil else {
            diagnostics.error(
                access.origin, "`access` of \(fields.subject) names nobody who judges",
                hint: "write engine, application or [engine, application]")
            return nil
        }
        return allowed(access, of: node, fields)
    }

    private func allowed(_ access: RawAccess, of node: RawNode, _ fields: Fields) -> RawAccess? {
        if node.passive {
            diagnostics.error(
                access.origin, "\(fields.subject) is passive: it gets copies, and lets nothing pass",
                hint: "write `access` at an application that packets pass")
            return nil
        }
        if access.byApplication != nil, node.networkAddress != nil {
            diagnostics.error(
                access.origin,
                "\(fields.subject) has `send: network`: it does not see the service addresses, which lists are about",
                hint: "write `access: engine`, or remove `send`")
            return nil
        }
        return access
    }

    private func enforcement(_ node: Node?) -> AccessPlan.Enforcement? {
        guard let node else { return nil }
        guard node.mapping != nil else {
            return nodes.flag(node, "`application`")?.value == true ? .nftables : nil
        }
        let fields = nodes.fields(node, "`application` of `access`", Grammar.accessTemplate)
        let path = nodes.text(fields["path"], "`path`")
        let reload = nodes.text(fields["reload"], "`reload`")
        let check = nodes.text(fields["check"], "`check`")
        for key in ["template", "path", "reload"] where fields.isMapping && fields[key] == nil {
            diagnostics.error(
                fields.origin, "`application` of `access` has no `\(key)`",
                hint: "write { template: FILE, path: PATH, reload: COMMAND }")
        }
        guard let (contents, origin) = source(fields["template"], isTemplate: true), let path, self.check(path),
            let reload
        else { return nil }
        let text = String(decoding: contents, as: UTF8.self)
        do throws(AccessTemplateFault) { _ = try AccessTemplateText(text) } catch {
            diagnostics.error(
                .line(SourcePosition(line: error.line, column: 1, file: origin.position?.file)), error.message,
                hint: error.hint)
            return nil
        }
        return .template(
            AccessTemplate(
                path: path.value, template: text, reload: command(reload, "`reload` of `access`"),
                check: check.map { command($0, "`check` of `access`") }))
    }

    /// Lists of an application that no tenant may use could judge nothing.
    func checkAccess(of file: TopologyFile) {
        var seen: Set<String> = []
        for node in file.nodes {
            if case .template(let template)? = node.access?.byApplication,
                let own = node.files.first(where: { $0.path.value == template.path })
            {
                diagnostics.error(
                    own.path.origin, "\(quoted(template.path)) is the file of `access` already",
                    hint: "choose another path for one of the two")
            }
            let name = node.application ?? node.name.value
            guard let access = node.access, seen.insert(name).inserted else { continue }
            if file.tenants.isEmpty {
                diagnostics.remark(
                    access.origin, "there are no tenants, so nobody keeps access lists for \(quoted(name))",
                    hint: "add `tenants`, or remove `access`")
            } else if !file.tenants.contains(where: { $0.applications.contains { $0.value == name } }) {
                diagnostics.error(
                    access.origin, "no tenant may use \(quoted(name)), so nobody keeps access lists for it",
                    hint: "add it to the `applications` of a tenant, or remove `access`")
            }
        }
    }
}
