import CLinux
import Glibc
import Reporting

/// What the process of records gives up before it reads its first request.
///
/// A user and namespaces of its own, with nothing mounted and no network: the listening socket was made outside. No
/// capability, no_new_privs, no core dump; and then the system calls of a web server with files that are open.
enum RecordsConfinement {
    /// Leaves the machine. Only one thread may run.
    ///
    /// - Parameter user: The user and group that the process becomes; 0 leaves them as they are.
    /// - Throws: `ApplianceError` if the process would keep a privilege.
    static func enter(user: UInt32) throws(ApplianceError) {
        signal(SIGPIPE, SIG_IGN)
        clinux_share_one_heap()
        let granted = clinux_isolate(user)
        guard granted >= 0 else { throw .system("cannot give up every privilege", errno: -granted) }
        let parts = UInt32(granted)
        guard user == 0 || parts & CLINUX_APART_USER.rawValue != 0 else {
            throw ApplianceError(.failed, "cannot become a user of its own")
        }
    }

    /// Lets all threads make only the system calls that they need (`clinux_records_calls`).
    ///
    /// - Throws: `ApplianceError` if the kernel refuses the filter.
    static func restrict() throws(ApplianceError) {
        var count = 0
        let result = clinux_refuse_others(clinux_records_calls(&count), count)
        guard result >= 0 else {
            throw .system("cannot give up the system calls that it does not need", errno: -result)
        }
    }
}
