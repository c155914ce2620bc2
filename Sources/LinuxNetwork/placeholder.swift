import CLinux
import CNetlink
import Wire
