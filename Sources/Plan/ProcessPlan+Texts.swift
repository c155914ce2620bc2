extension ProcessPlan {
    /// The same process with each text that its shell or its programs get replaced by another one.
    public func mappingTexts(_ body: (String) -> String) -> ProcessPlan {
        var process = self
        process.setup = setup.map(body)
        process.run = run.map(body)
        process.after = after.map(body)
        process.reload = reload.map(body)
        process.environment = environment.mapValues(body)
        process.ready = ready.mappingTexts(body)
        process.programs = programs.map { program in
            var mapped = program
            mapped.run = body(program.run)
            mapped.environment = program.environment.mapValues(body)
            mapped.ready = program.ready.mappingTexts(body)
            return mapped
        }
        return process
    }
}

extension ReadinessPlan {
    /// The same condition with its command, or the path of its file, replaced by another one.
    func mappingTexts(_ body: (String) -> String) -> ReadinessPlan {
        switch self {
        case .command(let command): .command(body(command))
        case .question(.file(let path)): .question(.file(body(path)))
        case .started, .tcp, .http, .question: self
        }
    }
}
