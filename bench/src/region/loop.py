# What every program of this kind ends with: a command per line on stdin, by its name in `commands`, a JSON answer per line.
import json
import sys

for line in sys.stdin:
    try:
        name, *arguments = line.split()
        print(json.dumps({"said": commands[name](*arguments)}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
