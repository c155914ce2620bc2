import Testing
import Topology
