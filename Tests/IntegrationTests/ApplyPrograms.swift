/// What runs in the nodes of `ApplyTests`.
enum ApplyPrograms {
    /// Each connection's octets come back.
    static let server = """
        import socket, threading
        def serve(c):
            while True:
                data = c.recv(65536)
                if not data: return
                c.sendall(data)
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", 80))
        s.listen()
        while True:
            threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
        """

    /// One connection that is used until there is a file `stop`.
    static let client = """
        import os, socket, sys, time
        c = socket.create_connection((sys.argv[1], 80), 20)
        c.settimeout(20)
        n = 0
        open("connected", "w").close()
        while not os.path.exists("stop"):
            c.sendall(b"x" * 100)
            got = 0
            while got < 100:
                more = len(c.recv(100))
                if more == 0: sys.exit("the connection was closed")
                got += more
            n += 1
            time.sleep(0.005)
        print("answers", n)
        """
}
