import CLinux
import CNetlink
import Foundation
import LinuxNetwork
import Testing
@Test func x() { var s = fd_set(); _ = s; s = fd_set(); var st = stat(); stat("/", &st); _ = Data(); _ = IFLA_ADDRESS; _ = EPOLLIN; _ = CLONE_NEWNET; _ = Int32(SIGTERM); print(ENOMEM, close(55), Thread.current) }
