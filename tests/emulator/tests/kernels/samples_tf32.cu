// A product on tensor cores, fed by asynchronous copies into two stages of dynamic shared memory.

#define PADDED 24

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
            copy_async<4>(rows + l * PADDED + j, a, in_a ? (top + j) * k + first + l : -1);
            copy_async<4>(columns + l * PADDED + j, b, in_b ? (first + l) * n + left + j : -1);
        }
        commit_copies();
    };
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    load(0, 0);
    for (int first = 0, stage = 0; first < k; first += 8, stage ^= 1) {
        if (first + 8 < k) {
            load(stage ^ 1, first + 8);
            wait_for_all_copies_but<1>();
        } else {
            wait_for_all_copies_but<0>();
        }
        __syncthreads();  // before the stage is read
        const float* rows = stages + stage * 2 * 8 * PADDED;
        const float* columns = rows + 8 * PADDED + warp * 8;
        const unsigned left_factor[4] = {
            tf32(rows[thread * PADDED + group]), tf32(rows[thread * PADDED + group + 8]),
            tf32(rows[(thread + 4) * PADDED + group]), tf32(rows[(thread + 4) * PADDED + group + 8])};
        const unsigned right_factor[2] = {tf32(columns[thread * PADDED + group]),
                                          tf32(columns[(thread + 4) * PADDED + group])};
        multiply_add_tf32(sums, left_factor, right_factor);
        __syncthreads();  // before the stage is filled again
    }
    for (int i = 0; i < 4; ++i) {
        const int row = top + group + i / 2 * 8, column = left + warp * 8 + thread * 2 + i % 2;
        if (row < m && column < n) c[row * n + column] = sums[i];
    }
}
