import CLinux
import EventLoop
import Glibc
import Instructions
import Reporting

/// The token that a command acts by.
enum TenantToken {
    /// The environment variable that has it.
    static let variable = "TAPLINE_TOKEN"
    private static let longest = 4096
    private static let another = "the operator makes another one by 'tapline tenant token', and revokes a lost one"

    /// The token of a file, or else of the environment; nil: there is none.
    ///
    /// - Throws: `ApplianceError` if the file cannot be read, others can read it, or what is there is no token.
    static func find(file: String?) throws(ApplianceError) -> String? {
        if let file { return try read(file) }
        guard let text = getenv(variable).map({ String(cString: $0) }) else { return nil }
        // An empty one is a mistake: without a token, the command would act for the operator.
        guard let token = AccessToken(text) else {
            throw ApplianceError(
                .usage, "what \(variable) has is no token", hint: "a token begins with tapline_; \(another)")
        }
        return token.text
    }

    private static func read(_ path: String) throws(ApplianceError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            throw .system("cannot read the token in \(path)", errno: code, hint: code == ENOENT ? another : nil)
        }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw ApplianceError(.usage, "\(path) is no file")
        }
        guard info.st_mode & 0o077 == 0 else {
            throw ApplianceError(.usage, "others can read the token in \(path)", hint: "chmod 600 \(path)")
        }
        let text = String(decoding: readOnce(descriptor, limit: longest) ?? [], as: UTF8.self)
        guard let word = text.split(whereSeparator: \.isWhitespace).first, let token = AccessToken(word) else {
            throw ApplianceError(.usage, "\(path) holds no token", hint: "a token begins with tapline_; \(another)")
        }
        return token.text
    }
}
