// swift-tools-version: 6.1

import PackageDescription

/// Every room compiles in the Swift 6 language mode, with views that cannot outlive the bytes they read. A file sees the
/// members of the modules that it imports itself, and of no others.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableExperimentalFeature("Lifetimes"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// What marks where jumps may end, for processors that look.
#if arch(arm64)
    let controlFlowProtection = "-mbranch-protection=standard"
#else
    let controlFlowProtection = "-fcf-protection=full"
#endif

/// C is compiled to notice an overrun of its buffers, and to let jumps end only where they may.
let hardened: [CSetting] = [
    .unsafeFlags(["-fstack-protector-strong", controlFlowProtection]),
    // The C library's own checks need optimisation.
    .unsafeFlags(["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"], .when(configuration: .release)),
]

/// Programs are linked so that all that the loader fills in is read-only before their first instruction.
let sealed: [LinkerSetting] = [
    .unsafeFlags(["-Xlinker", "-z", "-Xlinker", "relro", "-Xlinker", "-z", "-Xlinker", "now"])
]

/// Test modules that wait for programs and compare texts: optimising them takes longer than it could save.
let unoptimised = settings + [.unsafeFlags(["-Onone"])]

let package = Package(
    name: "tapline",
    products: [
        .executable(name: "tapline", targets: ["tapline"]),
        .executable(name: "tapline-engine", targets: ["tapline-engine"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // What every room says to a person in the same way.
        .target(name: "Reporting", swiftSettings: settings),

        // The pure rooms: no operating system, no Foundation.
        .target(name: "Wire", swiftSettings: settings),
        .target(name: "Forwarding", dependencies: ["Wire"], swiftSettings: settings),
        .target(name: "Health", dependencies: ["Wire"], swiftSettings: settings),

        // What the kernel is asked through.
        .target(name: "CLinux", cSettings: hardened),
        .systemLibrary(
            name: "CNetlink",
            pkgConfig: "libnl-route-3.0",
            providers: [.apt(["libnl-3-dev", "libnl-route-3-dev", "pkg-config"])]
        ),
        .target(name: "LinuxNetwork", dependencies: ["CLinux", "CNetlink", "Wire"], swiftSettings: settings),
        .systemLibrary(
            name: "CPcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev", "pkg-config"])]),

        // Captures: their files, and the filters that people write.
        .target(name: "PacketCapture", dependencies: ["Wire", "Reporting"], swiftSettings: settings),
        .target(name: "PacketFilters", dependencies: ["CPcap", "Reporting"], swiftSettings: settings),

        // The packeting engine: the process that reads hostile bytes.
        .target(name: "Engine", dependencies: ["Forwarding", "Wire", "CLinux", "Reporting"], swiftSettings: settings),
        .executableTarget(
            name: "tapline-engine", dependencies: ["Engine", "CLinux", "Reporting"], swiftSettings: settings,
            linkerSettings: sealed),

        // The way of packets, from what engines read and wrote: no operating system.
        .target(
            name: "Tracing", dependencies: ["Engine", "Forwarding", "Wire", "Reporting"], swiftSettings: settings),

        // The control side: what it speaks of, its loop, and what it plans.
        .target(name: "ControlAPI", dependencies: ["Reporting"], swiftSettings: settings),
        .target(name: "Metrics", dependencies: ["ControlAPI"], swiftSettings: settings),
        .target(name: "EventLoop", dependencies: ["CLinux", "Wire", "Reporting"], swiftSettings: settings),
        .target(name: "Plan", dependencies: ["Forwarding", "Wire", "Reporting"], swiftSettings: settings),
        .target(
            name: "TopologyFiles",
            dependencies: ["Plan", "Forwarding", "Wire", "Reporting", .product(name: "Yams", package: "Yams")],
            swiftSettings: settings),
        .target(
            name: "Planning", dependencies: ["TopologyFiles", "Plan", "Forwarding", "Wire", "Reporting"],
            swiftSettings: settings),

        // What somebody else made, and topologies are attached to.
        .target(
            name: "Attachments",
            dependencies: ["Plan", "LinuxNetwork", "EventLoop", "Wire", "CLinux", "Reporting"],
            swiftSettings: settings),

        // The control side: one room for each of its jobs.
        .target(
            name: "Fabric",
            dependencies: [
                "Attachments", "Plan", "LinuxNetwork", "EventLoop", "Forwarding", "Wire", "CLinux", "Reporting",
            ],
            swiftSettings: settings),
        .target(
            name: "Nodes",
            dependencies: [
                "Attachments", "Fabric", "ControlAPI", "EventLoop", "Plan", "LinuxNetwork", "Wire", "CLinux",
                "Reporting",
            ],
            swiftSettings: settings),
        .target(
            name: "EngineControl",
            dependencies: [
                "Engine", "ControlAPI", "EventLoop", "Plan", "Tracing", "LinuxNetwork", "Forwarding", "Wire",
                "CLinux", "Reporting",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .target(
            name: "Redundancy", dependencies: ["ControlAPI", "Plan", "Forwarding", "Wire", "Reporting"],
            swiftSettings: settings),
        .target(
            name: "HealthMonitoring",
            dependencies: [
                "Health", "Nodes", "Fabric", "ControlAPI", "EventLoop", "Plan", "LinuxNetwork", "Forwarding",
                "Wire",
                "CLinux", "Reporting",
            ],
            swiftSettings: settings),
        .target(
            name: "Verification",
            dependencies: [
                "Nodes", "EngineControl", "ApplianceClient", "Observation", "Tracing", "Fabric", "ControlAPI",
                "EventLoop",
                "Plan", "LinuxNetwork", "Forwarding", "PacketCapture", "Wire", "Reporting",
            ],
            swiftSettings: settings),
        // What tenants may ask for: routes, rights, bodies, problems; pure.
        // Ports and addresses that applications ask for: two protocols, and what was granted.
        .target(name: "PortMapping", dependencies: ["Wire"], swiftSettings: settings),
        .target(name: "Instructions", dependencies: ["ControlAPI", "Plan", "Reporting"], swiftSettings: settings),
        .target(
            name: "ApplianceClient",
            dependencies: ["ControlAPI", "Fabric", "EventLoop", "CLinux", "LinuxNetwork", "Wire", "Reporting"],
            swiftSettings: settings),

        // What commands see of a running topology: live frames, captures, traces.
        .target(
            name: "Observation",
            dependencies: [
                "ApplianceClient", "ControlAPI", "Engine", "EventLoop", "Fabric", "LinuxNetwork", "PacketCapture",
                "PacketFilters", "Tracing",
                "Wire", "Reporting",
            ],
            swiftSettings: settings),

        // The control process, which ties these rooms together, and the command line.
        .target(
            name: "Appliance",
            dependencies: [
                "Verification", "HealthMonitoring", "Redundancy", "EngineControl", "Nodes", "Fabric", "Attachments",
                "ApplianceClient", "ControlAPI", "EventLoop", "Planning", "TopologyFiles", "Plan", "Tracing", "Engine",
                "LinuxNetwork",
                "Forwarding", "PortMapping",
                "Wire", "CLinux",
                "Reporting", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "tapline",
            dependencies: [
                "Appliance", "ApplianceClient", "Instructions", "Observation", "PacketCapture", "Tracing", "Metrics",
                "Verification",
                "Fabric", "EventLoop", "ControlAPI", "Planning", "TopologyFiles", "Plan", "Engine", "LinuxNetwork",
                "Forwarding", "Wire",
                "CLinux", "Reporting",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings,
            linkerSettings: sealed
        ),

        // Seeds that are printed, and can be given again.
        .target(name: "Seeds", path: "Tests/Seeds", swiftSettings: settings),
        .testTarget(name: "WireTests", dependencies: ["Wire", "Seeds"], swiftSettings: settings),
        // What snapshots are judged by: the entries read one by one.
        .target(
            name: "TableReading", dependencies: ["Forwarding", "Wire"], path: "Tests/TableReading",
            swiftSettings: settings),
        .testTarget(
            name: "ForwardingTests", dependencies: ["Forwarding", "Wire", "TableReading", "Seeds"],
            swiftSettings: settings),
        .testTarget(name: "HealthTests", dependencies: ["Health", "Wire", "Seeds"], swiftSettings: settings),
        .testTarget(
            name: "MetricsTests", dependencies: ["Metrics", "ControlAPI"], swiftSettings: unoptimised),
        .testTarget(
            name: "PortMappingTests", dependencies: ["PortMapping", "Wire", "Seeds"],
            swiftSettings: unoptimised),
        .testTarget(
            name: "InstructionsTests", dependencies: ["Instructions", "ControlAPI", "Plan", "Seeds"],
            swiftSettings: unoptimised),
        .testTarget(
            name: "LinuxNetworkTests", dependencies: ["LinuxNetwork", "CLinux", "CNetlink", "Wire"],
            swiftSettings: unoptimised),
        // Captures, judged by tshark, tcpdump and scapy; filters, judged by libpcap's own interpreter.
        .testTarget(
            name: "PacketCaptureTests",
            dependencies: ["PacketCapture", "PacketFilters", "Engine", "CPcap", "Wire", "Reporting", "Seeds"],
            exclude: ["read-pcapng.py", "read-scapy.py"], swiftSettings: unoptimised),
        .target(name: "CAllocations", path: "Tests/CAllocations"),
        // Frames, and a worker over memory.
        .target(
            name: "EngineRig", dependencies: ["Engine", "Forwarding", "Wire"], path: "Tests/EngineRig",
            swiftSettings: settings),
        .target(name: "CRefusal", path: "Tests/CRefusal"),
        .testTarget(
            name: "EngineTests",
            dependencies: [
                "Engine", "Forwarding", "Wire", "EngineRig", "LinuxNetwork", "CAllocations", "CRefusal", "CLinux",
                "Seeds", "Reporting",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "TopologyTests",
            dependencies: ["Planning", "TopologyFiles", "Plan", "Forwarding", "Wire", "Reporting", "Seeds"],
            exclude: ["BadFiles", "judge-schema.py"],
            swiftSettings: unoptimised
        ),
        .testTarget(
            name: "ApplianceTests",
            dependencies: [
                "Appliance", "ApplianceClient", "Verification", "HealthMonitoring", "Redundancy", "EngineControl",
                "Nodes", "Observation", "Tracing",
                "Fabric", "ControlAPI", "EventLoop", "Planning", "TopologyFiles", "Plan", "Engine", "Forwarding",
                "Health", "LinuxNetwork",
                "Wire", "CLinux", "Reporting", "Seeds",
                .product(name: "Logging", package: "swift-log"),
            ],
            exclude: ["junit.xsd", "run-action.py"],
            swiftSettings: unoptimised),
        // What must hold whatever the bytes are, for the fuzzer and for the test that replays its corpus.
        .target(
            name: "FuzzProperties",
            dependencies: [
                "Wire", "Forwarding", "Engine", "Planning", "TopologyFiles", "Plan", "PortMapping", "TableReading",
                "Reporting",
            ],
            path: "Tests/Fuzz/Properties", swiftSettings: settings),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzProperties", "Seeds"], swiftSettings: settings),
        .testTarget(
            name: "TracingTests",
            dependencies: [
                "Tracing", "EngineControl", "Planning", "TopologyFiles", "Plan", "EngineRig", "Engine", "Forwarding",
                "Wire", "Seeds",
            ],
            swiftSettings: unoptimised),
        // Captures and a topology in, the expected captures out.
        .testTarget(
            name: "GoldenTests", dependencies: ["Planning", "TopologyFiles", "Plan", "Engine", "Forwarding", "Wire"],
            exclude: ["Cases", "make-inputs.py"],
            swiftSettings: unoptimised),
        // An engine that belongs to somebody else.
        .executableTarget(name: "hostile-engine", dependencies: ["CLinux"], path: "Tests/HostileEngine"),
        // Whole topologies through the built programs, judged by real peers.
        .testTarget(
            name: "IntegrationTests", dependencies: ["tapline", "tapline-engine", "hostile-engine", "Seeds"],
            exclude: ["ExactPackets", "Mappings"],
            swiftSettings: unoptimised),
    ]
)

// The fuzzer is built by Scripts/fuzz alone: it links only with the sanitizers that the script asks for.
if Context.environment["TAPLINE_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["FuzzProperties"], path: "Tests/Fuzz/Program", swiftSettings: settings))
}

// What processing and lookup cost by themselves, for Scripts/bench.
if Context.environment["TAPLINE_MEASURE"] != nil {
    package.targets.append(
        .executableTarget(
            name: "measure", dependencies: ["EngineRig", "Engine", "Tracing", "Forwarding", "Wire", "CLinux"],
            path: "Tests/Measure",
            swiftSettings: settings))
}

// The documentation as a web site, for Scripts/documentation.
if Context.environment["TAPLINE_DOCUMENTATION"] != nil {
    package.dependencies.append(.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"))
}

// What pages have in common, for both web servers.
if Context.environment["TAPLINE_PORTAL"] != nil || Context.environment["TAPLINE_RECORDS"] != nil {
    package.targets.append(.target(name: "WebPages", swiftSettings: settings))
}

// The live page, for Scripts/install and Scripts/test: whoever builds `tapline` alone fetches and compiles no HTTP server.
if Context.environment["TAPLINE_PORTAL"] != nil {
    package.products.append(.executable(name: "tapline-portal", targets: ["tapline-portal"]))
    package.targets += [
        .target(
            name: "Portal",
            dependencies: [
                "ApplianceClient", "Observation", "Tracing", "PacketCapture", "Metrics", "ControlAPI", "EventLoop",
                "WebPages", "Wire", "CLinux", "Reporting",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "tapline-portal", dependencies: ["Portal", "Reporting"], swiftSettings: settings,
            linkerSettings: sealed),
        // The live page as browsers and attackers see it.
        .testTarget(
            name: "PortalTests",
            dependencies: [
                "tapline", "tapline-engine", "tapline-portal", "CLinux", "Portal", "ControlAPI", "Reporting",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            exclude: ["browser.py", "taken-over.py", "many-events.py"],
            swiftSettings: unoptimised),
    ]
}

// Both are HTTP servers.
if Context.environment["TAPLINE_PORTAL"] != nil || Context.environment["TAPLINE_RECORDS"] != nil {
    package.dependencies.append(.package(url: "https://github.com/apple/swift-nio", from: "2.101.2"))
}

// What customers keep themselves, for Scripts/install and Scripts/test: whoever builds `tapline` alone needs no database.
if Context.environment["TAPLINE_RECORDS"] != nil {
    package.dependencies.append(.package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"))
    package.dependencies.append(.package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"))
    package.products.append(.executable(name: "tapline-records", targets: ["tapline-records"]))
    package.targets += [
        // The database of tenants' records.
        .target(
            name: "Records",
            dependencies: [
                "Instructions", "ControlAPI", "Reporting", "CLinux", .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        // The process that serves them.
        .target(
            name: "Management",
            dependencies: [
                "Records", "Instructions", "ControlAPI", "EventLoop", "Plan", "WebPages", "CLinux", "Wire", "Reporting",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "tapline-records", dependencies: ["Management", "Reporting"], swiftSettings: settings,
            linkerSettings: sealed),
        // The database by itself, and instructions through the whole chain.
        .testTarget(
            name: "RecordsTests",
            dependencies: [
                "tapline", "tapline-engine", "tapline-records", "Management", "Records", "Instructions", "ControlAPI",
                "Reporting", "Seeds", "Wire",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            exclude: ["browse-services.py", "hostile-customers.py", "judge.py", "kill-rounds.py"],
            swiftSettings: unoptimised),
    ]
}

// Only the test modules that TAPLINE_TESTS names (EngineTests,WireTests), so that no others are compiled for a run of these.
if let named = Context.environment["TAPLINE_TESTS"]?.split(separator: ",") {
    package.targets.removeAll { $0.type == .test && !named.contains($0.name[...]) }
}
