"""Checks what docs/platforms/github-actions.md promises of the workflows: promises.py OWN SHIPPED WRITTEN, folders of workflow files.

OWN is the project's; SHIPPED is for the fleet `demo`, WRITTEN is what `init` made of it for the fleet `shop`.
"""

import hashlib
import os
import pathlib
import platform
import re
import stat
import subprocess
import sys
import tarfile
import tempfile

import yaml

INPUTS = "fleet slot role generation cycle expires_at brief_ref time_limit_minutes task_json".split()
# Sent with the session of a work item alone.
OPTIONAL = ["item"]
RUN_NAME = (
    "coord ${{ inputs.fleet }} ${{ inputs.slot }} g${{ inputs.generation }} c${{ inputs.cycle }}${{ inputs.item }}"
)
GROUP = "coord-${{ inputs.fleet }}-${{ inputs.slot }}"
COORDINATOR = {
    "contents": "write",
    "pull-requests": "write",
    "actions": "write",
    "checks": "read",
    "statuses": "read",
}
ADMIT = {"actions": "read", "checks": "read", "contents": "read"}
AGENT = {"contents": "write", "pull-requests": "write", "issues": "write"}
GUARD = (
    "vars.COORDINATOR_RELEASE != '' && (github.event_name != 'workflow_run' || "
    "(github.event.workflow_run.event == 'workflow_dispatch' && "
    "github.event.workflow_run.head_repository.full_name == github.repository))"
)


class Workflow:
    """One file, as text and as YAML."""

    def __init__(self, path):
        self.text = path.read_text(encoding="utf-8")
        self.yaml = yaml.safe_load(self.text)
        # To YAML 1.1, `on` is true.
        self.triggers = self.yaml[True]
        self.jobs = self.yaml["jobs"]
        self.steps = [step for job in self.jobs.values() for step in job["steps"]]

    def step(self, name):
        return next(step for step in self.steps if step.get("name") == name)

    def installs(self):
        return [step for step in self.steps if step.get("name") == "Install the coordinator"]


class Fleet:
    """The two workflows of a fleet."""

    def __init__(self, folder, name):
        self.name = name
        self.coordinator = Workflow(folder / "coordinator.yml")
        self.session = Workflow(folder / "agent-session.yml")


# Of every workflow.


def every_action_is_pinned_to_a_commit_and_says_its_version(it):
    uses = re.findall(r"^\s*-? *uses: *(.*)$", it.text, re.MULTILINE)
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")
    return len(uses) == sum("uses" in step for step in it.steps) and all(pinned.fullmatch(use) for use in uses)


def every_script_is_free_of_expressions(it):
    return all("${{" not in step.get("run", "") for step in it.steps)


def every_checkout_keeps_its_token_to_itself(it):
    checkouts = [step for step in it.steps if step.get("uses", "").startswith("actions/checkout@")]
    return all(step["with"]["persist-credentials"] is False for step in checkouts)


def every_permission_is_given_on_purpose(it):
    return it.yaml["permissions"] in ({}, {"contents": "read"})


# Of the project's own.


def ci_runs_every_suite_once(it):
    run = pathlib.Path(".ci/run").read_text(encoding="utf-8")
    every = re.findall(r"[a-z]+", re.search(r"^waves=\(\n(.*?)^\)$", run, re.MULTILINE | re.DOTALL)[1])
    jobs = it.jobs["suites"]["strategy"]["matrix"]["include"]
    return sorted(" ".join(job["suites"] for job in jobs).split()) == sorted(every)


# Of a fleet.


def the_coordinator_starts_off_the_hour_after_a_session_and_by_hand_alone(it):
    triggers = it.coordinator.triggers
    schedule = [cron["cron"] for cron in triggers["schedule"]]
    return (
        set(triggers) == {"schedule", "workflow_run", "workflow_dispatch"}
        and schedule == ["3-58/5 * * * *"]
        and triggers["workflow_run"] == {"workflows": [it.session.yaml["name"]], "types": ["completed"]}
        and triggers["workflow_dispatch"]["inputs"]["dry_run"]["type"] == "boolean"
        and triggers["workflow_dispatch"]["inputs"]["dry_run"]["default"] is False
    )


def the_other_schedule_is_off_the_hour_too(it):
    minutes = re.search(r"# - cron: \"(\d+)-(\d+)/15 \* \* \* \*\"", it.coordinator.text)
    return minutes is not None and 0 < int(minutes[1]) < 15 and 45 < int(minutes[2]) < 60


def the_coordinator_runs_for_no_copy_and_after_no_run_of_a_stranger(it):
    return it.coordinator.jobs["reconcile"]["if"] == GUARD


def the_coordinator_has_the_least_permissions_and_four_minutes(it):
    job = it.coordinator.jobs["reconcile"]
    return job["permissions"] == COORDINATOR and job["timeout-minutes"] == 4 and len(it.coordinator.jobs) == 1


def the_coordinator_waits_for_itself_and_is_never_cut_short(it):
    expected = {"group": f"coord-reconcile-{it.name}", "cancel-in-progress": False}
    return it.coordinator.yaml["concurrency"] == expected


def the_session_is_started_by_a_dispatch_alone_with_the_inputs_that_the_program_sends(it):
    inputs = it.session.triggers["workflow_dispatch"]["inputs"]
    return (
        set(it.session.triggers) == {"workflow_dispatch"}
        and list(inputs) == INPUTS + OPTIONAL
        and all(given["type"] == "string" for given in inputs.values())
        and all(inputs[name]["required"] for name in INPUTS)
        and all(inputs[name]["required"] is False and inputs[name]["default"] == "" for name in OPTIONAL)
    )


def the_session_bears_the_name_and_the_lock_that_the_program_reads(it):
    return it.session.yaml["run-name"] == RUN_NAME and it.session.yaml["concurrency"] == {
        "group": GROUP,
        "cancel-in-progress": False,
    }


def the_session_is_an_admission_and_an_agent_behind_it(it):
    admit, agent = it.session.jobs["admit"], it.session.jobs["agent"]
    return (
        [job["name"] for job in it.session.jobs.values()] == ["admit", "agent"]
        and admit["permissions"] == ADMIT
        and set(admit["outputs"]) == {"go", "reason"}
        and agent["permissions"] == AGENT
        and agent["needs"] == "admit"
        and agent["if"] == "needs.admit.outputs.go == 'true'"
        and agent["timeout-minutes"] == "${{ fromJSON(inputs.time_limit_minutes) }}"
        and agent["environment"]["deployment"] is False
    )


def the_secrets_reach_one_step_of_each_workflow(it):
    one = lambda workflow: [step.get("name") for step in workflow.steps if "secrets." in yaml.safe_dump(step)]
    count = lambda workflow: workflow.text.count("${{ secrets.")
    inside = lambda workflow, name: yaml.safe_dump(workflow.step(name)).count("${{ secrets.")
    return (
        one(it.coordinator) == ["Reconcile"]
        and one(it.session) == ["Run the agent"]
        and count(it.coordinator) == inside(it.coordinator, "Reconcile")
        and count(it.session) == inside(it.session, "Run the agent")
        and it.session.steps[-1] is it.session.step("Run the agent")
    )


def the_same_binary_runs_in_every_job(it):
    installs = it.coordinator.installs() + it.session.installs()
    return len(installs) == 3 and all(step == installs[0] for step in installs)


def nothing_is_uploaded(it):
    uses = [step["uses"] for step in it.coordinator.steps + it.session.steps if "uses" in step]
    return all(use.startswith("actions/checkout@") for use in uses)


# What the scripts do, with programs that only note how they were called.


class Bench:
    """A folder with stand-ins for the programs that a script calls."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "bin").mkdir()

    def stand_in(self, name, script):
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, step, **variables):
        # As the runner does with `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        given = {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_PATH": str(self.folder / "path"),
            "GITHUB_REPOSITORY": "demo/app",
            # What the workflow gives where the variable is not set.
            "COORDINATOR_REPOSITORY": "",
        }
        return subprocess.run(command, env=given | variables, capture_output=True, text=True, check=False)


def a_binary_is_installed_when_it_has_the_checksum_and_only_then(it):
    sum_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    outcomes = []
    for release, checksum in [("v1", sum_of_nothing), ("v1", "0" * 64), ("v1", ""), ("", sum_of_nothing)]:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(folder)
            bench.stand_in("gh", 'while [ "$1" != --dir ]; do shift; done; : >"$2/coordinator"')
            done = bench.run(it.session.installs()[0], COORDINATOR_RELEASE=release, COORDINATOR_SHA256=checksum)
            outcomes.append((done.returncode == 0, (bench.folder / "path").exists()))
    return outcomes == [(True, True)] + [(False, False)] * 3


def a_released_archive_is_unpacked_when_it_has_the_checksum_and_only_then(it):
    outcomes = []
    for broken in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(folder)
            bench.stand_in("gh", 'echo "$*" >"${0%/bin/gh}/arguments"; cp "${0%/bin/gh}/archive" "${!#}/$7"')
            (bench.folder / "packed").mkdir()
            (bench.folder / "packed" / "coordinator").write_text("the program", encoding="utf-8")
            with tarfile.open(bench.folder / "archive", "w:gz") as archive:
                archive.add(bench.folder / "packed", "coordinator-machine")
            checksum = hashlib.sha256((bench.folder / "archive").read_bytes()).hexdigest()
            variables = {
                "COORDINATOR_REPOSITORY": "owner/coordinator",
                "COORDINATOR_RELEASE": "v1",
                "COORDINATOR_SHA256": "0" * 64 if broken else checksum,
            }
            done = bench.run(it.session.installs()[0], **variables)
            program = bench.folder / "coordinator" / "coordinator"
            arguments = (bench.folder / "arguments").read_text(encoding="utf-8").split()
            machine = f"coordinator-{platform.machine()}-unknown-linux-musl.tar.gz"
            outcomes.append((done.returncode == 0, program.exists(), (bench.folder / "path").exists()))
            outcomes.append(arguments[:7] == "release download v1 --repo owner/coordinator --pattern".split() + [machine])
    return outcomes == [(True, True, True), True, (False, False, False), True]


def a_cycle_fails_when_the_program_does_and_a_rate_limit_is_no_failure(it):
    outcomes = []
    for code in (0, 1, 2, 75):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(folder)
            bench.stand_in("coordinator", f"exit {code}")
            outcomes.append(bench.run(it.coordinator.step("Reconcile"), DRY_RUN="").returncode)
    return outcomes == [0, 1, 2, 0]


def a_dry_run_is_one_only_on_request(it):
    printed = []
    for dry_run in ("", "false", "true"):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(folder)
            bench.stand_in("coordinator", 'echo "$*"')
            printed.append(bench.run(it.coordinator.step("Reconcile"), DRY_RUN=dry_run).stdout)
    return printed == ["reconcile\n", "reconcile\n", "reconcile --dry-run\n"]


def an_agents_words_are_no_commands_to_the_runner(it):
    # `coordinator session-agent` stops commands itself, and resumes them with a token that only it has.
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        bench.stand_in("coordinator", 'echo "$*"')
        return bench.run(it.session.step("Run the agent")).stdout == "session-agent\n"


def main():
    folders = dict(zip(("own", "shipped", "written"), map(pathlib.Path, sys.argv[1:]), strict=True))
    checks = {name: check for name, check in globals().items() if re.match("(every|ci|the|nothing|a|an)_", name)}
    files = {f"{which} {path.name}": path for which, folder in folders.items() for path in sorted(folder.glob("*.yml"))}
    fleets = {"shipped": Fleet(folders["shipped"], "demo"), "written": Fleet(folders["written"], "shop")}
    results = []
    for name, check in checks.items():
        if name.startswith("every_"):
            results += [(f"{which}: {name}", check(Workflow(path))) for which, path in files.items()]
        elif name.startswith("ci_"):
            results.append((f"own: {name}", check(Workflow(folders["own"] / "ci.yml"))))
        else:
            results += [(f"{which}: {name}", check(fleet)) for which, fleet in fleets.items()]
    for sentence, holds in results:
        print("ok    " if holds else "FAILED", sentence.replace("_", " "))
    failed = sum(not holds for _, holds in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
