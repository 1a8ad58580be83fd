"""One event in Cloud Custodian's Lambda handler, from the interpreter's start to the answer: event.py EVENT.json"""

import json
import os
import sys

from c7n import handler

with open(sys.argv[1], encoding="utf-8") as file:
    handler.dispatch_event(json.load(file), None)
# Lambda keeps the process: what an interpreter does at its end is no part of an answer.
os._exit(0)
