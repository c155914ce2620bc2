import Glibc

extension ProcessExit {
    /// The end of a sentence.
    package var summary: String {
        switch self {
        case .exited(let status): "ended with status \(status)"
        case .signalled(SIGSYS): "was ended by its filter of system calls (SIGSYS)"
        case .signalled(let number): "was ended by signal \(number) (\(String(cString: strsignal(number))))"
        }
    }
}
