import Plan

extension Grammar {
    /// What a node's application is, if it is no command of the machine's.
    static let guests = [
        KeyGrammar(
            "image", .oneOf([.text, .mapping(containerImage)]),
            "A container image that is the application, in place of `run`: docker.io/library/nginx:1.27. podman runs it in the "
                + "node's network namespace.")
    ]

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
