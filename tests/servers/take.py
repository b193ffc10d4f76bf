"""take.py PORT FOLDER: an SMTP server by aiosmtpd that puts each message into a file of FOLDER before it answers 250.

A file holds one line of JSON, with reverse_path and forward_paths, and after it the content as it came.
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

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        name = f"{self.count:06}"
        head = {"reverse_path": envelope.mail_from or "", "forward_paths": envelope.rcpt_tos}
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
