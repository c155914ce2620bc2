import Glibc
import Topology

/// A topology file as a plan, with its mistakes as this room's errors.
public enum PlanReader {
    /// The plan of the file at `path`.
    ///
    /// - Parameters:
    ///   - name: A name in place of the file's.
    ///   - isBrief: Whether a mistake is told in one line, without the line of the file.
    public static func plan(_ path: String, name: String? = nil, brief isBrief: Bool = false) throws(ApplianceError)
        -> AppliancePlan
    {
        var plan = try read(path, isBrief) { file throws(TopologyError) in try Planner.plan(file, name: name) }
        // Commands start there from inside mount namespaces, where no current folder is left.
        plan.directory = absolute(plan.directory.isEmpty ? "." : plan.directory)
        return plan
    }

    /// The plan of the file at `path`, with the paths that its table was proved by.
    public static func prove(_ path: String) throws(ApplianceError) -> ProvedPlan {
        try read(path, false) { file throws(TopologyError) in try Planner.prove(file) }
    }

    private static func read<Plan>(
        _ path: String, _ isBrief: Bool, _ make: (TopologyFile) throws(TopologyError) -> Plan
    ) throws(ApplianceError) -> Plan {
        if access(path, R_OK) != 0, errno == EACCES {
            throw ApplianceError(
                .machine, "\(path) cannot be read by this user",
                mend: "allow it with chmod, for the folders on the way to it too, or run it with sudo")
        }
        do throws(TopologyError) {
            return try make(try TopologyFile.read(path))
        } catch {
            let count = error.problems.count
            throw ApplianceError(
                .file, "\(path) has \(count == 1 ? "a mistake" : "\(count) mistakes")",
                details: error.problems.flatMap {
                    (isBrief ? $0.summary : $0.description).split(separator: "\n").map(String.init)
                })
        }
    }

    /// The absolute path of a file.
    public static func absolute(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// This process's number.
var ownPid: Int32 { getpid() }
