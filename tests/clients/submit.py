"""Submits one message by smtplib in one of its modes. What else it needs comes by the variables that submit.sh names.

    submit.py starttls|implicit|plaintext|lmtp|openssl PORT [OPTION of openssl s_client]...
"""

import os
import smtplib
import ssl
import subprocess
import sys
from email import message_from_bytes, policy

HOST = "127.0.0.1"
TIMEOUT = 60  # seconds


class Pipe:
    """The ends of a process, as smtplib uses a socket."""

    def __init__(self, process):
        self.process = process

    def sendall(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def makefile(self, _mode):
        return self.process.stdout

    def close(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)


class ThroughOpenssl(smtplib.SMTP):
    """A session inside of `openssl s_client`, which verifies the server and says STARTTLS itself."""

    def __init__(self, port, options):
        super().__init__()
        self.options = ["-connect", f"{HOST}:{port}", "-quiet", *options]
        self.options += ["-CAfile", os.environ["ca"], "-verify_return_error", "-verify_ip", HOST]
        command = ["timeout", str(TIMEOUT), "openssl", "s_client", *self.options]
        self.sock = Pipe(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self._host = HOST
        if "-starttls" not in options:
            self.getreply()


def connected(mode, port, options):
    context = ssl.create_default_context(cafile=os.environ["ca"])
    if mode == "implicit":
        return smtplib.SMTP_SSL(HOST, port, timeout=TIMEOUT, context=context)
    if mode == "openssl":
        return ThroughOpenssl(port, options)
    if mode == "lmtp":
        return smtplib.LMTP(HOST, port)
    server = smtplib.SMTP(HOST, port, timeout=TIMEOUT)
    if mode == "starttls":
        server.starttls(context=context)
    return server


def main():
    mode, port, *options = sys.argv[1:]
    with open(os.environ["message"], "rb") as file:
        message = message_from_bytes(file.read(), policy=policy.SMTP)
    server = connected(mode, int(port), options)
    try:
        if mode not in ("plaintext", "lmtp"):
            server.login(os.environ["user"], os.environ["password"])
        server.send_message(message, os.environ["from"], [os.environ["to"]])
        server.quit()
    finally:
        server.close()


main()
