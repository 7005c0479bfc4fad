// Functions of one number and of two, element by element, in any layout.
//
// A thread computes four neighbours, which are loaded and stored together; the last thread computes what is left. Buffers
// begin at multiples of 16 bytes.
//
// Arithmetic of n numbers: 8n bytes (12n with two operands) and at most about 30n operations, so memory decides: 64 x 32
// x 16 x 16 numbers, 4 MiB in and out, take 2 us at 2 TB/s.

template <class F> __device__ __forceinline__ void map(const float* __restrict__ x, float* __restrict__ y, int n, F f) {
    const int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (i + 4 <= n) {
        const float4 v = *(const float4*)(x + i);
        *(float4*)(y + i) = make_float4(f(v.x), f(v.y), f(v.z), f(v.w));
    } else {
        for (int j = i; j < n; ++j) y[j] = f(x[j]);
    }
}

template <class F>
__device__ __forceinline__ void
zip(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ y, int n, F f) {
    const int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (i + 4 <= n) {
        const float4 v = *(const float4*)(a + i), w = *(const float4*)(b + i);
        *(float4*)(y + i) = make_float4(f(v.x, w.x), f(v.y, w.y), f(v.z, w.z), f(v.w, w.w));
    } else {
        for (int j = i; j < n; ++j) y[j] = f(a[j], b[j]);
    }
}

extern "C" __global__ void __launch_bounds__(256) fill_f32(float* y, int n, float value) {
    const int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    for (int j = i; j < min(i + 4, n); ++j) y[j] = value;
}

extern "C" __global__ void __launch_bounds__(256) mul_scalar_f32(const float* x, float* y, int n, float factor) {
    map(x, y, n, [=](float x) { return x * factor; });
}

extern "C" __global__ void __launch_bounds__(256) add_scalar_f32(const float* x, float* y, int n, float offset) {
    map(x, y, n, [=](float x) { return x + offset; });
}

extern "C" __global__ void __launch_bounds__(256) exp_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return expf(x); });
}

extern "C" __global__ void __launch_bounds__(256) log_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return logf(x); });
}

// As on the CPU: Lambert's continued fraction of a quarter of the argument, and two doublings.
extern "C" __global__ void __launch_bounds__(256) tanh_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) {
        x = 0.25f * fminf(fmaxf(x, -9.2f), 9.2f);
        const float s = x * x;
        float t = x * (135135.0f + s * (17325.0f + s * (378.0f + s))) /
                  (135135.0f + s * (62370.0f + s * (3150.0f + s * 28.0f)));
        t = (t + t) / (1.0f + t * t);
        return (t + t) / (1.0f + t * t);
    });
}

extern "C" __global__ void __launch_bounds__(256) sqrt_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return sqrtf(x); });
}

// 0 for 0.
extern "C" __global__ void __launch_bounds__(256) reciprocal_or_zero_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return x == 0.0f ? 0.0f : 1.0f / x; });
}

extern "C" __global__ void __launch_bounds__(256) recip_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return 1.0f / x; });
}

extern "C" __global__ void __launch_bounds__(256) sigmoid_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return 1.0f / (1.0f + expf(-x)); });
}

extern "C" __global__ void __launch_bounds__(256) softplus_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return fmaxf(x, 0.0f) + logf(1.0f + expf(-fabsf(x))); });
}

extern "C" __global__ void __launch_bounds__(256) abs_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return fabsf(x); });
}

extern "C" __global__ void __launch_bounds__(256) sign_f32(const float* x, float* y, int n) {
    map(x, y, n, [](float x) { return (x > 0.0f ? 1.0f : 0.0f) - (x < 0.0f ? 1.0f : 0.0f); });
}

// A negative number has a power where the exponent is whole.
extern "C" __global__ void __launch_bounds__(256) pow_f32(const float* x, float* y, int n, float exponent) {
    map(x, y, n, [=](float x) { return powf(x, exponent); });
}

// NaN passes.
extern "C" __global__ void __launch_bounds__(256) clamp_f32(const float* x, float* y, int n, float low, float high) {
    map(x, y, n, [=](float x) { return x < low ? low : x > high ? high : x; });
}

extern "C" __global__ void __launch_bounds__(256) leaky_relu_f32(const float* x, float* y, int n, float slope) {
    map(x, y, n, [=](float x) { return rectified(x, slope); });
}

extern "C" __global__ void __launch_bounds__(256) add_f32(const float* a, const float* b, float* y, int n) {
    zip(a, b, y, n, [](float a, float b) { return a + b; });
}

extern "C" __global__ void __launch_bounds__(256) subtract_f32(const float* a, const float* b, float* y, int n) {
    zip(a, b, y, n, [](float a, float b) { return a - b; });
}

extern "C" __global__ void __launch_bounds__(256) multiply_f32(const float* a, const float* b, float* y, int n) {
    zip(a, b, y, n, [](float a, float b) { return a * b; });
}

extern "C" __global__ void __launch_bounds__(256) divide_f32(const float* a, const float* b, float* y, int n) {
    zip(a, b, y, n, [](float a, float b) { return a / b; });
}

extern "C" __global__ void __launch_bounds__(256) maximum_f32(const float* a, const float* b, float* y, int n) {
    zip(a, b, y, n, [](float a, float b) { return a > b || a != a ? a : b; });
}

// What the rectifier lets through of x, its result having the sign of `sign`.
extern "C" __global__ void __launch_bounds__(256)
leaky_relu_grad_f32(const float* x, const float* sign, float* y, int n, float slope) {
    zip(x, sign, y, n, [=](float x, float sign) { return gated(x, sign, slope); });
}
