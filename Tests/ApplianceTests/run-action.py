#!/usr/bin/env python3
"""Runs a composite action of GitHub as a runner does, in the environment that a runner gives.

run-action.py ACTION WORK [INPUT=VALUE…]    status of the first step that failed; 0 if none did

WORK becomes the job's folder: workspace (current folder of the steps), temp, summary.md, and artifacts/NAME for what a step
uploads. A step that uses another action is not run, apart from uploads of artifacts: those are copied.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml


def main():
    action, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    description = yaml.safe_load((action / "action.yml").read_text())
    declared = description["inputs"]
    given = dict(word.split("=", 1) for word in sys.argv[3:])
    unknown = set(given) - set(declared)
    if unknown:
        sys.exit(f"the action has no input {', '.join(unknown)}")
    missing = [name for name, text in declared.items() if text.get("required") and name not in given]
    if missing:
        sys.exit(f"the action needs {', '.join(missing)}")
    inputs = {name: given.get(name, text.get("default", "")) for name, text in declared.items()}
    if not all(isinstance(value, str) for value in inputs.values()):
        sys.exit("the default of an input is a text")
    for name in ("workspace", "temp", "artifacts"):
        (work / name).mkdir(parents=True, exist_ok=True)
    for name in ("summary.md", "environment"):
        (work / name).touch()
    environment = {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), "CI": "true", "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(work / "workspace"), "GITHUB_ACTION_PATH": str(action), "RUNNER_TEMP": str(work / "temp"),
        "GITHUB_STEP_SUMMARY": str(work / "summary.md"), "GITHUB_ENV": str(work / "environment"),
    }
    outputs, failed = {}, 0
    for number, step in enumerate(description["runs"]["steps"]):
        context = {"inputs": inputs, "github": {"action_path": str(action)}, "steps": outputs}
        condition = str(step.get("if", "success()"))
        if failed and "always()" not in condition or not is_true(condition, context):
            continue
        print(f"##[group]{step['name']}", flush=True)
        if "uses" in step:
            upload(step, context, work)
            continue
        if step.get("shell") != "bash":
            sys.exit(f"{step['name']}: a step of a composite action names its shell")
        output = work / f"output-{number}"
        output.touch()
        own = {name: filled(str(value), context) for name, value in step.get("env", {}).items()}
        script = work / f"step-{number}.sh"
        script.write_text(filled(step["run"], context))
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], cwd=work / "workspace",
            env={**environment, **own, "GITHUB_OUTPUT": str(output)}, stdin=subprocess.DEVNULL)
        failed = failed or ended.returncode
        environment.update(assignments(work / "environment"))
        if "id" in step:
            outputs[step["id"]] = {"outputs": assignments(output)}
    for name, output in description.get("outputs", {}).items():
        print(f"output {name}={filled(output['value'], {'steps': outputs, 'inputs': inputs, 'github': {}})}")
    return failed


def assignments(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def value(reference, context):
    """The value of `inputs.files` or `steps.test.outputs.junit`; empty if a step has not run."""
    here = context
    for part in reference.split("."):
        here = here.get(part, "") if isinstance(here, dict) else ""
    if reference.startswith("inputs.") and reference.split(".")[1] not in context["inputs"]:
        sys.exit(f"there is no {reference}")
    return here if isinstance(here, str) else ""


def filled(text, context):
    return re.sub(r"\$\{\{\s*([a-z_.]+)\s*\}\}", lambda found: value(found[1], context), text)


def is_true(condition, context):
    """Conditions of the kind `always() && inputs.x != ''`."""
    for term in condition.split("&&"):
        term = term.strip()
        if term in ("always()", "success()"):
            continue
        found = re.fullmatch(r"([a-z_.]+)\s*(==|!=)\s*'([^']*)'", term)
        if not found:
            sys.exit(f"cannot read the condition '{term}'")
        if (value(found[1], context) == found[3]) != (found[2] == "=="):
            return False
    return True


def upload(step, context, work):
    if not re.fullmatch(r"actions/upload-artifact@[0-9a-f]{40}", step["uses"]):
        sys.exit(f"{step['name']}: '{step['uses']}' is no action that is pinned to a commit")
    settings = {name: filled(str(value), context) for name, value in step["with"].items()}
    shutil.copytree(settings["path"], work / "artifacts" / settings["name"])


if __name__ == "__main__":
    sys.exit(main())
