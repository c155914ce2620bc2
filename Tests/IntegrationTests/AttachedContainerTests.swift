import Foundation
import Testing

/// A container of podman whose network namespace a node is in, on the machine that the scenario `attached` plays.
@Suite(.serialized) struct AttachedContainerTests {
    private static let folder = Product.root.appendingPathComponent("Topologies/attached").path

    @Test func containerThatIsRestartedIsAttachedAgain() throws {
        let script = """
            set -e
            t=\(Product.tapline)
            page() { ip netns exec box curl -s -m 2 http://203.0.113.80/; }
            until_page() { for i in $(seq 300); do page && return; sleep 0.1; done; echo no page; exit 1; }
            $t up \(Self.folder)/topology-container.yaml -d
            until_page
            podman restart -t 0 shop
            until_page
            podman stop -t 0 shop
            for i in $(seq 300); do $t status attached-container | grep 'podman:shop has stopped' && break; sleep 0.1; done
            podman start shop
            until_page
            echo lost $($t events attached-container --json | grep -c attachment-lost)
            echo restored $($t events attached-container --json | grep -c attachment-restored)
            $t down attached-container
            echo devices $(nsenter -n -t $(podman container inspect --format '{{.State.Pid}}' shop) ip -br link | wc -l)
            """
        let finished = try run("\(Self.folder)/machine.sh", ["sh", "-c", script], timeout: 200)
        #expect(finished.status == 0, "\(finished.output)")
        for words in ["hello from a container", "has stopped", "lost 2", "restored 2", "devices 1"] {
            #expect(finished.output.contains(words), "\(words): \(finished.output)")
        }
    }

    @Test func containersThatAreNotThereAreRefused() throws {
        let script = """
            t=\(Product.tapline)
            podman stop -t 0 shop
            $t up \(Self.folder)/topology-container.yaml -d; echo status $?
            podman rm shop
            $t up \(Self.folder)/topology-container.yaml -d; echo status $?
            ls /run/netns | sed 's/^/left: /'
            """
        let finished = try run("\(Self.folder)/machine.sh", ["sh", "-c", script], timeout: 100)
        #expect(finished.output.contains("the container shop does not run"), "\(finished.output)")
        #expect(finished.output.contains("'podman start shop' starts it"))
        #expect(finished.output.contains("podman knows no container shop"))
        #expect(finished.output.components(separatedBy: "status 4").count == 3, "\(finished.output)")
        #expect(!finished.output.contains("left: attached-container"), "nothing is left: \(finished.output)")
    }
}
