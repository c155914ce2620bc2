#if THREAD_SANITIZER
    @_silgen_name("__tsan_release")
    private func tsanRelease(_ address: UnsafeMutableRawPointer)
    @_silgen_name("__tsan_acquire")
    private func tsanAcquire(_ address: UnsafeMutableRawPointer)
#endif

/// Tells the thread sanitizer of an order between threads that a `Mutex` keeps, which the sanitizer does not see. Without the
/// sanitizer it is nothing.
enum ThreadOrder {
    /// All that this thread has done so far comes before what follows `take` of the same object.
    @inline(__always)
    static func give(_ object: AnyObject) {
        #if THREAD_SANITIZER
            tsanRelease(Unmanaged.passUnretained(object).toOpaque())
        #endif
    }

    /// What other threads did before `give` of the object is visible from here on.
    @inline(__always)
    static func take(_ object: AnyObject) {
        #if THREAD_SANITIZER
            tsanAcquire(Unmanaged.passUnretained(object).toOpaque())
        #endif
    }
}
