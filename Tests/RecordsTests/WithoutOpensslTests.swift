import Foundation
import Testing

/// A machine without openssl, which makes the certificate of the management address: the doctor finds it, and `up` says it.
@Suite(.serialized) struct WithoutOpensslTests {
    /// Runs the rest of the command where `/usr/bin` has no openssl.
    private static let without = """
        set -e
        mount --make-rprivate /
        mount -t tmpfs tmpfs "$1"
        mkdir "$1/upper" "$1/work"
        mount -t overlay overlay -o lowerdir=/usr/bin,upperdir="$1/upper",workdir="$1/work" /usr/bin
        rm /usr/bin/openssl
        shift
        exec "$@"
        """

    @Test func theDoctorFindsItAndUpSaysIt() throws {
        let files = try CertificateFolder()
        defer { files.remove() }
        try files.own("one")
        let lab = try RecordsLab()
        try lab.down()
        let place = lab.folder.appendingPathComponent("overlay").path
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        func tapline(_ words: String...) throws -> Finished {
            try lab.run(
                ["unshare", "-m", "sh", "-c", Self.without, "sh", place]
                    + [RecordsLab.programs.appendingPathComponent("tapline").path] + words)
        }
        try lab.write(RecordsLab.managed())
        let found = try tapline("doctor", lab.file)
        #expect(
            found.status != 0
                && found.output.contains(
                    "the management address (line 19) has no certificate, and openssl, which makes one, is not installed"
                ),
            "\(found.output)")
        #expect(found.output.contains("install openssl, or name a `certificate`"), "\(found.output)")
        let up = try tapline("up", lab.file, "-d")
        #expect(
            up.status == 4
                && up.output.contains(
                    "no certificate can be made for the management address; install openssl, or name a certificate: "),
            "\(up.status) \(up.output)")
        #expect(!FileManager.default.fileExists(atPath: lab.state))
        // A certificate of the file needs none.
        try lab.write(
            RecordsLab.managed(", certificate: { chain: \(files.path("one.pem")), key: \(files.path("one.key")) }"))
        #expect(try !tapline("doctor", lab.file).output.contains("openssl"))
        let second = try tapline("up", lab.file, "-d")
        #expect(second.status == 0, "\(second.output)")
        // With it, nothing is missing.
        try lab.down()
        try lab.write(RecordsLab.managed())
        #expect(try !lab.tapline("doctor", lab.file).output.contains("openssl"))
    }
}
