import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// A user that a program becomes, or that a file belongs to.
struct Account: Sendable, Hashable {
    var number: UInt32
    var group: UInt32
    /// All its groups.
    var groups: [UInt32] = []
    /// Its name and its home; nil for a number without an entry.
    var name: String?
    var home: String?

    /// A number without an entry.
    init(number: UInt32, group: UInt32) {
        (self.number, self.group) = (number, group)
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
    ///
    /// - Parameter node: The node's first process. Users are looked up as it sees /etc, so those count that `files` and
    ///   `setup` have made.
    func account(_ node: Pidfd) throws(ApplianceError) -> Account? {
        guard let user = plan.process.confinement.user else { return nil }
        do throws(ApplianceError) {
            let account = try users(of: "/proc/\(node.pid)/root").account(
                user, group: plan.process.confinement.group)
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

    /// The users of the node.
    ///
    /// - Parameter seen: The root directory as the node sees it; nil: it does not run yet.
    func users(of seen: String?) -> UserList {
        switch plan.filesystem.base {
        case .root(let path): return UserList(root: seen ?? path, knowsMachine: false)
        case .image(let image): return UserList(root: seen ?? directory.imagePath(image), knowsMachine: false)
        case .machine, .shared: return UserList(root: seen, knowsMachine: true)
        }
    }
}
