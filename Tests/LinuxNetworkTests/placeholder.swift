import Testing
import LinuxNetwork
