import Plan

extension Grammar {
    /// What a node's application is, if it is no command of the machine's.
    static let guests = [
        KeyGrammar(
            "image", .oneOf([.text, .mapping(containerImage)]),
            "A container image that is the application, in place of `run`: docker.io/library/nginx:1.27. podman runs it in the "
                + "node's network namespace."),
        KeyGrammar(
            "machine", .mapping(machine),
            "A virtual machine that is the application, in place of `run`. QEMU runs it, with a network device on each leg of "
                + "the node."),
    ]

    static let machine = MappingGrammar(
        "machine", "A virtual machine. It has a `disk`, a `kernel`, or both.",
        [
            KeyGrammar(
                "disk", .text, "The file of its disk, from the file's folder; what it writes is gone when it ends."),
            KeyGrammar("kernel", .text, "The Linux kernel that is started, in place of what the disk starts."),
            KeyGrammar("initrd", .text, "The kernel's first file system."),
            KeyGrammar(
                "append", .text,
                "What is added to the kernel's command line: console=ttyS0, ip=… and tapline.services=… are there."),
            KeyGrammar("memory", .size, "Its memory; 256M by default."),
            KeyGrammar("cpus", .integer(processors), "How many processors it has; 1 by default."),
            KeyGrammar(
                "accelerator", .choice(MachinePlan.Accelerator.allCases.map(\.rawValue)),
                "What runs its instructions: the processor (kvm) or a translator (tcg); by default kvm where the processor "
                    + "has virtualisation and /dev/kvm can be opened."),
        ])
    static let processors = 1...64
    static let machineMemory: ClosedRange<UInt64> = (16 << 20)...(1 << 40)

    static let containerImage = MappingGrammar(
        "containerImage", "A container image, and how a container of it is run.",
        [
            KeyGrammar("name", .text, "The image's name, with its registry.", required: true),
            KeyGrammar(
                "pull", .choice(ContainerImagePlan.Pull.allCases.map(\.rawValue)),
                "When it is fetched from its registry; missing by default: if it is not on the machine."),
            KeyGrammar("command", .oneOrMany(.text), "The words of its command; the image's own by default."),
            KeyGrammar(
                "mounts", .named(.oneOf([.text, .mapping(containerMount)])),
                "Folders and files of the machine that it sees: { /path/in/it: folder }, read-only."),
        ])

    static let containerMount = MappingGrammar(
        "containerMount", "A folder or file of the machine that a container sees.",
        [
            KeyGrammar("from", .text, "The folder or file, from the file's folder.", required: true),
            KeyGrammar("writable", .flag, "Whether the container may write there; false by default."),
        ])
}
