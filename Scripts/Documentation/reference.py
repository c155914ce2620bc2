#!/usr/bin/env python3
"""Prints the reference page of the file format, made from the JSON schema of topology files.

usage: reference.py SCHEMA

The schema is printed by `tapline schema`, which makes it from the grammar that the reader uses.
"""
import json
import re
import sys

HEAD = """# File format

Look up each key of a topology file, and the values that it takes.

## Overview

This page is generated from the grammar that Tapline reads files with: `Scripts/documentation --reference` writes it.
`Topologies/FORMAT.md` explains the keys at length, with examples, defaults and reasons. Editors that know YAML complete and
explain the keys while you write: `tapline schema` prints the schema for them.

Where the table says "or a list", one value alone is a list of one. A key without "required" may be left away. A
variable, `${NAME}`, may stand for any value.
"""

# Every value may be a text with a variable in it, which the page says once.
VARIABLE = "[$][{]"

# What a pattern of the schema stands for, by a value that it takes and one that it does not.
SAMPLES = [
    ("a time, such as `\"<= 5ms\"`", "<= 5ms", "5"),
    ("a rate, such as `1kHz`", "1kHz", "5s"),
    ("a number, or a comparison such as `\">= 5\"`", ">= 5", "x"),
    ("a number", "5", "x"),
    ("`true` or `false`", "true", "x"),
    ("a duration, such as `5s`", "5s", "5"),
    ("an address", "192.0.2.1", "192.0.2.1/24"),
    ("an address with its prefix length", "192.0.2.1/24", "192.0.2.1"),
    ("a percentage, such as `80%`", "80%", "x"),
    ("a MAC address", "02:00:00:00:00:01", "x"),
    ("a service port, such as `tcp/80`", "tcp/80", "x"),
]


def pattern(schema):
    text = schema["pattern"]
    if re.search(text, "192.0.2.1") and re.search(text, "192.0.2.1/24"):
        return "an address or a prefix"
    for name, good, bad in SAMPLES:
        if re.search(text, good) and not re.search(text, bad):
            return name
    return "a text"


def bounds(schema):
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" from {low}" if low is not None else ""


def kinds(schema):
    """What a value may be, as words."""
    if "$ref" in schema:
        return [f"[{schema['$ref'].rsplit('/', 1)[1]}](#{schema['$ref'].rsplit('/', 1)[1]})"]
    if "anyOf" in schema:
        found = []
        for choice in schema["anyOf"]:
            if choice.get("pattern") == VARIABLE:
                continue
            if choice.get("type") == "array" and kinds(choice.get("items", {})) == found:
                found = found + [kind for kind in ["a list"] if kind not in found]
                continue
            found += [kind for kind in kinds(choice) if kind not in found]
        return found
    if "const" in schema:
        return [f"`{json.dumps(schema['const'])}`"]
    if "enum" in schema:
        return [f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in schema["enum"]]
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if "pattern" in schema:
        name = pattern(schema)
        return [name + (bounds(schema) if name == "a number" else "")]
    if "array" in types:
        return ["a list of: " + " or ".join(kinds(schema.get("items", {})))]
    if "object" in types:
        inside = schema.get("additionalProperties")
        return ["a mapping from names to: " + " or ".join(kinds(inside))] if isinstance(inside, dict) else ["a mapping"]
    if "integer" in types and "string" not in types:
        return ["a number" + bounds(schema)]
    if "string" in types:
        return ["a text"]
    if "boolean" in types:
        return ["`true`", "`false`"]
    return [] if "null" in types else ["any value"]


def cell(text):
    return text.replace("|", "\\|")


def table(schema):
    required = schema.get("required", [])
    lines = ["| key | value | meaning |", "|---|---|---|"]
    for key, value in schema.get("properties", {}).items():
        if key == "<<":
            continue
        words = " or ".join(kinds(value)) + (" (required)" if key in required else "")
        lines.append(f"| `{key}` | {cell(words)} | {cell(value.get('description', ''))} |")
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        lines.append(f"| a name of your own | {cell(' or '.join(kinds(rest)))} | The same for a leg of that name. |")
    return lines


def page(schema):
    lines = [HEAD, "## The file", "", schema["description"], ""] + table(schema)
    for name, part in sorted(schema["$defs"].items()):
        lines += ["", f"## {name}", "", part.get("description", ""), ""] + table(part)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        print(page(json.load(file)), end="")
