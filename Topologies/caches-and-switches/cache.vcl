vcl 4.1;

# Pages are kept for a minute, and may be served for an hour more while the shop does not answer.
backend shop {
    .host = "{{ services.shop.address }}";
    .port = "{{ services.shop.port }}";
    .connect_timeout = 3s;
}

sub vcl_recv {
    if (req.method == "PURGE") { return (purge); }
}

sub vcl_backend_response {
    set beresp.ttl = 1m;
    set beresp.grace = 1h;
}

sub vcl_deliver {
    set resp.http.X-Cache = "miss";
    if (obj.hits > 0) { set resp.http.X-Cache = "hit"; }
}
