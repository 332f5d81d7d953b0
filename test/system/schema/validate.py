"""Validates documents against the schemas of this project, with Debian's python3-jsonschema.

Standard input: one {"schema": NAME, "document": …} a line. Standard output: for each, "ok" or what is wrong.
"""
import json
import pathlib
import sys

import jsonschema

folder = pathlib.Path(__file__).resolve().parents[3] / "schema"
schemas = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in folder.glob("*.schema.json")}
base = "https://hypergate.invalid/"
store = {f"{base}{name}.schema.json": schema for name, schema in schemas.items()}
validators = {}
for name, schema in schemas.items():
    jsonschema.Draft202012Validator.check_schema(schema)
    resolver = jsonschema.RefResolver(f"{base}{name}.schema.json", schema, store=store)
    validators[name] = jsonschema.Draft202012Validator(schema, resolver=resolver)

for line in sys.stdin:
    asked = json.loads(line)
    fault = jsonschema.exceptions.best_match(validators[asked["schema"]].iter_errors(asked["document"]))
    print("ok" if fault is None else f"{fault.json_path}: {fault.message}"[:300].replace("\n", " "))
