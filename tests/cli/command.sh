#!/usr/bin/env bash
# The command as shells use it: exit codes, pipes, signals. It needs nothing but `awaitbatch`, a server at
# AWS_ENDPOINT_URL, credentials and a region, and these variables with ids of jobs there:
#   GOOD  succeeds       BAD  fails with exit code 3       LONG  runs for an hour
# and the queues `many`, whose ids are more than a pipe holds, and `doomed`, whose three jobs may be terminated.
# test_shell.py runs it. It prints what has failed, and ends with 1 then.
set -u
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# check FUNCTION: run it in a directory of its own, and show what it left there if it did not end well.
check() {
  mkdir "$scratch/$1"
  (cd "$scratch/$1" && "$1" >log 2>&1) || { echo "FAILED: $1"; tail -n +1 "$scratch/$1"/*; } >"$scratch/$1.failed"
}

# ends_with CODE COMMAND…: run a command, with its results in out and what it says in err.
ends_with() {
  local wanted=$1 code=0
  shift
  "$@" >out 2>err || code=$?
  [[ $code == "$wanted" ]] || { echo "ended with $code, not $wanted: $*"; return 1; }
}

submitted() {  # As `aws batch submit-job` prints it.
  printf '{\n    "jobArn": "arn:aws:batch:us-east-1:123456789012:job/%s",\n    "jobId": "%s"\n}\n' "$1" "$1"
}

succeeds() {
  submitted "$GOOD" | ends_with 0 awaitbatch wait - && [[ ! -s out ]] &&
    grep -q "^..:..:.. 1 of 1 ended: 1 SUCCEEDED; " err
}

fails() {  # The ids come as `aws batch list-jobs` prints them.
  echo "{\"jobSummaryList\": [{\"jobId\": \"$GOOD\"}, {\"jobId\": \"$BAD\"}]}" |
    ends_with 1 awaitbatch wait - --json --progress none && [[ ! -s err && $(wc -l <out) -eq 2 ]] &&
    grep -q "^{\"jobId\":\"$GOOD\",.*\"status\":\"SUCCEEDED\",\"exitCode\":0," out &&
    grep -q "^{\"jobId\":\"$BAD\",.*\"status\":\"FAILED\",\"exitCode\":3," out
}

is_not_found() { ends_with 3 awaitbatch describe no-such-job "$BAD" && grep -q "job no-such-job: " err && [[ -s out ]]; }

times_out() {
  ends_with 124 awaitbatch wait "$LONG" --timeout 0.5s &&
    grep -qF "awaitbatch wait: timed out after 0:00; 1 job goes on." err &&
    grep -qF "  Again: awaitbatch wait $LONG --timeout 0.5s" err
}

# stops_at SIGNAL CODE
stops_at() {
  exec 3< <(exec awaitbatch wait "$LONG" 2>&1 >out)
  while read -r line <&3 && [[ $line != *RUNNING* ]]; do :; done
  kill -s "$1" $! && ends_with "$2" wait $! && grep -q "^Stopped watching; 1 job goes on.$" <&3
}
stops_at_ctrl_c() { stops_at INT 130; }
stops_at_sigterm() { stops_at TERM 143; }

stops_when_nobody_reads() {
  awaitbatch list -q many --ids --status all 2>err | head -n 1 >out
  [[ ${PIPESTATUS[0]} -eq 141 && ! -s err && $(wc -l <out) -eq 1 ]]
}

terminates() {
  awaitbatch list -q doomed --name 'doomed-*' --ids | ends_with 0 awaitbatch terminate - --wait --reason 'wrong input' &&
    grep -q "^3 of 3 jobs terminated$" err && [[ $(grep -c "FAILED .*wrong input$" err) -eq 3 ]]
}

is_used_wrongly() {
  ends_with 2 awaitbatch && ends_with 2 awaitbatch wait && ends_with 2 awaitbatch wait --timeot 1h "$GOOD" &&
    grep -q "did you mean --timeout?" err && [[ ! -s out ]] && : | ends_with 2 awaitbatch wait - &&
    grep -q "did the command before it fail?" err && ends_with 0 awaitbatch wait --help && [[ ! -s err ]]
}

bears_closed_streams() {
  awaitbatch describe "$BAD" 2>err >&- && [[ ! -s err ]] && awaitbatch wait "$GOOD" >out 2>&- && [[ ! -s out ]] &&
    ends_with 2 awaitbatch wait - <&- && grep -qx "awaitbatch wait: standard input is closed, so it has no job ids" err
}

bears_full_disks() {
  [[ ! -c /dev/full ]] && return
  awaitbatch wait "$GOOD" 2>/dev/full || return
  awaitbatch describe "$GOOD" 2>err >/dev/full
  [[ $? == 4 && $(wc -l <err) -eq 1 ]] && grep -q "^awaitbatch describe: cannot write the results to standard output: " err
}

for name in succeeds fails is_not_found times_out stops_at_ctrl_c stops_at_sigterm \
  stops_when_nobody_reads terminates is_used_wrongly bears_closed_streams bears_full_disks; do
  check "$name" &
done
wait
if compgen -G "$scratch/*.failed" >/dev/null; then
  cat "$scratch"/*.failed
  exit 1
fi
