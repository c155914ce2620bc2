"""What every system under measurement is: something that carries packets between the nodes of a scenario."""


class System:
    """One way of carrying a scenario's packets. After `up`, its nodes can be reached by `path`."""

    key = ""            # its name in JSON and on the plots
    cells = None        # the keys of the cells that are measured with it; None: all

    def __init__(self, lab, scenario):
        self.lab, self.scenario = lab, scenario

    def up(self):
        """Builds the nodes and connects them; BenchError where that cannot be done."""
        raise NotImplementedError

    def path(self, node):
        """The path of a node's network namespace."""
        raise NotImplementedError

    def processes(self):
        """The ids of the processes that do the forwarding; none where the kernel does it."""
        return []

    def readers(self):
        """The ids of the processes that watch its packets; none where nobody does."""
        return []

    def roots(self):
        """The ids of processes that are the system's without having been started by the lab."""
        return []

    def __str__(self):
        return self.key


class SystemOfNodes(System):
    """A system whose nodes are the bench's own namespaces."""

    nodes = None

    def path(self, node):
        return self.nodes.paths[node]
