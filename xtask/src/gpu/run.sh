#!/usr/bin/env bash
# Runs everything that needs a GPU: kernels, training beside the CPU, timings beside PyTorch. No cargo or network.
#
# It works in slices of at most ten minutes (SLICE_SECONDS): run it again while it exits with 75. Finished steps are kept in
# state/, so a slice that was cut off is not lost. The last slice writes result.md, and exits with 1 if a step failed.
set -u
cd "$(dirname "$0")"
limit=${SLICE_SECONDS:-590}
mkdir -p state
export RUST_BACKTRACE=0 MERGAN_ROOT=$PWD/source MERGAN_LEDGER=$PWD/state/rows.tsv MERGAN_DATA=$PWD/data

device=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1)
if [ -z "$device" ]; then
    echo "NOT RUN: there is no GPU; nvidia-smi names none." >&2
    exit 3
fi

next_slice() {
    echo "$1 goes on in the next slice: run $0 again"
    exit 75
}

# step NAME SECONDS COMMAND...: runs a command once, for at most SECONDS. If it fails, the other steps run all the same.
step() {
    local name=$1 seconds=$2
    shift 2
    [ -e "state/$name.done" ] && return
    ((SECONDS + seconds <= limit)) || next_slice "$name"
    echo "== $name"
    timeout "$seconds" "$@" >"state/$name.log" 2>&1
    echo $? >"state/$name.done"
    tail -n 3 "state/$name.log"
}

# goes_on NAME COMMAND...: runs a command that resumes where it was interrupted, for the rest of the slice.
goes_on() {
    local name=$1 left=$((limit - SECONDS))
    shift
    [ -e "state/$name.done" ] && return
    ((left >= 30)) || next_slice "$name"
    echo "== $name"
    timeout --signal=INT --kill-after=30 $((left - 20)) "$@" >>"state/$name.log" 2>&1
    local code=$?
    tail -n 3 "state/$name.log"
    [ $code = 124 ] && next_slice "$name"
    echo $code >"state/$name.done"
}

# Runs tests of the kernels. A filter that matches no test would pass on its own; this fails unless a test has run.
kernels() {
    set -o pipefail
    bin/kernels-test --include-ignored --test-threads 1 "$@" | tee /dev/stderr | grep -q '^test result: ok. [1-9]'
}
sanitized() { compute-sanitizer --tool "$1" --error-exitcode 9 bin/kernels-test --include-ignored --test-threads 1 gpu::every_operation; }
trained() { if [ -e state/run ]; then bin/mergan train --resume state/run; else bin/mergan train "$@" --run state/run; fi; }
export -f kernels sanitized trained
in_bash() { step "$1" "$2" bash -c "${*:3}"; }

in_bash operations 120 kernels gpu::every_operation
in_bash layers 120 kernels gpu::the_networks_layers
in_bash graphs 240 kernels gpu::recorded_steps
in_bash free-running 120 kernels gpu::ten_iterations
for strategy in sft jtr ra; do
    in_bash "beside-the-cpu-$strategy" 540 kernels "gpu::two_hundred_iterations_of_$strategy"
done
if command -v compute-sanitizer >/dev/null; then
    in_bash memcheck 540 sanitized memcheck
    in_bash racecheck 540 sanitized racecheck
    in_bash synccheck 540 sanitized synccheck
fi
for width in 32 64; do
    step "kernels-$width" 120 bin/gpu-kernels "$width" 64
done
for width in 16 32 64; do
    for precision in f32 tf32; do
        step "step-$width-$precision" 120 bin/gpu-step "$width" 50 "$precision"
    done
    step "step-$width-f32-without-graphs" 120 bin/gpu-step "$width" 50 f32 plain
done
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    for width in 16 32 64; do
        step "pytorch-step-$width" 240 python3 peers/torch_gpu_step.py "$width" 50
    done
fi
if [ -e data/mnist ] && bin/mergan train --help | grep -q -- --device; then
    goes_on train bash -c "trained --dataset mnist --strategy ra --preset paper --device cuda:0"
fi

failed=0
{
    echo "# CUDA kernels on a GPU"
    echo
    echo "$(date -u +%F), $device, commit $(cat commit)."
    for name in compute-sanitizer python3; do
        command -v $name >/dev/null || echo "NOT RUN: what needs $name, which is not there."
    done
    ls state/pytorch-step-*.done >/dev/null 2>&1 || echo "NOT RUN: PyTorch, which python3 has not with CUDA."
    [ -e state/train.done ] || echo "NOT RUN: training on MNIST."
    for done in state/*.done; do
        name=$(basename "$done" .done)
        code=$(cat "$done")
        [ "$code" = 0 ] && said=passed || said="FAILED ($code)"
        printf '\n## %s: %s\n\n```\n' "$name" "$said"
        tail -n 40 "state/$name.log"
        echo '```'
    done
    printf '\n## What was compared\n\n```\n'
    [ -e state/rows.tsv ] && sort -u state/rows.tsv
    echo '```'
} >result.partial
for done in state/*.done; do [ "$(cat "$done")" = 0 ] || failed=1; done
mv result.partial result.md
echo "all is done: $PWD/result.md"
exit $failed
