// measure processing | lookup | access | publish | trace: what the engine's own work costs, and that of the reader of a trace, without
// an operating system. One line of JSON for each kind. Words behind `processing` and `trace` choose the kinds whose names contain them.

let arguments = CommandLine.arguments
switch arguments.dropFirst().first {
case "processing":
    try measureProcessing(arguments.dropFirst(2).first)
    try measureCircuits(arguments.dropFirst(2).first)
case "lookup": try measureLookup()
case "access": try measureAccess()
case "trace": try measureTrace(arguments.dropFirst(2).first)
case "publish":
    try measurePublish()
    try measureHealth()
default: fatalError("usage: measure processing [WORDS] | lookup | access | publish | trace [WORDS]")
}
