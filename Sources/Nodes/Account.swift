import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// A user of the machine that a program becomes.
struct Account: Sendable, Hashable {
    var number: UInt32
    var group: UInt32
    /// The other groups that it is in.
    var groups: [UInt32]
    /// Its name and its home; nil for a number that the machine gives no name.
    var name: String?
    var home: String?

    /// - Parameters:
    ///   - user: Its name or number.
    ///   - group: The name or number of its group; nil: the one that the machine gives it, or else the same number.
    /// - Throws: `ApplianceError` if the machine knows no such user or group.
    init(user: String, group: String?) throws(ApplianceError) {
        var record = passwd()
        var memory = [CChar](repeating: 0, count: 64 << 10)
        var found: UnsafeMutablePointer<passwd>?
        let written = UInt32(user)
        let code =
            if let written {
                getpwuid_r(written, &record, &memory, memory.count, &found)
            } else {
                getpwnam_r(user, &record, &memory, memory.count, &found)
            }
        if found != nil {
            number = record.pw_uid
            self.group = record.pw_gid
            name = record.pw_name.map { String(cString: $0) }
            home = record.pw_dir.map { String(cString: $0) }
            groups = name.map { Self.groups(of: $0, record.pw_gid) } ?? []
        } else if let written {
            (number, self.group, groups) = (written, written, [])
        } else {
            throw ApplianceError(
                .machine, "there is no user '\(user)'" + (code == 0 ? "" : ": \(errorText(code))"),
                hint: "install the package that makes it, make it with 'useradd --system \(user)', or write a number")
        }
        if let group { self.group = try Self.number(ofGroup: group) }
    }

    private static func number(ofGroup name: String) throws(ApplianceError) -> UInt32 {
        if let number = UInt32(name) { return number }
        var record = Glibc.group()
        var memory = [CChar](repeating: 0, count: 64 << 10)
        var found: UnsafeMutablePointer<Glibc.group>?
        let code = getgrnam_r(name, &record, &memory, memory.count, &found)
        guard found != nil else {
            throw ApplianceError(
                .machine, "there is no group '\(name)'" + (code == 0 ? "" : ": \(errorText(code))"),
                hint: "install the package that makes it, make it with 'groupadd --system \(name)', or write a number")
        }
        return record.gr_gid
    }

    private static func groups(of name: String, _ own: UInt32) -> [UInt32] {
        var count: Int32 = 256
        var groups = [gid_t](repeating: 0, count: Int(count))
        guard getgrouplist(name, own, &groups, &count) >= 0 else { return [own] }
        return Array(groups.prefix(Int(count)))
    }
}

extension ConfinementPlan {
    /// The rights of a program.
    func rights(of account: Account?) -> ProgramRights {
        guard let account else {
            return ProgramRights(bounding: (capabilities ?? .networkApplications).bits)
        }
        let kept = (capabilities ?? CapabilitySet(bits: 0)).bits
        return ProgramRights(
            bounding: kept,
            user: ProgramRights.User(
                number: account.number, group: account.group, groups: account.groups, kept: kept))
    }
}

extension NodeEntrance {
    /// The same with the variables of a user, where the file does not set them.
    func becoming(_ account: Account, _ plan: NodePlan) -> NodeEntrance {
        var entrance = self
        var own = ["HOME": account.home ?? "/"]
        if let name = account.name { (own["USER"], own["LOGNAME"]) = (name, name) }
        entrance.environment.merge(own) { $1 }
        entrance.environment.merge(plan.process.environment) { $1 }
        return entrance
    }
}

extension NodeRuntime {
    /// The user that its program becomes; nil: root.
    func account() throws(ApplianceError) -> Account? {
        guard let user = plan.process.confinement.user else { return nil }
        do throws(ApplianceError) {
            let account = try Account(user: user, group: plan.process.confinement.group)
            openFolder()
            return account
        } catch {
            throw ApplianceError(error.status, "\(place): \(error.message)", hint: error.hint)
        }
    }

    /// Makes the node's folder everybody's, as /tmp is, if one of its programs has a user.
    func openFolder() {
        guard ([self] + programs).contains(where: { $0.plan.process.confinement.user != nil }) else { return }
        chmod(directory.nodePath(plan.name), 0o1777)
    }
}
