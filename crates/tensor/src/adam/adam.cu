// A step of Adam for all parameters at once. Their new values and means lie in three flat buffers, cut into blocks of
// 1024 numbers: block b belongs to the last parameter whose first block is not after b. A thread updates four numbers.
//
//     first  = beta1 first + (1 - beta1) gradient
//     second = beta2 second + (1 - beta2) gradient^2
//     value  = value - rate first / (sqrt(second) root_scale + epsilon)
//
// Arithmetic: 28 bytes a number and a dozen operations, so memory decides: the 1.3 million numbers of the paper's
// generator and critic, 36 MB, take 18 us at 2 TB/s.

// One parameter. Addresses and numbers are all 64 bits wide.
struct Parameter {
    const float *value, *gradient, *first, *second;
    long long len, first_block;
};

// Numbers that are the same for all of them; in memory, so that a graph finds those of its turn.
struct Step {
    float rate, beta1, beta2, new1, new2, root_scale, epsilon;
};

extern "C" __global__ void __launch_bounds__(256)
adam_f32(const Parameter* __restrict__ parameters, int count, float* __restrict__ values, float* __restrict__ firsts,
         float* __restrict__ seconds, const Step* __restrict__ numbers) {
    const Step step = *numbers;
    int number = 0;
    while (number + 1 < count && parameters[number + 1].first_block <= blockIdx.x) ++number;
    const Parameter parameter = parameters[number];
    const int base = (int)parameter.first_block * 1024;
    for (int k = 0; k < 4; ++k) {
        const int i = blockIdx.x * 1024 + k * 256 + threadIdx.x, j = i - base;
        if (j >= parameter.len) return;
        const float gradient = parameter.gradient[j];
        const float first = step.beta1 * parameter.first[j] + step.new1 * gradient;
        const float second = step.beta2 * parameter.second[j] + step.new2 * gradient * gradient;
        firsts[i] = first;
        seconds[i] = second;
        values[i] = parameter.value[j] - step.rate * first / (sqrtf(second) * step.root_scale + step.epsilon);
    }
}
