// The pixel alignment loss and the head of the gradient penalty, with their gradients; see mod.rs for the formulas.
//
// Arithmetic of n numbers: 8n and 12n bytes for the distance and its gradient, 4n and 8n for the penalty and its, and two
// or three operations a number: memory decides, and at 64 x 32 x 32 numbers (256 KiB) the launches do.

// parts[part] = the sum of (a - b)^2 over up to `count` numbers. Blocks: parts.
extern "C" __global__ void __launch_bounds__(256)
squared_distance_f32(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ parts, int len,
                     int count) {
    __shared__ float warps[8];
    const int first = blockIdx.x * count, last = min(first + count, len);
    float sum = 0.0f;
    for (int i = first + threadIdx.x; i < last; i += 256) {
        const float difference = a[i] - b[i];
        sum += difference * difference;
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// y = 2 (a - b) upstream, `upstream` being one number.
extern "C" __global__ void __launch_bounds__(256)
squared_distance_gradient_f32(const float* __restrict__ a, const float* __restrict__ b,
                              const float* __restrict__ upstream, float* __restrict__ y, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i < len) y[i] = 2.0f * (a[i] - b[i]) * *upstream;
}

// norms[n] = the norm of all numbers of image n. A block for each image.
extern "C" __global__ void __launch_bounds__(256)
image_norms_f32(const float* __restrict__ x, float* __restrict__ norms, Shape shape) {
    __shared__ float warps[8];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < shape.h * shape.w * shape.c; i += 256) {
        const float value = x[(i / shape.c * shape.n + blockIdx.x) * shape.c + i % shape.c];
        sum += value * value;
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) norms[blockIdx.x] = sqrtf(sum);
}

// The mean of (norm - 1)^2. One block.
extern "C" __global__ void __launch_bounds__(256)
unit_norm_penalty_f32(const float* __restrict__ norms, float* __restrict__ penalty, int images) {
    __shared__ float warps[8];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < images; i += 256) sum += (norms[i] - 1.0f) * (norms[i] - 1.0f);
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) *penalty = sum / images;
}

// y = x (norm - 1) / norm * 2 / n * upstream, and 0 where the norm is 0; `upstream` is one number.
extern "C" __global__ void __launch_bounds__(256)
unit_norm_penalty_gradient_f32(const float* __restrict__ x, const float* __restrict__ norms,
                               const float* __restrict__ upstream, float* __restrict__ y, Shape shape, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const float norm = norms[i / shape.c % shape.n];
    y[i] = norm == 0.0f ? 0.0f : x[i] * ((norm - 1.0f) / norm) * (2.0f / shape.n * *upstream);
}
