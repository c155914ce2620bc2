import CLinux

/// Whether the kernel lets this process use io_uring.
public enum RingTrial {
    /// Makes a ring as the packeting engine does, and closes it again.
    ///
    /// - Returns: The errno that it failed with; 0 where it did not.
    public static func failure() -> Int32 {
        let result = clinux_try_ring()
        return result < 0 ? -result : 0
    }
}
