"""Signs or verifies messages by dkimpy, and prints one JSON line for each.

    dkim.py verify RECORDS FILE...            {"file", "dkim": [whether each signature verifies], "arc": none, pass or fail}
    dkim.py sign RSA.pem ED25519.seed FILE... {"file"}

RECORDS has a TXT record on each line: its name, and its text. Signing is done in each pair of forms by both algorithms for example.org with
the selectors `rsa` and `ed`, and then, where the message has an Authentication-Results field of ours, sealed with ARC by the RSA key.
Messages are replaced by what is signed.
"""

import json
import logging
import sys

import dkim

DOMAIN = b"example.org"
FORMS = [(header, body) for header in (b"relaxed", b"simple") for body in (b"relaxed", b"simple")]


def main():
    # What is wrong with a message is in what is printed.
    logging.disable(logging.CRITICAL)
    command, *arguments = sys.argv[1:]
    if command == "verify":
        records, *files = arguments
        verify(records, files)
    else:
        rsa, ed25519, *files = arguments
        sign(read(rsa), read(ed25519), files)


def verify(records, files):
    with open(records, encoding="ascii") as lines:
        table = dict(line.rstrip("\n").split(" ", 1) for line in lines)

    def find(name, timeout=0):
        text = table.get(name.decode().rstrip("."))
        return text and text.encode()

    for file in files:
        message = read(file)
        verifier = dkim.DKIM(message)
        count = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)
        found = [passes(message, index, find) for index in range(count)]
        chain, _, _ = dkim.arc_verify(message, dnsfunc=find)
        print(json.dumps({"file": file, "dkim": found, "arc": chain.decode()}))


def passes(message, index, find):
    try:
        return bool(dkim.DKIM(message).verify(idx=index, dnsfunc=find))
    except dkim.DKIMException:
        return False


def sign(rsa, ed25519, files):
    for number, file in enumerate(files):
        message = read(file)
        forms = FORMS[number % len(FORMS)]
        for selector, key, algorithm in ((b"rsa", rsa, b"rsa-sha256"), (b"ed", ed25519.strip(), b"ed25519-sha256")):
            message = dkim.sign(
                message, selector, DOMAIN, key, canonicalize=forms, signature_algorithm=algorithm, linesep=b"\r\n",
            ) + message
        if b"\nAuthentication-Results: mx.example.org" in message:
            seals = dkim.arc_sign(message, b"rsa", DOMAIN, rsa, b"mx.example.org", linesep=b"\r\n")
            message = b"".join(seals) + message
        with open(file, "wb") as signed:
            signed.write(message)
        print(json.dumps({"file": file}))


def read(file):
    with open(file, "rb") as octets:
        return octets.read()


main()
