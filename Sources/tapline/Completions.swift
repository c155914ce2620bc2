import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

// What a shell offers at the tab key. Where nothing can be found out (without root, say), it offers nothing.

/// The names of the topologies that are there.
let topologyNames = CompletionKind.custom { _, _, _ in StateDirectory.allNames() }

/// The nodes of the topology that the command line names.
let nodeNames = CompletionKind.custom { words, _, _ in
    guard let name = StateDirectory.allNames().first(where: words.contains) else { return [] }
    do throws(ApplianceError) { return try ApplianceClient(name: name).status().nodes.map(\.name) } catch { return [] }
}

/// The instances of the topology that the command line names.
let instanceNames = CompletionKind.custom { words, _, _ in
    guard let name = StateDirectory.allNames().first(where: words.contains) else { return [] }
    do throws(ApplianceError) {
        return try ApplianceClient(name: name).status().applications.flatMap(\.instances).map(\.name)
    } catch {
        return []
    }
}
