#!/usr/bin/env bash
# Runs everything that needs a GPU: kernels, whole steps beside PyTorch, training, full conformance, sanitizers. No cargo or
# network.
#
#     ./run.sh [OUT]
#
# It works in slices of at most SLICE_SECONDS (560), for machines that are lent for minutes: run it again while it exits with
# 75. What a slice leaves is in OUT (the folder `out` beside this script): result.md, and the state in parts of 15 MiB. A
# machine that is new gets the parts of the slices before in the folder `earlier` beside this script. The last slice exits
# with 1 if a step failed. What answers most comes first, and a step that is cut off starts again in the next slice, except
# trainings, which go on where they were.
set -u
cd "$(dirname "$0")"
out=${1:-${OUT:-$PWD/out}}
limit=${SLICE_SECONDS:-560}
# What a slice keeps back, to pack the state.
reserve=15
mkdir -p state "$out"
if [ ! -e state/unpacked ]; then
    ls earlier/state.tar.gz.* >/dev/null 2>&1 && cat earlier/state.tar.gz.* | tar -xzf - && rm -f state/result.md
    touch state/unpacked state/order
fi
export RUST_BACKTRACE=0 MERGAN_ROOT=$PWD/source MERGAN_LEDGER=$PWD/state/rows.tsv MERGAN_DATA=$PWD/data
# The driver keeps compiled kernels here, so that the first use is timed, and no other one.
export CUDA_CACHE_PATH=$PWD/jit

device=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1)
if [ -z "$device" ]; then
    echo "NOT RUN: there is no GPU; nvidia-smi names none." >&2
    exit 3
fi

declare -a missing=()

# Writes result.md and packs the state. The newest checkpoint of a run is enough to go on.
keep() {
    {
        echo "# CUDA kernels on a GPU"
        echo
        echo "$(date -u +%F), $device, commit $(cat commit)."
        [ "$1" = done ] || echo "Not finished: $1 goes on in the next slice."
        for reason in "${missing[@]}"; do echo "NOT RUN: $reason"; done
        while read -r name; do
            code=$(cat "state/$name.done")
            [ "$code" = 0 ] && said=passed || said="FAILED ($code)"
            printf '\n## %s: %s\n\n```\n' "$name" "$said"
            tail -n 40 "state/$name.log"
            echo '```'
        done <state/order
        printf '\n## What was compared\n\n```\n'
        [ -e state/rows.tsv ] && sort -u state/rows.tsv
        echo '```'
    } >state/result.md
    local old=()
    for run in state/run-*/checkpoint; do
        [ -d "$run" ] && mapfile -t -O "${#old[@]}" old < <(ls -t "$run"/* | tail -n +2)
    done
    local excluded=("${old[@]/#/--exclude=}")
    rm -f "$out"/state.tar.gz.*
    tar -czf - "${excluded[@]}" --exclude=state/unpacked state | split -b 15m - "$out/state.tar.gz."
    cp state/result.md "$out/result.md"
}

next_slice() {
    keep "$1"
    echo "$1 goes on in the next slice: run $0 again"
    exit 75
}

left() { echo $((limit - reserve - SECONDS)); }

finished() {
    echo "$2" >"state/$1.done"
    echo "$1" >>state/order
    tail -n 3 "state/$1.log"
}

# step NAME SECONDS COMMAND...: runs a command once, for at most SECONDS. If it fails, the other steps run all the same. If
# the slice ends before its time is up, it starts again in the next one, which has all the time that it may take.
step() {
    local name=$1 most=$2 seconds
    shift 2
    [ -e "state/$name.done" ] && return
    seconds=$(left)
    ((seconds >= 10)) || next_slice "$name"
    ((seconds > most)) && seconds=$most
    echo "== $name"
    timeout "$seconds" "$@" >"state/$name.log" 2>&1
    local code=$?
    ((code == 124 && seconds < most && seconds + 30 < limit - reserve)) && next_slice "$name"
    finished "$name" $code
}

# goes_on NAME COMMAND...: runs a command that resumes where it was interrupted, for the rest of the slice.
goes_on() {
    local name=$1 seconds
    shift
    [ -e "state/$name.done" ] && return
    seconds=$(($(left) - 20))
    ((seconds >= 20)) || next_slice "$name"
    echo "== $name"
    timeout --signal=INT --kill-after=20 "$seconds" "$@" >>"state/$name.log" 2>&1
    local code=$?
    ((code == 124 || code == 137)) && next_slice "$name"
    finished "$name" $code
}

# Runs tests of the kernels. A filter that matches no test would pass on its own; this fails unless a test has run.
kernels() {
    set -o pipefail
    bin/kernels-test --include-ignored --test-threads 1 "$@" | tee >(cat >&2) | grep -q '^test result: ok. [1-9]'
}
sanitized() { compute-sanitizer --tool "$1" --error-exitcode 9 bin/kernels-test --include-ignored --test-threads 1 gpu::every_operation; }
trained() { if [ -e "state/run-$1" ]; then bin/mergan train --resume "state/run-$1" --device cuda:0; else bin/mergan train --dataset mnist --strategy "$1" --preset paper --device cuda:0 --run "state/run-$1"; fi; }
# The first process compiles the kernels, the second one finds them.
first_use() { rm -rf "$CUDA_CACHE_PATH"; for use in first second; do echo "$use use:"; time bin/gpu-step sft 32 16 64 2 1 f32 || return; done; }
ours() { for precision in f32 tf32; do bin/gpu-step "$@" "$precision" || return; done; bin/gpu-step "$@" f32 plain; }
export -f kernels sanitized trained first_use ours
in_bash() { step "$1" "$2" bash -c "${*:3}"; }

has_torch=$(python3 -c 'import torch; print(torch.cuda.is_available())' 2>/dev/null)
[ "$has_torch" = True ] || missing+=("what is measured beside PyTorch, because python3 has no torch that sees the GPU.")
pytorch() { [ "$has_torch" = True ] && step "pytorch-$1" 240 python3 peers/torch_gpu_step.py "${@:2}"; }
tool() { command -v "$1" >/dev/null || { missing+=("what needs $1, which is not there."); return 1; }; }

# First whether the kernels work at all and how fast whole steps are, beside PyTorch.
in_bash smoke 90 kernels gpu::ten_iterations
in_bash first-use 90 first_use
for width in 32 16 64; do
    for strategy in sft ra jtr; do
        in_bash "step-$strategy-$width" 60 ours "$strategy" 32 "$width" 64 5 20
        pytorch "$strategy-$width" "$strategy" 32 "$width" 64 5 20
    done
done
step estimate 60 bin/mergan train --dataset mnist --strategy ra --preset paper --device cuda:0 --run state/run-estimate --estimate

# Then what the project is for.
for strategy in ra jtr; do
    goes_on "train-$strategy" bash -c "trained $strategy"
done

# Then everything else.
in_bash operations 180 kernels gpu::every_operation
in_bash layers 180 kernels gpu::the_networks_layers
in_bash graphs 300 kernels gpu::recorded_steps
in_bash step-64x64 300 ours sft 64 32 32 2 5
pytorch 64x64 sft 64 32 32 2 5
pytorch sft-32-compiled sft 32 32 64 5 20 compiled
for width in 32 64; do
    step "kernels-$width" 120 bin/gpu-kernels "$width" 64
done
if tool ncu; then
    step ncu 300 ncu --csv --graph-profiling node --launch-count 2000 --metrics gpu__time_duration.sum bin/gpu-step ra 32 32 64 5 1 f32
fi
for strategy in sft jtr ra; do
    in_bash "beside-the-cpu-$strategy" 520 kernels "gpu::two_hundred_iterations_of_$strategy"
done
if tool compute-sanitizer; then
    for check in memcheck racecheck synccheck; do
        in_bash "$check" 520 sanitized "$check"
    done
fi

keep done
failed=0
for done in state/*.done; do [ "$(cat "$done")" = 0 ] || failed=1; done
echo "all is done: $out/result.md"
exit $failed
