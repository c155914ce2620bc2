// The frames and the rig over memory, which the measurements share.
@_exported import EngineRig
