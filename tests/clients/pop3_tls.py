"""Logs in by poplib, encrypted at once and after STLS, and prints what each session is encrypted with.

    pop3_tls.py POP3_PORT POP3S_PORT ACCOUNT PASSWORD TRUSTED.pem
"""

import poplib
import ssl
import sys

HOST = "127.0.0.1"
TIMEOUT = 60  # seconds


def main():
    pop3, pop3s, account, password, trusted = sys.argv[1:]
    context = ssl.create_default_context(cafile=trusted)
    at_once = poplib.POP3_SSL(HOST, int(pop3s), timeout=TIMEOUT, context=context)
    on_demand = poplib.POP3(HOST, int(pop3), timeout=TIMEOUT)
    assert "STLS" in on_demand.capa()
    on_demand.stls(context)
    for server in at_once, on_demand:
        assert "STLS" not in server.capa()
        server.user(account)
        server.pass_(password)
        server.stat()
        print(server.sock.version(), server.sock.cipher()[0])
        server.quit()


main()
