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
        if access(path, R_OK) != 0, errno == EACCES {
            throw ApplianceError(
                .machine, "\(path) cannot be read by this user",
                mend: "allow it with chmod, for the folders on the way to it too, or run it with sudo")
        }
        do throws(TopologyError) {
            var plan = try Planner.plan(try TopologyFile.read(path), name: name)
            // Commands start there from inside mount namespaces, where no current folder is left.
            plan.directory = absolute(plan.directory.isEmpty ? "." : plan.directory)
            return plan
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
