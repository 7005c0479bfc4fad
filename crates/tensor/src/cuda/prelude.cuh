// What all kernels share. It stands before every .cu file, for NVRTC and, after the headers of the emulator, for a C++
// compiler, which defines CUDA_EMU.
//
// Tensors lie in H, W, N, C order: number (y, x, n, c) is at ((y * W + x) * N + n) * C + c. A plane is the N * C numbers
// of a pixel. Kernels index with int: no buffer holds 2^30 numbers.
//
// Sums are made in an order that only the shapes decide. Nothing is added atomically.

// The lengths of a tensor's axes.
struct Shape {
    int n, c, h, w;
};

// The sizes of a convolution or a pooling, as in geometry.rs.
struct Geometry {
    int n, ci, h, w, co, kh, kw, oh, ow, stride_y, stride_x, padding_y, padding_x;
};

// The sum over the warp, in every lane.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

// The sum over a block of 256 threads, in thread 0. `warps` is shared memory for eight numbers.
__device__ __forceinline__ float block_sum(float value, float* warps) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0.0f;
    if (threadIdx.x == 0) {
        for (int warp = 0; warp < 8; ++warp) sum += warps[warp];
    }
    return sum;
}

// The sum over the eight rows of a block of 32 x 8 threads, in the threads of the first row: column by column.
// `rows` is shared memory for 8 x 32 numbers.
__device__ __forceinline__ float column_sum(float value, float (*rows)[32]) {
    rows[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    float sum = 0.0f;
    if (threadIdx.y == 0) {
        for (int row = 0; row < 8; ++row) sum += rows[row][threadIdx.x];
    }
    return sum;
}

__device__ __forceinline__ float rectified(float x, float slope) {
    return x > 0.0f ? x : slope * x;
}

// What the rectifier lets through of `x` when its result has this sign.
__device__ __forceinline__ float gated(float x, float sign, float slope) {
    return sign > 0.0f ? x : slope * x;
}
