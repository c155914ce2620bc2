"""A shop: the price of an article from Redis, or from the database, which Redis then remembers."""
import http.server
import subprocess

REDIS = ["redis-cli", "-h", "{{ services.memory.address }}", "-p", "{{ services.memory.port }}"]
DATABASE = ["mariadb", "--defaults-file={{ dir }}/client.cnf", "-h", "{{ services.database.address }}",
            "-P", "{{ services.database.port }}", "-N", "-B"]


def ask(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        article = "".join(filter(str.isalnum, self.path))
        price, source = ask(*REDIS, "GET", article), "redis"
        if not price:
            price, source = ask(*DATABASE, "-e", f"SELECT price FROM shop.prices WHERE article = '{article}'"), "mariadb"
            ask(*REDIS, "SET", article, price, "EX", "600")
        self.send_response(200 if price else 404)
        self.end_headers()
        self.wfile.write(f"{article} costs {price}, says {source}\n".encode())


http.server.ThreadingHTTPServer(("{{ services.shop.address }}", {{ services.shop.port }}), Shop).serve_forever()
