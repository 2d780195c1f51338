"""Finds the files below a folder that hold some bytes: {"folder", "needles": {name: base64}}. Prints {name: [path]}."""

import base64
import json
import os
import sys


def files(folder):
    for place, _, names in os.walk(folder):
        yield from (path for name in names if os.path.isfile(path := os.path.join(place, name)))


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""  # It went meanwhile.


def main():
    order = json.load(sys.stdin)
    needles = {name: base64.b64decode(text) for name, text in order["needles"].items()}
    found = {name: [] for name in needles}
    for path in files(order["folder"]):
        text = content(path)
        for name, needle in needles.items():
            if needle in text:
                found[name].append(path)
    json.dump(found, sys.stdout)


main()
