"""gunicorn for the site. WEB_CONCURRENCY sets the number of processes."""

import os
import socket

bind = "0.0.0.0:8000"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
worker_class = "gthread"  # pages wait for the database and for uploads of sheets, not for the processor
threads = 4
timeout = 120  # a sheet of 10,000 rows is imported within one request
graceful_timeout = 30
keepalive = 75  # longer than proxies keep a connection, or they meet a closed one
max_requests = 2000
max_requests_jitter = 200
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # the heartbeat file: on a disk it could stall a healthy process
control_socket_disable = True
accesslog = None  # the proxy in front has one
errorlog = "-"


def when_ready(server):
    """Its connections take over from the sockets it listens on that one is cut, whose other side has read nothing for as long:
    who begins a download and stops reading would keep a thread until they go away."""
    for listener in server.LISTENERS:
        if listener.sock.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout * 1000)
