import Topology
import LinuxNetwork
import Engine
import Logging
