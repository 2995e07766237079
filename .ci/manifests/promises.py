"""Checks what docs/platforms/kubernetes.md promises of the manifests, on what kustomize built: promises.py BASE OVERLAY INIT PUSHING."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib

import yaml

POLICY = "ValidatingAdmissionPolicy"
CLUSTER_WIDE = {"Namespace", POLICY, POLICY + "Binding"}
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
ROLE = {
    ("batch", "jobs"): "create delete get list",
    ("", "pods"): "get list",
    ("", "pods/log"): "get",
    ("", "configmaps"): "create delete list update",
    ("", "events"): "list",
}
CRON = {
    "schedule": "*/5 * * * *",
    "timeZone": "Etc/UTC",
    "concurrencyPolicy": "Forbid",
    "startingDeadlineSeconds": 240,
    "successfulJobsHistoryLimit": 3,
    "failedJobsHistoryLimit": 3,
}
CYCLE = {"backoffLimit": 0, "activeDeadlineSeconds": 240, "ttlSecondsAfterFinished": 3600}
POD = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 30, "serviceAccountName": "coordinator"}


class Build:
    """The objects of one kustomization, by kind and name."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            every = [it for it in yaml.safe_load_all(file) if it]
        self.objects = {(it["kind"], it["metadata"]["name"]): it for it in every}
        self.namespace = next(it["metadata"] for it in every if it["kind"] == "Namespace")
        self.pod = self["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        self.roster = tomllib.loads(self["ConfigMap", "coordinator-roster"]["data"]["roster.toml"])

    def __getitem__(self, key):
        return self.objects[key if isinstance(key, tuple) else (key, "coordinator")]


def agree(given, expected):
    """Every expected field has its value."""
    return {key: given.get(key) for key in expected} == expected


def the_role_grants_these_verbs_alone(it):
    rules = it["Role"]["rules"]
    granted = {
        (group, resource): " ".join(sorted(rule["verbs"]))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    return granted == ROLE and len(rules) == len(ROLE)


def the_role_is_the_coordinators_alone(it):
    name = it.namespace["name"]
    bindings = [it.objects[key] for key in it.objects if key[0] in ("RoleBinding", "ClusterRoleBinding")]
    subject = {"kind": "ServiceAccount", "name": "coordinator", "namespace": name}
    return len(bindings) == 1 and bindings[0]["subjects"] == [subject]


def sessions_have_an_account_without_a_token(it):
    return it["ServiceAccount", "coordinator-session"]["automountServiceAccountToken"] is False


def a_cycle_starts_every_five_minutes_and_never_hangs(it):
    cron = it["CronJob"]["spec"]
    return agree(cron, CRON) and agree(cron["jobTemplate"]["spec"], CYCLE) and agree(it.pod, POD)


def the_coordinators_pod_is_restricted_as_its_namespace_asks(it):
    container = it.pod["containers"][0]
    return (
        it.namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        and agree(it.pod["securityContext"], POD_SECURITY)
        and agree(container["securityContext"], CONTAINER_SECURITY)
        and set(container["resources"]) == {"requests", "limits"}
    )


def every_object_is_in_the_one_namespace(it):
    name = it.namespace["name"]
    spaced = {key: value["metadata"].get("namespace") for key, value in it.objects.items()}
    return all(space == (None if key[0] in CLUSTER_WIDE else name) for key, space in spaced.items())


def the_policy_is_bound_to_the_one_namespace_and_denies(it):
    name = it.namespace["name"]
    policy = it[POLICY, name]["spec"]
    return policy["failurePolicy"] == "Fail" and it[POLICY + "Binding", name]["spec"] == {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
    }


def secrets(value):
    """The names of all Secrets that an object names."""
    if isinstance(value, list):
        return set().union(*map(secrets, value))
    if not isinstance(value, dict):
        return set()
    own = {value[key]["name"] for key in value if key.lower().endswith(("secretref", "secretkeyref"))}
    own |= {value["secretName"]} if "secretName" in value else set()
    return own.union(*map(secrets, value.values()))


def the_policy_keeps_every_secret_that_the_coordinator_reads_from_agents(it):
    expressions = [rule["expression"] for rule in it[POLICY, it.namespace["name"]]["spec"]["validations"]]
    # The expression that names Secrets; others match names of ConfigMaps.
    patterns = {
        found
        for text in expressions
        if "secretRef" in text
        for found in re.findall(r"\.matches\('([^']*)'\)", text)
    }
    coordinators = secrets(it.pod)
    settings = [it.roster["platform"], *it.roster.get("role", [])]
    agents = {name for section in settings for name in section.get("kubernetes", {}).get("env_from", [])}
    (pattern,) = patterns
    return (
        coordinators == {"coordinator-github"}
        and all(re.search(pattern, name) for name in coordinators)
        and not any(re.search(pattern, name) for name in agents)
    )


def the_namespace_is_that_of_the_roster_and_its_fleet(it):
    stated = it.roster["platform"].get("kubernetes", {}).get("namespace", it.namespace["name"])
    return (
        it.roster["platform"]["kind"] == "kubernetes"
        and it.namespace["labels"]["coordinator.dev/fleet"] == it.roster["fleet"]
        and stated == it.namespace["name"]
    )


def the_roster_and_its_briefs_reach_the_coordinator(it):
    mounts = {mount["name"]: mount["mountPath"] for mount in it.pod["containers"][0]["volumeMounts"]}
    sources = it.pod["volumes"][1]["projected"]["sources"]
    paths = {"roster.toml"}
    for source in (source["configMap"] for source in sources):
        keys = it.objects.get(("ConfigMap", source["name"]), {}).get("data", {})
        listed = {item["key"]: item["path"] for item in source.get("items", [])}
        paths |= {"briefs/" + (listed.get(key, "") if listed else key) for key in keys}
    expected = {f"briefs/{role['key']}.md" for role in it.roster.get("role", [])} | {"roster.toml"}
    if it.roster.get("role"):
        expected |= {f"briefs/modes/{role['mode']}.md" for role in it.roster["role"]} | {"briefs/preamble.md"}
    at = {"roster": "/etc/coordinator/roster.toml", "briefs": "/etc/coordinator/briefs", "metrics": "/metrics"}
    return mounts == at and expected <= paths and it.pod["volumes"][0]["configMap"]["name"] == "coordinator-roster"


def the_metrics_have_a_place_that_can_be_written(it):
    container = it.pod["containers"][0]
    (volume,) = [volume for volume in it.pod["volumes"] if volume["name"] == "metrics"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    return (
        "--metrics-file=/metrics/coordinator.prom" in container["args"]
        and "emptyDir" in volume
        and mounts["metrics"] == {"name": "metrics", "mountPath": "/metrics"}
    )


def sessions_reach_port_443_outside_of_the_cluster_alone(it):
    policy = it["NetworkPolicy", "sessions"]["spec"]
    names, internet = policy["egress"]
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"}
    return (
        policy["podSelector"] == {}
        and "ingress" not in policy
        and sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
        and {port["port"] for port in names["ports"]} == {53}
        and [port["port"] for port in internet["ports"]] == [443]
        and private <= set(internet["to"][0]["ipBlock"]["except"])
        and "fc00::/7" in internet["to"][1]["ipBlock"]["except"]
    )


def the_quota_holds_the_roster(it):
    slots = sum(role["count"] for role in it.roster.get("role", []))
    hard = it["ResourceQuota"]["spec"]["hard"]
    # Three cycles that went well, three that did not, one that runs, one started by hand.
    return int(hard["count/jobs.batch"]) >= slots + 8 and int(hard["pods"]) >= slots + 1


def init_builds_what_the_example_builds(overlay, init):
    of = lambda it: {key: value for key, value in it.objects.items() if key[1] != "coordinator-roster"}
    return of(overlay) == of(init)


def the_sidecar_pushes_the_metrics_when_the_coordinator_has_ended(pushing):
    """Its script, with a folder in place of the volume and a `curl` that writes down what it is to send."""
    (sidecar,) = pushing.pod["initContainers"]
    ports = {port["port"] for port in pushing["NetworkPolicy"]["spec"]["egress"][0]["ports"]}
    with tempfile.TemporaryDirectory() as home:
        curl, metrics = f"{home}/curl", f"{home}/coordinator.prom"
        with open(curl, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nfor last; do :; done\necho "$last" >{home}/sent\n')
        os.chmod(curl, 0o755)
        open(metrics, "w", encoding="utf-8").close()
        script = sidecar["args"][0].replace("/metrics/coordinator.prom", metrics)
        script = script.replace("trap push TERM", "trap push TERM; echo trapped")
        variables = {one["name"]: one["value"] for one in sidecar["env"]}
        environment = {**os.environ, **variables, "PATH": f"{home}:{os.environ['PATH']}"}
        running = subprocess.Popen([*sidecar["command"], script], env=environment, stdout=subprocess.PIPE, text=True)
        while running.stdout.readline().strip() != "trapped":
            pass
        before = os.path.exists(f"{home}/sent")
        running.terminate()
        running.wait()
        with open(f"{home}/sent", encoding="utf-8") as file:
            sent = file.read().strip()
    return sidecar["restartPolicy"] == "Always" and 9091 in ports and not before and sent == variables["PUSHGATEWAY"]


def promises():
    return [check for name, check in globals().items() if re.match("(the|sessions|a|every)_", name) and "sidecar" not in name]


def main():
    builds = {name: Build(path) for name, path in zip(("base", "overlay", "init", "pushing"), sys.argv[1:], strict=True)}
    results = [(f"{name}: {check.__name__}", check(it)) for name, it in builds.items() for check in promises()]
    same = init_builds_what_the_example_builds
    results.append((same.__name__, same(builds["overlay"], builds["init"])))
    pushes = the_sidecar_pushes_the_metrics_when_the_coordinator_has_ended
    results.append((pushes.__name__, pushes(builds["pushing"])))
    for sentence, holds in results:
        print("ok    " if holds else "FAILED", sentence.replace("_", " "))
    failed = sum(not holds for _, holds in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
