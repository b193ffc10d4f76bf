"""Sends messages by smtplib and prints one JSON line for every attempt.

    send.py HOST PORT CONNECTIONS PATIENCE [SOURCE] < jobs

A job is one JSON line: {"id", "reverse_path", "forward_paths", "file"}. The file holds the content with CRLF line ends.
An attempt prints {"id", "whole", "queue_id", "reply", "at"}: `whole` says that the final dot was handed to the system, so
that the server may have kept the message; `queue_id` is set when it answered that it has; `at` is the end of the attempt in
seconds of UNIX time. A job that got no 250 is tried again with the same message, until PATIENCE seconds are over or the
server refuses it for good. Jobs are sent as they come, until the input ends. Connections come from the address SOURCE.
"""

import json
import queue
import re
import smtplib
import sys
import threading
import time

PAUSE = 0.05  # seconds between two attempts of one job
PER_CONNECTION = 10  # messages
REPLY_TIMEOUT = 60  # seconds

ACCEPTED = re.compile(rb"2\.0\.0 (\S+) queued")


class Refused(Exception):
    """A reply that is not the one hoped for."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text.decode('latin-1')}")
        self.is_final = code >= 500


def expect(wanted, answer):
    code, text = answer
    if code != wanted:
        raise Refused(code, text)
    return text


class Sender(threading.Thread):
    def __init__(self, host, port, patience, source, jobs, output):
        super().__init__()
        self.host, self.port, self.patience = host, port, patience
        self.source = source and (source, 0)
        self.jobs, self.output = jobs, output
        self.smtp, self.sent = None, 0

    def run(self):
        while (job := self.jobs.get()) is not None:
            deadline = time.monotonic() + self.patience
            while not self.attempt(job) and time.monotonic() < deadline:
                time.sleep(PAUSE)
        self.disconnect()

    def attempt(self, job):
        """One attempt; says whether the job is over."""
        answer = {"id": job["id"], "whole": False, "queue_id": None, "reply": ""}
        over = False
        try:
            text = self.transaction(job, answer)
            answer["reply"] = text.decode("latin-1")
            found = ACCEPTED.search(text)
            answer["queue_id"] = found.group(1).decode() if found else None
            over = True
        except Refused as refusal:
            answer["reply"] = str(refusal)
            over = refusal.is_final
            self.disconnect()
        except (OSError, smtplib.SMTPException) as error:
            answer["reply"] = f"{type(error).__name__}: {error}"
            self.disconnect()
        answer["at"] = time.time()
        self.output(answer)
        return over

    def transaction(self, job, answer):
        with open(job["file"], "rb") as file:
            content = file.read()
        smtp = self.connect()
        options = [f"size={len(content)}"]
        if not content.isascii():
            options.append("body=8bitmime")
        expect(250, smtp.mail(job["reverse_path"], options))
        for forward_path in job["forward_paths"]:
            expect(250, smtp.rcpt(forward_path))
        expect(354, smtp.docmd("DATA"))
        smtp.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
        answer["whole"] = True
        return expect(250, smtp.getreply())

    def connect(self):
        if self.sent == PER_CONNECTION:
            self.disconnect()
        if self.smtp is None:
            self.smtp = smtplib.SMTP(
                local_hostname="client.test", timeout=REPLY_TIMEOUT, source_address=self.source
            )
            self.sent = 0
            expect(220, self.smtp.connect(self.host, self.port))
            expect(250, self.smtp.ehlo())
        self.sent += 1
        return self.smtp

    def disconnect(self):
        if self.smtp is not None:
            try:
                self.smtp.quit()
            except (OSError, smtplib.SMTPException):
                self.smtp.close()
            self.smtp = None


def main():
    host, port, connections, patience = sys.argv[1], *map(int, sys.argv[2:5])
    source = sys.argv[5] if len(sys.argv) > 5 else None
    jobs = queue.Queue()
    lock = threading.Lock()

    def output(answer):
        with lock:
            print(json.dumps(answer), flush=True)

    senders = [Sender(host, port, patience, source, jobs, output) for _ in range(connections)]
    for sender in senders:
        sender.start()
    for line in sys.stdin:
        jobs.put(json.loads(line))
    for _ in senders:
        jobs.put(None)
    for sender in senders:
        sender.join()


main()
