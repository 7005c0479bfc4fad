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
    int n, ci, h, w, co, kh, kw, oh, ow, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
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

#if defined(CUDA_EMU) || __CUDA_ARCH__ >= 800
// Asynchronous copies to shared memory and products on tensor cores: PTX on a GPU, functions of the emulator elsewhere.

// Asks for 4 or 16 bytes, x[place] and what follows, or for zeros where `place` is negative.
template <int BYTES> __device__ __forceinline__ void copy_async(float* to, const float* x, int place) {
    const int source = place < 0 ? 0 : BYTES;
    const float* from = place < 0 ? x : x + place;
#ifdef CUDA_EMU
    emu_cp_async(to, from, BYTES, source);
#else
    const unsigned address = (unsigned)__cvta_generic_to_shared(to);
    if (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(source) : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from), "r"(source) : "memory");
    }
#endif
}

// Makes a group of the copies that this thread has asked for since the last one.
__device__ __forceinline__ void commit_copies() {
#ifdef CUDA_EMU
    emu_cp_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits for this thread's copies but those of the newest groups.
template <int GROUPS> __device__ __forceinline__ void wait_for_all_copies_but() {
#ifdef CUDA_EMU
    emu_cp_async_wait(GROUPS);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
#endif
}

// The nearest number that TF32 has: 11 bits of mantissa.
__device__ __forceinline__ unsigned tf32(float value) {
#ifdef CUDA_EMU
    return emu_cvt_rna_tf32(value);
#else
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
#endif
}

// d (16 x 8) += a (16 x 8) b (8 x 8), by a warp. With g = lane / 4 and t = lane % 4, a lane brings a[g][t], a[g + 8][t],
// a[g][t + 4] and a[g + 8][t + 4], b[t][g] and b[t + 4][g], and holds d[g][2 t], d[g][2 t + 1] and those of row g + 8.
__device__ __forceinline__ void multiply_add_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef CUDA_EMU
    emu_mma_m16n8k8_tf32(d, a, b);
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
#endif
