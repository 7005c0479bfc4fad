// Small kernels that use what kernels use: the tests of the executors run them, and copies with a fault planted.

// c (m x n) = a (m x k) b (k x n). Blocks: tiles of 16 x 16; threads: 16 x 16.
extern "C" __global__ void __launch_bounds__(256)
product_f32(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    __shared__ float rows[16][16];
    __shared__ float columns[16][16];
    const int x = threadIdx.x, y = threadIdx.y;
    const int row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum = 0.0f;
    for (int first = 0; first < k; first += 16) {
        rows[y][x] = row < m && first + x < k ? a[row * k + first + x] : 0.0f;
        columns[y][x] = column < n && first + y < k ? b[(first + y) * n + column] : 0.0f;
        __syncthreads();  // after the load
#pragma unroll
        for (int i = 0; i < 16; ++i) sum = fmaf(rows[y][i], columns[i][x], sum);
        __syncthreads();  // before the next load
    }
    if (row < m && column < n) c[row * n + column] = sum;
}

// sum += x[0] + ... + x[n - 1]. Any number of blocks of 256 threads.
extern "C" __global__ void __launch_bounds__(256)
total_f32(const float* __restrict__ x, float* __restrict__ sum, int n) {
    __shared__ float warps[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float own = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) own += x[i];
    own = warp_sum(own);
    if (lane == 0) warps[warp] = own;
    __syncthreads();  // before the warps' sums are read
    if (warp == 0) {
        own = lane < 8 ? warps[lane] : 0.0f;
        own = warp_sum(own);
        if (lane == 0) atomicAdd(sum, own);
    }
}

// y = x with the numbers of each group of 32 reversed.
extern "C" __global__ void __launch_bounds__(128)
reversed_f32(const float* __restrict__ x, float* __restrict__ y) {
    __shared__ float numbers[4][32];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, i = blockIdx.x * 128 + threadIdx.x;
    numbers[warp][lane] = x[i];
    __syncwarp();
    y[i] = numbers[warp][31 - lane];
}

// y[i] = the sum of x[offset + 4i] and the three numbers after it.
extern "C" __global__ void __launch_bounds__(32)
fours_f32(const float* __restrict__ x, float* __restrict__ y, int offset) {
    const float4 four = *(const float4*)(x + offset + 4 * threadIdx.x);
    y[threadIdx.x] = four.x + four.y + four.z + four.w;
}

struct Function {
    int kind;
    float scale;
};

__constant__ float corrections[3] = {0.5f, 0.25f, 0.125f};

// y[i] = a function of x[i].
extern "C" __global__ void __launch_bounds__(64)
functions_f32(const float* __restrict__ x, float* __restrict__ y, int n, Function f) {
    const int i = blockIdx.x * 64 + threadIdx.x;
    if (i >= n) return;
    const float v = f.scale * x[i];
    const unsigned bits = __float_as_uint(v);
    switch (f.kind) {
        case 0: y[i] = expf(v); break;
        case 1: y[i] = logf(fabsf(v) + 1.0f); break;
        case 2: y[i] = tanhf(v); break;
        case 3: y[i] = sqrtf(fabsf(v)) + rsqrtf(fabsf(v) + 1.0f); break;
        case 4: y[i] = v / (1.0f + v * v); break;
        case 5: y[i] = floorf(v) + rintf(2.0f * v) + ceilf(3.0f * v) + truncf(4.0f * v); break;
        case 6: y[i] = float(int(v * 100.0f) / 7) + float(int(v * 100.0f) % 7); break;
        case 7: y[i] = float(__umulhi(bits, 0x9e3779b9u) >> 8) + float(__popc(bits)) + float(__clz(bits | 1)); break;
        case 8: y[i] = float(double(v) * 3.0 + double(i)); break;
        default: y[i] = corrections[i % 3] * fminf(fmaxf(v, -1.0f), 1.0f); break;
    }
}

// y[w] = the lanes of warp w whose number is positive, as bits.
extern "C" __global__ void __launch_bounds__(64)
signs_f32(const float* __restrict__ x, unsigned* __restrict__ y) {
    const unsigned ballot = __ballot_sync(0xffffffffu, x[threadIdx.x] > 0.0f);
    const float above = __shfl_down_sync(0xffffffffu, x[threadIdx.x], 1);
    const int rising = __any_sync(0xffffffffu, above > x[threadIdx.x]);
    if (threadIdx.x % 32 == 0) y[threadIdx.x / 32] = rising ? ballot : 0;
}
