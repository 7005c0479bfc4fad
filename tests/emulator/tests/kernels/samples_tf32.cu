// A product on tensor cores, fed by asynchronous copies into two stages of dynamic shared memory.

#define PADDED 24

__device__ __forceinline__ void copy4(float* to, const float* from, bool there) {
#ifdef CUDA_EMU
    emu_cp_async(to, from, 4, there ? 4 : 0);
#else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from),
                 "r"(there ? 4 : 0) : "memory");
#endif
}

__device__ __forceinline__ void commit() {
#ifdef CUDA_EMU
    emu_cp_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int groups> __device__ __forceinline__ void wait_for_all_but() {
#ifdef CUDA_EMU
    emu_cp_async_wait(groups);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#endif
}

__device__ __forceinline__ unsigned rounded(float value) {
#ifdef CUDA_EMU
    return emu_cvt_rna_tf32(value);
#else
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
#endif
}

__device__ __forceinline__ void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef CUDA_EMU
    emu_mma_m16n8k8_tf32(d, a, b);
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// c (m x n) = a (m x k) b (k x n). Blocks: tiles of 16 x 16; threads: two warps, each half of the columns.
extern "C" __global__ void __launch_bounds__(64)
product_tf32(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
#ifdef CUDA_EMU
    float* stages = (float*)emu_dyn_smem();
#else
    extern __shared__ float stages[];
#endif
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, thread = lane % 4;
    const int top = blockIdx.y * 16, left = blockIdx.x * 16;
    auto load = [&](int stage, int first) {
        float* rows = stages + stage * 2 * 8 * PADDED;
        float* columns = rows + 8 * PADDED;
        for (int i = threadIdx.x; i < 128; i += 64) {
            const int l = i / 16, j = i % 16;
            const bool in_a = top + j < m && first + l < k, in_b = left + j < n && first + l < k;
            copy4(rows + l * PADDED + j, in_a ? a + (top + j) * k + first + l : a, in_a);
            copy4(columns + l * PADDED + j, in_b ? b + (first + l) * n + left + j : b, in_b);
        }
        commit();
    };
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    load(0, 0);
    for (int first = 0, stage = 0; first < k; first += 8, stage ^= 1) {
        if (first + 8 < k) {
            load(stage ^ 1, first + 8);
            wait_for_all_but<1>();
        } else {
            wait_for_all_but<0>();
        }
        __syncthreads();  // before the stage is read
        const float* rows = stages + stage * 2 * 8 * PADDED;
        const float* columns = rows + 8 * PADDED + warp * 8;
        const unsigned left_factor[4] = {
            rounded(rows[thread * PADDED + group]), rounded(rows[thread * PADDED + group + 8]),
            rounded(rows[(thread + 4) * PADDED + group]), rounded(rows[(thread + 4) * PADDED + group + 8])};
        const unsigned right_factor[2] = {rounded(columns[thread * PADDED + group]),
                                          rounded(columns[(thread + 4) * PADDED + group])};
        multiply(sums, left_factor, right_factor);
        __syncthreads();  // before the stage is filled again
    }
    for (int i = 0; i < 4; ++i) {
        const int row = top + group + i / 2 * 8, column = left + warp * 8 + thread * 2 + i % 2;
        if (row < m && column < n) c[row * n + column] = sums[i];
    }
}
