import ControlAPI
import Instructions
import Records
import Reporting

/// Instructions about access lists.
extension InstructionDesk {
    func accessWish(of work: Work) throws(Problem) -> Wish {
        let application = work.values["application"] ?? ""
        // No application of a file has such a name, whatever the request expects of its list.
        guard application.utf8.count <= BodyReader.longestText else { throw TenantService.noAccess(application) }
        let kept = try keptAccess(application, work.tenant)
        guard work.route.name == .putAccess else {
            guard let kept else { throw TenantService.noAccess(application) }
            try check(work, "access list", kept.version)
            return Wish(removeAccess: [application])
        }
        var reader = BodyReader()
        let list = reader.access(try TenantService.json(work.request), tenant: work.tenant, application: application)
        try reader.check()
        guard let list else { throw Problem(.invalid, "the body is no access list") }
        try check(work, "access list", kept?.version)
        return Wish(putAccess: [list], places: [list.id: ""])
    }

    func keptAccess(_ application: String, _ tenant: String) throws(Problem) -> KeptAccess? {
        try TenantService.store { () throws(ApplianceError) in try store.access(application, of: tenant) }
    }

    /// The access lists of an instruction, with what is hardly intended in them.
    static func views(of wish: Wish, _ version: Int, _ remarks: [RecordRemark]) -> [AccessView] {
        wish.putAccess.map { list in
            var view = AccessView(list, version: version)
            view.remarks = remarks.filter { $0.record == list.id }.map {
                AccessView.Remark(pointer: $0.pointer, detail: $0.message)
            }
            return view
        }
    }
}
