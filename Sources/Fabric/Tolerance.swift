import Glibc
import LinuxNetwork

/// Takes something away that may be gone already.
///
/// - Throws: The errors of `body`, except ENOENT, ESRCH, ENODEV and EADDRNOTAVAIL.
package func ignoringAbsence(_ body: () throws(SystemError) -> Void) throws(SystemError) {
    do throws(SystemError) { try body() } catch {
        guard [ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL].contains(error.errno) else { throw error }
    }
}

/// Adds something that may be there already.
func ignoringPresence(_ body: () throws(SystemError) -> Void) throws(SystemError) {
    do throws(SystemError) { try body() } catch {
        guard error.errno == EEXIST else { throw error }
    }
}
