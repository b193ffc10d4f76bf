"""Retrieves every message of an account by poplib and prints one JSON line for each.

    retrieve.py HOST PORT ACCOUNT PASSWORD FOLDER keep|delete

A line is {"number", "uid", "octets", "file"}: what LIST and UIDL say of the message, and a file in FOLDER that holds it, with
CRLF line ends. With `delete`, all are deleted.
"""

import json
import os
import poplib
import sys

TIMEOUT = 60  # seconds

# poplib takes no longer lines, but mail has them.
poplib._MAXLINE = 1 << 20


def main():
    host, port, account, password, folder, then = sys.argv[1:]
    server = poplib.POP3(host, int(port), timeout=TIMEOUT)
    capabilities = server.capa()
    assert {"USER", "UIDL", "TOP", "PIPELINING"} <= capabilities.keys(), capabilities
    server.user(account)
    server.pass_(password)
    count, octets = server.stat()
    sizes = [int(line.split()[1]) for line in server.list()[1]]
    assert (len(sizes), sum(sizes)) == (count, octets), (sizes, count, octets)
    for number, (size, line) in enumerate(zip(sizes, server.uidl()[1]), 1):
        content = b"".join(line + b"\r\n" for line in server.retr(number)[1])
        # Some real messages have no body, and not even the empty line before it.
        end = content.find(b"\r\n\r\n")
        header = content if end < 0 else content[: end + 4]
        assert header == b"".join(line + b"\r\n" for line in server.top(number, 0)[1]), number
        path = os.path.join(folder, f"{number}.pop3")
        with open(path, "wb") as file:
            file.write(content)
        uid = int(line.split()[1].split(b".")[1])
        print(json.dumps({"number": number, "uid": uid, "octets": size, "file": path}))
        if then == "delete":
            server.dele(number)
    server.quit()


main()
