"""Records what a real API server and its controllers answer. Tests compare the fake one of crates/testkit with it.

Runs where `tests/cluster/run.sh` set KUBECONFIG, on a control plane that is new, and prints one JSON line per
request, and per event that the fake has to play:

    tests/cluster/run.sh python3 .ci/cluster/record.py > tests/cases/kubernetes.jsonl

With --check it prints nothing, and fails when the recording in the repository is another.
"""

import base64
import copy
import json
import os
import pathlib
import re
import ssl
import sys
import time
import urllib.error
import urllib.request

RECORDING = pathlib.Path(__file__).parents[2] / "tests/cases/kubernetes.jsonl"
NAMESPACE = "/api/v1/namespaces/agents"
JOBS = "/apis/batch/v1/namespaces/agents/jobs"
PODS = f"{NAMESPACE}/pods"
MAPS = f"{NAMESPACE}/configmaps"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/agents"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RIGHTS = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "create", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "create", "update", "delete"]},
]
# Different in every run.
VOLATILE = {
    "uid", "resourceVersion", "continue", "batch.kubernetes.io/controller-uid", "controller-uid",
    "creationTimestamp", "deletionTimestamp", "startTime", "completionTime", "lastTransitionTime", "lastProbeTime",
    "startedAt", "finishedAt",
}  # fmt: skip
PATIENCE = 60


class Server:
    """The API server and the tokens of its users."""

    def __init__(self):
        config = open(os.environ["KUBECONFIG"]).read()
        find = lambda key: re.search(key + r": (\S+)", config).group(1)
        self.url = find("server")
        authority = base64.b64decode(find("certificate-authority-data")).decode()
        self.trust = ssl.create_default_context(cadata=authority)
        self.tokens = {"administrator": find("token"), "stranger": "unknown-token", "anonymous": None}

    def send(self, who, method, path, body=None, kind="application/json"):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Accept", "application/json")
        request.add_header("Content-Type", kind)
        if self.tokens[who]:
            request.add_header("Authorization", f"Bearer {self.tokens[who]}")
        try:
            answer = urllib.request.urlopen(request, context=self.trust)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            text = answer.read().decode()
        try:
            return answer.status, answer.headers["Content-Type"], json.loads(text)
        except json.JSONDecodeError:
            return answer.status, answer.headers["Content-Type"], text

    def do(self, method, path, body=None, kind="application/json"):
        """As the administrator; it must succeed."""
        status, _, answer = self.send("administrator", method, path, body, kind)
        if status >= 300:
            sys.exit(f"{method} {path}: {status} {answer}")
        return answer

    def patch(self, path, change):
        self.do("PATCH", path, change, "application/merge-patch+json")

    def wait(self, path, holds):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            status, _, answer = self.send("administrator", "GET", path)
            if status == 200 and holds(answer):
                return answer
            time.sleep(0.1)
        sys.exit(f"{path} in vain: {answer}")


class Recording:
    def __init__(self, server):
        self.server = server
        self.lines = []
        self.kept = {}

    def event(self, text):
        self.lines.append({"event": text})

    def send(self, sentence, method, path, body=None, who="coordinator", keep=None, at="", loosely=False):
        """`keep` names parts of the reply; `at` is the part that counts; `loosely` leaves a Go parser's words out."""
        line = {"sentence": sentence, "as": who, "method": method}
        line["path"] = self.named(path)
        if body is not None:
            line["body"] = self.named(body)
        line["status"], line["type"], reply = self.server.send(who, method, path, body)
        for name, place in (keep or {}).items():
            self.kept[name] = part(reply, place)
        if keep:
            line["keep"] = keep
        if at:
            line["at"] = at
        if loosely:
            reply = {key: reply[key] for key in ("kind", "code", "reason", "details") if key in reply}
        line["reply"] = steady(self.named(part(reply, at)))
        self.lines.append(line)

    def named(self, value):
        text = json.dumps(value)
        for name, kept in self.kept.items():
            text = text.replace(kept, "${" + name + "}")
        return json.loads(text)

    def text(self):
        return "".join(json.dumps(line) + "\n" for line in self.lines)


def part(value, place):
    for key in place.split("/")[1:]:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def steady(value):
    if isinstance(value, list):
        return [steady(one) for one in value]
    if not isinstance(value, dict):
        return value
    differs = lambda key, one: key in VOLATILE and isinstance(one, str) and not one.startswith("${")
    known = {key: one for key, one in value.items() if key != "managedFields"}
    return {key: "*" if differs(key, one) else steady(one) for key, one in known.items()}


def job(name, **metadata):
    labels = {"coordinator.dev/fleet": "demo", "coordinator.dev/slot": name}
    pod = {"restartPolicy": "Never", "containers": [{"name": "agent", "image": "example.com/agent:1"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": dict(labels), **metadata},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": dict(labels)}, "spec": pod}},
    }


def pods_of(name):
    return f"{PODS}?labelSelector=batch.kubernetes.io/job-name%3D{name}"


def has(condition):
    def holds(found):
        conditions = found["status"].get("conditions", [])
        return any(one["type"] == condition and one["status"] == "True" for one in conditions)

    return holds


def prepare(server):
    """The namespace, the coordinator's service account, and its rights."""
    server.do("POST", "/api/v1/namespaces", {"metadata": {"name": "agents"}})
    server.wait(f"{NAMESPACE}/serviceaccounts/default", lambda _: True)
    server.do("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "coordinator"}})
    server.do("POST", f"{RBAC}/roles", {"metadata": {"name": "coordinator"}, "rules": RIGHTS})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "coordinator"}
    subject = {"kind": "ServiceAccount", "name": "coordinator", "namespace": "agents"}
    binding = {"metadata": {"name": "coordinator"}, "roleRef": role, "subjects": [subject]}
    server.do("POST", f"{RBAC}/rolebindings", binding)
    lifetime = {"spec": {"expirationSeconds": 3600}}
    token = server.do("POST", f"{NAMESPACE}/serviceaccounts/coordinator/token", lifetime)
    server.tokens["coordinator"] = token["status"]["token"]


def creates(to):
    to.send("a Job that was never made", "GET", f"{JOBS}/x")
    to.send("an empty list", "GET", f"{JOBS}?labelSelector=coordinator.dev/fleet%3Ddemo&limit=500")
    to.send("a created Job", "POST", f"{JOBS}?fieldValidation=Strict", job("x"), keep={"x": "/metadata/uid"})
    to.send("a taken name", "POST", JOBS, job("x"))
    to.send("a taken name in a dry run", "POST", f"{JOBS}?dryRun=All", job("x"))
    to.send("a free name in a dry run", "POST", f"{JOBS}?dryRun=All", job("y"))
    to.send("a dry run leaves nothing", "GET", f"{JOBS}/y")


def refused_creates(to):
    def spoilt(sentence, spoil, name="y", query="", **options):
        posted = job(name)
        spoil(posted)
        to.send(sentence, "POST", JOBS + query, posted, **options)

    strict = "?fieldValidation=Strict"
    pod = lambda posted: posted["spec"]["template"]["spec"]
    agent = lambda posted: pod(posted)["containers"][0]
    spoilt("an unknown field", lambda posted: posted["spec"].update(backofLimit=0), query=strict)
    spoilt("a field of another type", lambda posted: posted["spec"].update(backoffLimit="many"), loosely=True)
    spoilt("another kind", lambda posted: posted.update(kind="Task"), loosely=True)
    spoilt("a restart policy that no Job may have", lambda posted: pod(posted).update(restartPolicy="Always"))
    spoilt("no image", lambda posted: agent(posted).pop("image"))
    spoilt("an image with a blank", lambda posted: agent(posted).update(image=" a"), query="?dryRun=All")
    spoilt("no container", lambda posted: pod(posted).update(containers=[]))
    mounts = [{"name": "w", "mountPath": "/w"}]
    spoilt("a mount without its volume", lambda posted: agent(posted).update(volumeMounts=mounts))
    spoilt("a label that is none", lambda posted: posted["metadata"]["labels"].update(a="two words"))
    spoilt("a name that is none", lambda posted: None, name="Big_Name")
    spoilt("a name too long for a label", lambda posted: None, name="n" * 64)
    spoilt("a Job of another namespace", lambda posted: posted["metadata"].update(namespace="other"))
    lots = {"limits": {"cpu": "lots"}}
    spoilt("a quantity that is none", lambda posted: agent(posted).update(resources=lots))


def deletions(to):
    def delete(sentence, name, preconditions, loosely=False, **options):
        body = {"preconditions": preconditions, "propagationPolicy": "Background", **options}
        to.send(sentence, "DELETE", f"{JOBS}/{name}", body, loosely=loosely)

    delete("a deletion of another uid", "x", {"uid": "00000000-0000-0000-0000-000000000000"})
    delete("a deletion of another version", "x", {"resourceVersion": "1"}, loosely=True)
    delete("a deletion of what is not there", "y", {"uid": "00000000-0000-0000-0000-000000000000"})
    delete("a deletion in a dry run", "x", {"uid": to.kept["x"]}, dryRun=["All"])
    delete("a deletion by identity", "x", {"uid": to.kept["x"]})
    to.send("a Job with a finalizer", "POST", JOBS, job("held", finalizers=["example.com/hold"]), keep={"held": "/metadata/uid"})
    to.server.wait(f"{JOBS}/held", lambda found: found["status"].get("ready") == 1)
    delete("the deletion of a Job with a finalizer", "held", {"uid": to.kept["held"]})
    to.send("a name whose holder is being deleted", "POST", JOBS, job("held"))
    delete("the deletion of what is being deleted", "held", {"uid": to.kept["held"]})
    to.server.patch(f"{JOBS}/held", {"metadata": {"finalizers": None}})
    to.event("remove held")


def lists(to):
    for name in "abc":
        to.send(f"Job {name}", "POST", JOBS, job(name), at="/metadata/name")
    for name in "abc":
        to.server.wait(f"{JOBS}/{name}", lambda found: found["status"].get("ready") == 1)
    to.send("the first page", "GET", f"{JOBS}?limit=2", keep={"continue": "/metadata/continue"})
    to.send("the second page", "GET", f"{JOBS}?limit=2&continue={to.kept['continue']}")
    to.send("the first page with a selector", "GET", f"{JOBS}?limit=2&labelSelector=coordinator.dev/fleet%3Ddemo")
    to.send("a token that is none", "GET", f"{JOBS}?limit=2&continue=nonsense", loosely=True)
    to.send("a field that no selector knows", "GET", f"{JOBS}?fieldSelector=status.active%3D1")
    to.send("a selector that is none", "GET", f"{JOBS}?labelSelector=a%20b", loosely=True)
    to.send("pods by phase", "GET", f"{PODS}?fieldSelector=status.phase%21%3DRunning")


def ledgers(to):
    def ledger(data, name="demo-ledger-2027-01-15", **metadata):
        labels = {"coordinator.dev/ledger": "demo"}
        metadata = {"name": name, "labels": labels, **metadata}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    first, day = ledger({"demo-a-s0": "[]"}), f"{MAPS}/demo-ledger-2027-01-15"
    ours = f"{MAPS}?labelSelector=coordinator.dev/ledger%3Ddemo&limit=500"
    to.send("no ledger", "GET", ours)
    to.send("a ledger in a dry run", "POST", f"{MAPS}?dryRun=All", first, at="/data")
    to.send("a ledger", "POST", MAPS, first, keep={"first": "/metadata/resourceVersion"})
    to.send("a ledger that is there already", "POST", MAPS, first)
    more = {"demo-a-s0": "[]", "demo-a-s1": "[]"}
    version = to.kept["first"]
    to.send("a ledger with a slot more", "PUT", day, ledger(more, resourceVersion=version), keep={"second": "/metadata/resourceVersion"})
    to.send("a ledger by an old version", "PUT", day, ledger({}, resourceVersion=version))
    to.send("a ledger in a dry run of its replacement", "PUT", f"{day}?dryRun=All", ledger({"demo-a-s2": "[]"}, resourceVersion=to.kept["second"]), at="/data")
    to.send("the ledgers of the fleet", "GET", ours, at="/items")
    to.send("a ledger that is not there to be replaced", "PUT", f"{MAPS}/demo-ledger-2027-01-16", ledger(more, "demo-ledger-2027-01-16"), loosely=True)
    to.send("a ledger that goes", "DELETE", day)
    to.send("a ledger that is gone", "DELETE", day)


def quota(to):
    quotas = f"{NAMESPACE}/resourcequotas"
    counted = "count/jobs.batch"
    to.server.do("POST", quotas, {"metadata": {"name": "fleet"}, "spec": {"hard": {counted: "4"}}})
    to.server.wait(f"{quotas}/fleet", lambda found: found["status"].get("used", {}).get(counted) == "3")
    to.event("limit 4")
    to.send("a dry run within the quota", "POST", f"{JOBS}?dryRun=All", job("d"))
    to.send("a taken name within the quota", "POST", JOBS, job("a"))
    to.send("a taken name beyond the quota, which the refusal has used up", "POST", JOBS, job("a"))
    to.send("a free name beyond the quota", "POST", JOBS, job("d"))
    to.send("a dry run beyond the quota", "POST", f"{JOBS}?dryRun=All", job("d"))
    to.server.do("DELETE", f"{quotas}/fleet")
    to.event("limit none")


def pods(to):
    pod = to.server.do("GET", pods_of("a"))["items"][0]["metadata"]["name"]
    to.kept["pod"] = pod
    to.event("keep pod a")
    to.send("a running Job", "GET", f"{JOBS}/a", at="/status")
    to.send("its pod", "GET", f"{PODS}/{pod}", at="/metadata")
    to.send("the log of a container that is not there", "GET", f"{PODS}/{pod}/log?container=main")
    to.send("the log of a pod that is not there", "GET", f"{PODS}/a-none/log?container=agent")


def elsewhere(to):
    nowhere = "/apis/batch/v1/namespaces/nowhere/jobs"
    to.send("a create in a namespace that is not there", "POST", nowhere, job("a"), who="administrator")
    to.send("a list of a namespace that is not there", "GET", nowhere, who="administrator")
    to.send("a Job of a namespace that is not there", "GET", f"{nowhere}/a", who="administrator")
    to.send("a list of another namespace", "GET", "/apis/batch/v1/namespaces/default/jobs")
    to.send("a create in another namespace", "POST", "/apis/batch/v1/namespaces/default/jobs", job("a"))
    to.send("a patch", "PATCH", f"{JOBS}/a", {})
    to.send("a collection to delete", "DELETE", JOBS, {})
    to.send("a watch", "GET", f"{JOBS}?watch=true")
    to.send("an unknown token", "GET", JOBS, who="stranger")
    to.send("no token", "GET", JOBS, who="anonymous")
    to.send("an API that is not there", "GET", "/apis/kueue.x-k8s.io/v1beta1")
    to.send("the version", "GET", "/version", at="/major")
    to.send("the namespace itself", "GET", NAMESPACE)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    to.send("who asks", "POST", reviews, review, at="/status/userInfo/username")


def ends(to):
    def play(name, annotations, condition, event, spec=None, pod=None):
        posted = job(name)
        template = posted["spec"]["template"]
        template["metadata"]["annotations"] = {f"test.coordinator.dev/{key}": text for key, text in annotations.items()}
        posted["spec"].update(spec or {})
        template["spec"].update(pod or {})
        to.send(f"Job {name}", "POST", JOBS, posted, at="/metadata/name")
        if name == "stops":
            to.server.wait(f"{JOBS}/{name}", lambda found: found["status"].get("ready") == 1)
            to.server.patch(f"{JOBS}/{name}", {"spec": {"suspend": True}})
        to.server.wait(f"{JOBS}/{name}", has(condition))
        # The controller counts pods that end after it has set the reason.
        steadily = {"lingers": lambda found: found["status"].get("terminating") == 1 and found["status"].get("ready") == 0}
        quiet = lambda found: found["status"].get("terminating", 0) == 0
        to.server.wait(f"{JOBS}/{name}", steadily.get(name, quiet))
        if event:
            to.event(event)
        to.send(f"Job {name} then", "GET", f"{JOBS}/{name}", at="/status")

    state = "/items/0/status/containerStatuses/0/state"
    play("good", {"exit": "0"}, "Complete", "finish good 0")
    play("bad", {"exit": "3", "message": "no model answers"}, "Failed", "finish bad 3 no model answers")
    to.send("the end of its agent", "GET", pods_of("bad"), at=state)
    to.send("the phase of its pod", "GET", pods_of("bad"), at="/items/0/status/phase")
    play("late", {}, "Failed", "deadline late", {"activeDeadlineSeconds": 1})
    to.send("its pod goes with it", "GET", pods_of("late"), at="/items")
    play("slow", {}, "Failed", "time-out slow", pod={"activeDeadlineSeconds": 1})
    to.send("the reason of its pod", "GET", pods_of("slow"), at="/items/0/status/reason")
    limits = {"activeDeadlineSeconds": 1, "podReplacementPolicy": "Failed"}
    play("lingers", {"lingers": "60s"}, "FailureTarget", "failing lingers", limits)
    play("waits", {}, "Suspended", "", {"suspend": True})
    play("stops", {}, "Suspended", "suspend stops")


def rights(to):
    fewer = copy.deepcopy(RIGHTS[:2])
    fewer[0]["verbs"] = fewer[1]["verbs"] = ["get"]
    to.server.do("PUT", f"{RBAC}/roles/coordinator", {"metadata": {"name": "coordinator"}, "rules": fewer})
    ledger = [f"{verb} configmaps" for verb in RIGHTS[3]["verbs"]]
    for right in ["list jobs", "create jobs", "delete jobs", "list pods", "get pods/log", *ledger]:
        to.event(f"revoke {right}")
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    asks = lambda verb: {**review, "spec": {"resourceAttributes": {"namespace": "agents", "verb": verb, "group": "batch", "resource": "jobs"}}}
    end = time.monotonic() + PATIENCE
    while to.server.send("coordinator", "POST", REVIEWS, asks("delete"))[2]["status"]["allowed"]:
        if time.monotonic() > end:
            sys.exit("the rights do not go")
        time.sleep(0.1)
    to.send("no right to list", "GET", JOBS)
    to.send("no right to create", "POST", JOBS, job("d"))
    to.send("no right to create in a dry run", "POST", f"{JOBS}?dryRun=All", job("d"))
    to.send("no right to delete", "DELETE", f"{JOBS}/a", {})
    to.send("no right to list pods", "GET", PODS)
    to.send("no right to list ledgers", "GET", MAPS)
    to.send("no right to write a ledger", "POST", MAPS, {"metadata": {"name": "demo-ledger-2027-01-15"}})
    to.send("no right to read logs", "GET", f"{PODS}/{to.kept['pod']}/log?container=agent")
    to.send("a review of a right that is there", "POST", REVIEWS, asks("get"), at="/status/allowed")
    to.send("a review of a right that is not there", "POST", REVIEWS, asks("delete"), at="/status/allowed")


def main():
    server = Server()
    prepare(server)
    recording = Recording(server)
    for chapter in [creates, refused_creates, deletions, lists, ledgers, quota, pods, elsewhere, ends, rights]:
        chapter(recording)
    if "--check" not in sys.argv:
        print(recording.text(), end="")
        return
    before, now = RECORDING.read_text().splitlines(), recording.text().splitlines()
    for line in now:
        if line not in before:
            print(f"not in {RECORDING.name}: {line}", file=sys.stderr)
    if before != now:
        sys.exit("the API server answers otherwise than recorded")
    print(f"{len(now)} lines, as recorded")


main()
