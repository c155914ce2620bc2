import CLinux
import Testing

@testable import LinuxNetwork

@Suite("Mounts below layers") struct InnerMountTests {
    private static func lines(_ mounts: [(path: String, type: String)]) -> String {
        mounts.enumerated().map { "\($0 + 30) 22 0:\($0) / \($1.path) rw - \($1.type) none rw\n" }.joined()
    }

    @Test func theFirstAreSeenAndTheOthersCounted() {
        let most = Int(CLINUX_MOST_INNER_MOUNTS)
        let mounts = (0..<most + 3).map { (path: "/var/m\(1000 + $0)", type: "tmpfs") }
        let all = InnerMounts(below: ["/var"], in: Self.lines(mounts.reversed()))
        #expect(all.mounts.map(\.path) == mounts.prefix(most).map(\.path) && all.leftOut == 3)
        let fitting = InnerMounts(below: ["/var"], in: Self.lines(Array(mounts.prefix(most))))
        #expect(fitting.mounts.count == most && fitting.leftOut == 0)
    }

    @Test func containersTakeNoPlaces() {
        let containers = (0..<Int(CLINUX_MOST_INNER_MOUNTS)).flatMap { number -> [(path: String, type: String)] in
            [
                (path: "/var/lib/docker/overlay2/a\(number)/merged", type: "overlay"),
                (path: "/var/lib/docker/overlay2/a\(number)/merged/data", type: "ext4"),
                (path: "/var/lib/containers/storage/overlay/b\(number)/merged", type: "overlay"),
            ]
        }
        let others = [
            (path: "/var/lib/docker/overlay2/disk", type: "xfs"), (path: "/var/lib/mine", type: "overlay"),
            (path: "/var/lib/x\\040y", type: "nfs4"),
        ]
        let found = InnerMounts(below: ["/var"], in: Self.lines(containers + others))
        #expect(found.leftOut == 0)
        #expect(found.mounts.map(\.path) == ["/var/lib/docker/overlay2/disk", "/var/lib/mine", "/var/lib/x y"])
        #expect(found.mounts.map(\.isLayered) == [true, true, false])
    }
}
