"""Judges topology files by the JSON schema: prints `accepts FILE` or `rejects FILE: why` for each.

usage: judge-schema.py SCHEMA FILE…; a FILE of the form PATH.md#N is the N-th YAML block of a Markdown page.
"""
import json
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, which editors use: `on` is a text there, and so is 1:30."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
]:
    Loader.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(r"^(?:" + pattern + r")$"), list(first) + [""])
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


def text_keys(value):
    """Editors take every key as a text."""
    if isinstance(value, dict):
        return {str(key): text_keys(inner) for key, inner in value.items()}
    return [text_keys(inner) for inner in value] if isinstance(value, list) else value


def weight(value, known):
    """How many values there are when every alias is written out."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(weight(one, known) for one in inner)
    return known[id(value)]


def content(path):
    page, _, number = path.partition("#")
    with open(page, "rb") as file:
        text = file.read().decode("utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.S)[int(number)] if number else text


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in sys.argv[2:]:
        try:
            document = yaml.load(content(path), Loader)
            if weight(document, {}) > 100_000:
                raise yaml.YAMLError("its aliases repeat too much of it")
            document = text_keys(document)
        except (yaml.YAMLError, UnicodeDecodeError, TypeError, RecursionError) as error:
            print(f"rejects {path}: it cannot be read: {str(error).splitlines()[0]}")
            continue
        error = jsonschema.exceptions.best_match(validator.iter_errors(document))
        print(f"accepts {path}" if error is None else f"rejects {path}: {error.json_path}: {error.message[:200]}")


main()
