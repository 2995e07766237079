#!/usr/bin/env bash
# The shipped plugins. tmux, with real tmux: the protocol, and a fleet from roster to log. Containers, with podman where
# that runs: the protocol, with and without the coordinator in the container.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v tmux >/dev/null; then
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends tmux >&2
fi
plugin=$PWD/deploy/plugins/tmux
tmux -V
# Compiled in memory: nothing is left beside the plugin.
container=$PWD/deploy/plugins/container
for one in "$plugin" "$container"; do
  python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$one"
done

# The program as the tests build it, so that nothing is compiled twice.
cargo test --quiet --locked --test it --no-run
coordinator="$(realpath "${CARGO_TARGET_DIR:-target}")/debug/coordinator"

work=$(mktemp -d)
fleet=ci$(printf '%x' $$)
export XDG_STATE_HOME=$work/state
clean() {
  for name in "$fleet" "${tested:-none}"; do
    socket=/tmp/tmux-$(id -u)/coordinator-$name
    tmux -S "$socket" kill-server 2>/dev/null || true
    rm -f "$socket" "$socket.lock"
  done
  if [ -n "${CONTAINER_ENGINE_OPTIONS:-}" ]; then
    # shellcheck disable=SC2086
    podman $CONTAINER_ENGINE_OPTIONS system reset --force >/dev/null 2>&1 || true
    umount -q "$work/store/overlay" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap clean EXIT

passed=0
# holds WHAT COMMAND..: counts it, or ends the suite.
holds() {
  local what=$1
  shift
  if ! "$@"; then
    echo "does not hold: $what" >&2
    echo "$passed passed, 1 failed"
    exit 1
  fi
  echo "holds: $what"
  passed=$((passed + 1))
}
# soon COMMAND..: whether it succeeds within half a minute.
soon() {
  for _ in $(seq 150); do
    if "$@"; then return 0; fi
    sleep 0.2
  done
  return 1
}
json() { python3 -c "import json, sys; d = json.load(sys.stdin); sys.exit(not ($1))"; }
mux() { env -u TMUX_TMPDIR tmux -L "coordinator-$fleet" "$@"; }

# Without a coordinator on its PATH, and with one: its agents then run under `session-agent --wrap`.
"$coordinator" plugin-test "$plugin" | tee "$work/tried"
tested=$(sed -n 's/^fleet \(ct[0-9a-f]*\):.*/\1/p' "$work/tried")
holds "the plugin passes the whole conformance test" grep -q ', 0 failed, 0 skipped$' "$work/tried"
# left FLEET: prints what is left of its server, its socket and its records.
left() {
  pgrep -f "tmux .*coordinator-$1" || true
  find "/tmp/tmux-$(id -u)" "$XDG_STATE_HOME" -name "coordinator-$1*" -o -name "$1-*"
}
holds "which leaves neither a server nor a record behind" test -z "$(left "$tested")"
PATH=$(dirname "$coordinator"):$PATH
export PATH
"$coordinator" plugin-test "$plugin" | tee "$work/tried"
holds "the same with a wrapper" grep -q ', 0 failed, 0 skipped$' "$work/tried"

cargo test --quiet --locked --test it -- --ignored --nocapture --test-threads 1 exec_items:: |
  tee "$work/item"
holds "items start, fail, start again, are superseded, stopped, done and remembered" \
  grep -q ' 2 passed; 0 failed' "$work/item"

mkdir "$work/fleet" "$work/fleet/briefs" "$work/fleet/plugins"
cd "$work/fleet"
cp "$plugin" plugins/tmux
cat >roster.toml <<ROSTER
fleet = "$fleet"
[platform]
kind = "exec"
[platform.exec]
plugin = "plugins/tmux"
[defaults]
command = ["sh", "-c", "cat; exec sleep 600"]
[[role]]
key = "ui_builder"
name = "UI Builder"
count = 4
mode = "task-driven"
[[role]]
key = "failing"
name = "Failing"
count = 1
mode = "thinker"
command = ["sh", "-c", "echo it went wrong; exit 3"]
ROSTER
mkdir -p briefs/modes
echo "Build what users see." >briefs/ui_builder.md
echo "Fail." >briefs/failing.md
echo "Preamble." >briefs/preamble.md
for mode in thinker task-driven self-directed reviewer sentinel; do echo "Mode." >"briefs/modes/$mode.md"; done

runs=()
for number in 1 2 3 4 5 6; do
  "$coordinator" reconcile -o json >"run-$number.json" 2>"run-$number.log" &
  runs+=($!)
done
for run in "${runs[@]}"; do wait "$run" || { cat run-*.log >&2; exit 1; }; done
count() { mux list-panes -a -F '#{session_name} #{pane_dead}' | grep -c "^$fleet-ui-builder-s[0-3] 0$"; }
holds "six overlapping cycles start one tmux session per slot" test "$(count)" = 4
started() { cat run-*.json | python3 -c '
import json, sys
text, decoder, count = sys.stdin.read().strip(), json.JSONDecoder(), 0
while text:
    report, end = decoder.raw_decode(text)
    count += sum(one["role"] == "ui_builder" for one in report["steps"]["spawn"]["spawned"])
    text = text[end:].strip()
print(count)'; }
holds "and their reports list them" test "$(started)" = 4
sessions() { "$coordinator" sessions -o json 2>/dev/null; }
live() { sessions | json 'sum(s["state"] == "running" for s in d["sessions"]) == 4'; }
holds "coordinator sessions shows them" live
failed() { sessions | json 'any(s["role"] == "failing" and s["outcome"] == "failed" and s["exit_code"] == 3 for s in d["sessions"])'; }
holds "an agent that fails is listed with its exit code" soon failed
held() { "$coordinator" reconcile -o json 2>/dev/null | json 'any(h["reason"] == "backoff" for h in d["steps"]["spawn"]["held"])'; }
holds "and its slot backs off" held
holds "its words are in its log" grep -q "it went wrong" <("$coordinator" logs failing-s0 2>/dev/null)
holds "an agent gets its prompt on standard input" grep -q "Build what users see" <("$coordinator" logs ui-builder-s0 2>/dev/null)
secret() { tr '\0' '\n' </proc/"$(mux display-message -p '#{pid}')"/environ; }
holds "the environment of the tmux server has no token" test "$(GITHUB_TOKEN=x secret | grep -c TOKEN)" = 0

timeout 60 "$coordinator" logs ui-builder-s2 --follow >followed 2>/dev/null &
follower=$!
followed() { grep -q "Build what users see" followed; }
holds "a log is followed while its session runs" soon followed
holds "and the follower waits for more" kill -0 "$follower"
"$coordinator" stop ui-builder-s2 --yes >/dev/null
holds "until coordinator stop ends the session" wait "$follower"
stopped_s2() { sessions | json 'any(s["slot"].endswith("ui-builder-s2") and s["outcome"] == "stopped" for s in d["sessions"])'; }
holds "which is listed as stopped" soon stopped_s2
waits() { "$coordinator" reconcile -o json 2>/dev/null | json 'any(h["reason"] == "stopped" for h in d["steps"]["spawn"]["held"])'; }
holds "and its slot waits, which is not a failure" waits
"$coordinator" resume ui-builder-s2 >/dev/null
"$coordinator" reconcile >/dev/null 2>&1
holds "until it is resumed and started again" live

mux kill-session -t "=$fleet-ui-builder-s0"
gone() { sessions | json 'sum(s["state"] == "running" for s in d["sessions"]) == 3'; }
holds "a session that a person ends is gone" soon gone
"$coordinator" reconcile >/dev/null 2>&1
holds "and the next cycle fills its slot" live

wrapped() { pgrep -f "session-agent --wrap .*$fleet-ui-builder-s3" >/dev/null; }
holds "its agents run under a wrapper" wrapped
stall() {
  python3 - "$fleet" <<'STALL'
import json, subprocess, sys, time
def call(operation, request):
    done = subprocess.run(["plugins/tmux", operation], input=json.dumps(request), capture_output=True, text=True)
    return json.loads(done.stdout)
name = f"{sys.argv[1]}-stalling-s0"
script = r"printf 'red \033[31mwords\n'; exec sleep 600"
spec = {"session": name, "role": "stalling", "command": ["sh", "-c", script], "stdin": "", "prompt": "", "env": {},
        "time_limit_s": 600, "repository": None, "agent": "none", "stall_timeout_ms": 500}
made = call("spawn", {"slot": {"role": "stalling", "index": 0}, "generation": 1, "expected_predecessor": None,
                      "idempotency_key": "k", "cycle": "c", "expires_at": "9999-01-01T00:00:00Z", "dry_run": False,
                      "spec": spec})
identity = made["session"]["id"]
joined = call("attach", {"slot": made["session"]["slot"], "id": identity})
assert joined["argv"][0] == "tmux" and joined["argv"][3] == "attach", joined
for _ in range(150):
    listed = call("list", {"fleet": sys.argv[1], "roles": [], "include_finished_since": "2026-01-01T00:00:00Z"})
    session, = [one for one in listed["sessions"] if one["id"] == identity]
    if session["state"] == "finished":
        break
    time.sleep(0.2)
assert session["outcome"] == "timeout" and session["result"]["stalled"] == "no output for 500ms", session
raw = call("logs", {"id": identity, "tail_bytes": 1000})["text"]
assert raw == "red \x1b[31mwords\n", raw
STALL
}
holds "an agent that stalls is ended, its end is in the list, its log is raw, and a person can attach" stall

end_s1() {
  python3 - "$fleet" <<'STOP'
import json, subprocess, sys
def call(operation, request):
    done = subprocess.run(["plugins/tmux", operation], input=json.dumps(request), capture_output=True, text=True)
    return json.loads(done.stdout)
listed = call("list", {"fleet": sys.argv[1], "roles": [], "include_finished_since": "2026-01-01T00:00:00Z"})
slot = {"role": "ui_builder", "index": 1}
session, = [one for one in listed["sessions"] if one["slot"] == slot and one["state"] == "running"]
order = {"slot": slot, "id": session["id"], "generation": session["generation"], "by": "alice"}
assert call("stop", order)["result"] == "stopping"
assert call("stop", {**order, "id": order["id"] + "0"})["error"]["code"] == "invalid"
STOP
}
holds "a session can be stopped by its id" end_s1
stopped() { sessions | json 'any(s["role"] == "ui_builder" and s["outcome"] == "stopped" for s in d["sessions"])'; }
holds "and is listed as stopped" soon stopped
others() { sessions | json 'sum(s["state"] == "running" for s in d["sessions"]) == 3'; }
holds "while the others run on" others

kill -TERM "$(mux display-message -p -t "=$fleet-ui-builder-s3:" '#{pane_pid}')"
stopped_s3() { sessions | json 'any(s["slot"].endswith("ui-builder-s3") and s["outcome"] == "stopped" for s in d["sessions"])'; }
holds "a person's SIGTERM to a session's own process is a stop, too" soon stopped_s3

pids=$(mux list-panes -a -F '#{pane_pid}')
mux kill-server
ended() { for pid in $pids; do if [ -d "/proc/$pid" ]; then return 1; fi; done; }
holds "nothing of a fleet runs when its server is gone" soon ended
# The container plugin, in a store of its own. The image comes from local files.
image() {
  mkdir -p "$work/image/bin" "$work/image/tmp"
  cp "$(command -v busybox)" "$work/image/bin/busybox"
  for name in sh cat echo env grep id ln printf sleep touch true; do ln -sf busybox "$work/image/bin/$name"; done
  ldd "$coordinator" | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} "$work/image"
  tar -C "$work/image" -cf "$work/image.tar" .
  # shellcheck disable=SC2086
  podman $CONTAINER_ENGINE_OPTIONS import --quiet "$work/image.tar" "$CONTAINER_IMAGE" >/dev/null 2>&1
}
# runs_containers: whether podman starts one here, with crun, or with runc where the machine has old cgroups.
runs_containers() {
  command -v podman >/dev/null && command -v busybox >/dev/null || return 1
  export CONTAINER_ENGINE=podman CONTAINER_IMAGE=localhost/coordinator-test:1 CONTAINER_NETWORK=none
  for runtime in crun runc; do
    export CONTAINER_ENGINE_OPTIONS="--runtime $runtime --root $work/store --runroot $work/run --storage-driver vfs"
    # Hosts that are containers themselves let nobody raise a limit.
    export CONTAINER_OPTIONS="--ulimit=nofile=1024:1024 --ulimit=nproc=1000:1000 --pull=never"
    image || continue
    # shellcheck disable=SC2086
    if podman $CONTAINER_ENGINE_OPTIONS run --rm --network none --memory 64m --pids-limit 64 $CONTAINER_OPTIONS \
      "$CONTAINER_IMAGE" /bin/true 2>/dev/null; then
      return 0
    fi
  done
  return 1
}
if ! command -v podman >/dev/null || ! command -v busybox >/dev/null; then
  apt-get install -y -qq --no-install-recommends podman crun runc busybox-static >&2 || true
fi
if runs_containers; then
  echo "containers: $(podman --version), $CONTAINER_ENGINE_OPTIONS"
  "$coordinator" plugin-test "$container" | tee "$work/tried"
  holds "the container plugin passes the whole conformance test" grep -q ', 0 failed, 0 skipped$' "$work/tried"
  export CONTAINER_WRAPPER=/usr/local/bin/coordinator
  export CONTAINER_OPTIONS="$CONTAINER_OPTIONS --volume $coordinator:$CONTAINER_WRAPPER:ro"
  "$coordinator" plugin-test "$container" | tee "$work/tried"
  holds "the same with the coordinator as the wrapper in the container" \
    grep -q ', 0 failed, 0 skipped$' "$work/tried"
  contained() {
    python3 - "$container" "$fleet" <<'CONTAINED'
import json, subprocess, sys, time
def call(operation, request):
    done = subprocess.run([sys.argv[1], operation], input=json.dumps(request), capture_output=True, text=True)
    return json.loads(done.stdout)
fleet = sys.argv[2]
script = """cat; echo "$LINES_"; id -u; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status
test -n "$HONEST" || ln -s /etc/passwd /coordinator/out/end; touch /coordinator/in/x && echo writable; sleep 600"""
def ended(index, honest):
    spec = {"session": f"{fleet}-stalling-s{index}", "role": "stalling", "command": ["sh", "-c", script],
            "stdin": "prompt\n", "prompt": "", "env": {"LINES_": "a\nb", "HONEST": honest}, "time_limit_s": 600,
            "repository": None, "agent": "none", "stall_timeout_ms": 500}
    made = call("spawn", {"slot": {"role": "stalling", "index": index}, "generation": 1, "expected_predecessor": None,
                          "idempotency_key": f"k{index}", "cycle": "c", "expires_at": "9999-01-01T00:00:00Z",
                          "dry_run": False, "spec": spec})
    identity = made["session"]["id"]
    assert "exec" in call("attach", {"slot": made["session"]["slot"], "id": identity})["argv"]
    for _ in range(150):
        listed = call("list", {"fleet": fleet, "roles": [], "include_finished_since": "2026-01-01T00:00:00Z"})
        session, = [one for one in listed["sessions"] if one["id"] == identity]
        if session["state"] == "finished":
            break
        time.sleep(0.2)
    text = call("logs", {"id": identity, "tail_bytes": 10000})["text"]
    assert text.startswith("prompt\na\nb\n") and "\nwritable\n" not in text, text
    assert "CapEff:\t0000000000000000" in text and "NoNewPrivs:\t1" in text, text
    assert session["exit_code"] == 124, session
    return session
honest = ended(0, "yes")
assert honest["outcome"] == "timeout" and honest["result"]["stalled"] == "no output for 500ms", honest
assert ended(1, "")["result"] is None, "a link of the agent's is not followed"
assert call("forget", {"fleet": fleet})["ok"]
CONTAINED
  }
  holds "an agent in a container gets its prompt, no capability, and is ended when it stalls" contained
else
  echo "containers: podman does not run here; the container plugin is not tested"
fi
echo "$passed passed, 0 failed"
