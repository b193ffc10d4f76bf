"""take.py PORT FOLDER: an SMTP server by aiosmtpd that puts each message into a file of FOLDER before it answers 250.

A file holds one line of JSON, with reverse_path, forward_paths and the client's name (helo), and after it the content as it
came. While a file `.busy-DOMAIN` stands in FOLDER, recipients in DOMAIN are told to come later.
"""

import asyncio
import json
import os
import sys

from aiosmtpd.controller import Controller


class Keeper:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if os.path.exists(os.path.join(self.folder, f".busy-{address.rpartition('@')[2]}")):
            return "451 4.3.2 busy, come later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        name = f"{self.count:06}"
        head = {
            "reverse_path": envelope.mail_from or "",
            "forward_paths": envelope.rcpt_tos,
            "helo": session.host_name,
        }
        # Under its own name only once it is whole and on the disk.
        unfinished = os.path.join(self.folder, f".{name}")
        with open(unfinished, "wb") as file:
            file.write(json.dumps(head).encode() + b"\n" + envelope.original_content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, os.path.join(self.folder, name))
        directory = os.open(self.folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        return f"250 2.0.0 kept as {name}"


port, folder = int(sys.argv[1]), sys.argv[2]
controller = Controller(Keeper(folder), hostname="127.0.0.1", port=port, data_size_limit=0)
controller.start()
asyncio.new_event_loop().run_forever()
