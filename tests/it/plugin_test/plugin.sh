#!/bin/sh
# A plugin that keeps the protocol: one folder per session, one mutex for all. A session writes its own record while it
# holds the mutex that it inherited, so that a plugin which is killed leaves either a session with a record or none.
state="${0%/*}/state"
mkdir -p "$state"

if [ "$1" = run ]; then
  limit=$2 place=$3
  shift 3
  mkdir "$place.new"
  cat >"$place.new/record"
  mv "$place.new" "$place"
  exec 9>&-
  timeout -k 5 "$limit" "$@" >"$place/log" 2>&1 </dev/null &
  echo $! >"$place/pid.new"
  mv "$place/pid.new" "$place/pid"
  wait $!
  code=$?
  case $code in
    0) outcome='"success","exit_code":0' ;;
    124) outcome='"timeout","exit_code":null' ;;
    *) outcome="\"failure\",\"exit_code\":$code" ;;
  esac
  if [ -e "$place/stopped_by" ]; then
    outcome="\"stopped\",\"exit_code\":null,\"stopped_by\":\"$(cat "$place/stopped_by")\""
  fi
  printf '"state":"finished","outcome":%s,"finished_at":"%s"' "$outcome" "$(date -u +%FT%TZ)" >"$place/end.new"
  mv "$place/end.new" "$place/end"
  exit
fi

request=$(cat)
text() { printf '%s' "$request" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
object() { printf '%s' "$request" | sed -n "s/.*\(\"$1\":{[^}]*}\).*/\1/p"; }
number() { printf '%s' "$request" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
refuse() {
  printf '{"ok":false,"error":{"code":"%s","message":"no"}}' "$1"
  exit 1
}
show() {
  printf '{%s,' "$(cat "$1/record")"
  if [ -e "$1/end" ]; then cat "$1/end"; else printf '"state":"running"'; fi
  printf '}'
}
answer() {
  printf '{"ok":true,"result":"%s","session":%s}' "$1" "$(show "$2")"
  exit 0
}

case $request in '{'*'}') ;; *) refuse invalid ;; esac
exec 9>"$state/mutex"
flock 9

case $1 in
capabilities)
  printf '{"ok":true,"protocol":[1],"name":"fake","slot_exclusive":"create","blind_spawn":true,'
  printf '"history":true,"logs":true,"follow":true,"dry_run":true,"items":true,"stop":true,"forget":true}'
  ;;
list)
  printf '{"ok":true,"complete":true,"sessions":['
  comma=
  for place in "$state/$(text fleet)"-*/; do
    [ -e "$place/record" ] || continue
    printf '%s' "$comma"
    show "$place"
    comma=,
  done
  printf ']}'
  ;;
spawn)
  place=$state/$(text session)
  generation=$(number generation) newest= follows= item=
  if [ -e "$place/record" ]; then
    newest=$(sed 's/^"id":"\([^"]*\)".*/\1/' "$place/record")
    ran=$(sed 's/.*"generation":\([0-9]*\).*/\1/' "$place/record")
  fi
  case $request in *'"follows":'*) follows=$(number follows) item=,$(object item) ;; esac
  if [ "$follows" ]; then
    [ ! "$newest" ] || [ -e "$place/end" ] || answer exists "$place"
    [ "$follows" = "${ran:-0}" ] || refuse superseded
  else
    for known in "$place" "$place".g*; do
      grep -qs "\"key\":\"$(text idempotency_key)\"" "$known/record" && answer exists "$known"
    done
    [ ! "$newest" ] || [ -e "$place/end" ] || answer exists "$place"
    [ "$newest" = "$(text expected_predecessor)" ] || refuse conflict
  fi
  [ "$(date -u +%FT%TZ)" \< "$(text expires_at)" ] || refuse unavailable
  case $request in *'"dry_run":true'*) printf '{"ok":true,"result":"created"}' && exit ;; esac
  if [ "$newest" ]; then mv "$place" "$place.g$((generation - 1))"; fi
  record=$(printf '"id":"%s.%s",%s,"generation":%s,"cycle":"%s","key":"%s"%s' "$(text session)" "$$" \
    "$(object slot)" "$generation" "$(text cycle)" "$(text idempotency_key)" "$item")
  limit=$(number time_limit_s)
  words=$(printf '%s' "$request" | sed 's/.*"command":\["\([^]]*\)"\].*/\1/; s/","/\n/g')
  set --
  while IFS= read -r word; do set -- "$@" "$word"; done <<WORDS
$words
WORDS
  export COORDINATOR_FLEET="$(text COORDINATOR_FLEET)"
  printf '%s' "$record" | setsid "$0" run "$limit" "$place" "$@" >/dev/null 2>&1 &
  until [ -e "$place/record" ]; do sleep 0.01; done
  answer created "$place"
  ;;
logs)
  for place in "$state"/*/; do
    grep -q "\"id\":\"$(text id)\"" "$place/record" || continue
    case $request in *'"follow":true'*)
      lines=$(wc -l <"$place/log")
      shown=$(head -n "$lines" "$place/log" | awk '{printf "%s\\n", $0}')
      printf '{"ok":true,"text":"%s","size":%s}' "$shown" "$(head -n "$lines" "$place/log" | wc -c)"
      exit ;;
    esac
    size=$(wc -c <"$place/log")
    shown=$(tail -c "$(number tail_bytes)" "$place/log" | tr '\n' ' ')
    truncated=false
    [ "$size" -le "$(number tail_bytes)" ] || truncated=true
    printf '{"ok":true,"text":"%s","truncated":%s}' "$shown" "$truncated"
    exit
  done
  refuse invalid
  ;;
stop)
  for place in "$state"/*/; do
    grep -qs "^\"id\":\"$(text id)\"" "$place/record" || continue
    if [ -e "$place/end" ]; then printf '{"ok":true,"result":"finished"}' && exit; fi
    until [ -e "$place/pid" ]; do sleep 0.01; done
    printf '%s' "$(text by)" >"$place/stopped_by"
    kill "$(cat "$place/pid")"
    printf '{"ok":true,"result":"stopping"}'
    exit
  done
  refuse invalid
  ;;
forget)
  for place in "$state/$(text fleet)"-*/; do
    if [ -e "$place/record" ] && [ ! -e "$place/end" ]; then refuse conflict; fi
  done
  rm -rf "$state/$(text fleet)"-*
  printf '{"ok":true}'
  ;;
*) refuse unsupported ;;
esac
