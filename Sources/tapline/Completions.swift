import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

// What a shell offers at the tab key. It offers nothing if nothing can be found out, for instance without root.

/// The names of all topologies on this machine.
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
