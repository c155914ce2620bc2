/// Asks the control process to take the topology away. Answered before that begins.
package struct StopRequest: ControlCommand {
    package typealias Answer = Done
    package typealias CodingKeys = NoKeys

    package init() {}

    package var request: ControlRequest { .stop(self) }
}
