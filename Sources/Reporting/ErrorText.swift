import Glibc

/// The kernel's text for an errno.
package func errorText(_ code: Int32) -> String {
    String(cString: strerror(code))
}
