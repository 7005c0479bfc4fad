// The maps of a convolution on tensor cores: operands are rounded to TF32 (8 bits of exponent, 11 of mantissa), products are
// summed in f32. correlation.cuh says what is multiplied; few channels are computed by the kernels of conv2d.cu.
//
// A block computes BM rows x BN columns, a warp of it WM x WN. DEPTH numbers of the reduction at a time lie in one of STAGES
// stages of shared memory, which cp.async fills while the warps multiply the stage that came before: one barrier a step.
// Tiles lie there as in memory, with numbers between the rows that put a fragment's 32 numbers into different banks: along
// the reduction rows are DEPTH + 4 apart (banks 20 g + t of lane 4 g + t), across it SIZE + 8 (banks 8 t + g).
//
// Arithmetic of the critic's second layer at batch 64 and width 32 (see conv2d.cu): 0.42 GFLOP take 3 us at 150 TFLOP/s, as
// long as its 3.3 MB at 1 TB/s. In each 8 of the reduction a warp of 32 x 32 reads 16 numbers a lane from shared memory for
// 8 products of 16 x 8 x 8.

constexpr int STAGES = 3;

// One operand's tile of a step in shared memory.
template <bool ALONG_K, int SIZE, int THREADS> struct Shared {
    static constexpr int STRIDE = ALONG_K ? DEPTH + 4 : SIZE + 8, LEN = STRIDE * (ALONG_K ? SIZE : DEPTH);

    static __device__ __forceinline__ int index(int row, int k) { return ALONG_K ? row * STRIDE + k : k * STRIDE + row; }

    // Asks for the tile. place(i, row, k) says where its numbers lie.
    template <class Place>
    static __device__ __forceinline__ void copy(float* to, const float* x, bool aligned, Place place) {
        for_each_four<ALONG_K, SIZE, THREADS>([&](int i, int row, int k) {
            if (aligned) {
                copy_async<16>(to + index(row, k), x, place(i, row, k));
            } else {
                // Unrolled, it would take registers that the other case needs.
#pragma unroll 1
                for (int j = 0; j < 4; ++j) {
                    const int r = ALONG_K ? row : row + j, l = ALONG_K ? k + j : k;
                    copy_async<4>(to + index(r, l), x, place(i, r, l));
                }
            }
        });
    }
};

// sums += a b for a step: each warp WM x WN of its numbers, in fragments of 16 x 8.
template <class A, class B, int WM, int WN>
__device__ __forceinline__ void
multiply(const float* a, const float* b, int row, int column, float (&sums)[WM / 16][WN / 8][4]) {
    const int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < DEPTH; k += 8) {
        unsigned left[WM / 16][4], right[WN / 8][2];
#pragma unroll
        for (int i = 0; i < WM / 16; ++i) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                left[i][e] = tf32(a[A::index(row + 16 * i + group + e % 2 * 8, k + member + e / 2 * 4)]);
            }
        }
#pragma unroll
        for (int j = 0; j < WN / 8; ++j) {
#pragma unroll
            for (int e = 0; e < 2; ++e) right[j][e] = tf32(b[B::index(column + 8 * j + group, k + member + e * 4)]);
        }
#pragma unroll
        for (int i = 0; i < WM / 16; ++i) {
#pragma unroll
            for (int j = 0; j < WN / 8; ++j) multiply_add_tf32(sums[i][j], left[i], right[j]);
        }
    }
}

// A tile of a product. Blocks: (rows, columns, the rest).
template <int BM, int BN, int WM, int WN, class P, int LEN_A, int LEN_B>
__device__ __forceinline__ void tile(P p, float (&a)[STAGES][LEN_A], float (&b)[STAGES][LEN_B]) {
    constexpr int THREADS = BM / WM * (BN / WN) * 32;
    using A = Shared<P::A_ALONG_K, BM, THREADS>;
    using B = Shared<P::B_ALONG_K, BN, THREADS>;
    static_assert(A::LEN == LEN_A && B::LEN == LEN_B, "a stage holds a tile");
    const int first_row = blockIdx.x * BM, first_column = blockIdx.y * BN;
    // Other classes of pixels may have more rows than this one.
    if (first_row >= p.rows()) return;
    p.begin(first_row, BM);
    for_each_four<P::A_ALONG_K, BM, THREADS>([&](int i, int row, int) { p.reads(i, first_row + row); });

    // Stages that are filled or on their way.
    int ready = 0;
    // Each step commits a group of copies, the last ones without any, so that waiting can count them.
    const auto copy = [&](int stage) {
        const bool more = p.more();
        if (more) {
            A::copy(a[stage], p.a, p.aligned_a, [&](int i, int row, int k) { return p.place_a(i, first_row + row, k); });
            B::copy(b[stage], p.b, p.aligned_b,
                    [&](int, int column, int k) { return p.place_b(first_column + column, k); });
            p.next();
            ++ready;
        }
        commit_copies();
    };

    const int warp = threadIdx.x / 32, row = warp / (BN / WN) * WM, column = warp % (BN / WN) * WN;
    float sums[WM / 16][WN / 8][4] = {};
#pragma unroll 1
    for (int stage = 0; stage < STAGES - 1; ++stage) copy(stage);
    for (int stage = 0; ready > 0; stage = (stage + 1) % STAGES) {
        wait_for_all_copies_but<STAGES - 2>();
        // All copies of the stage are there, and nobody reads any more what the step before multiplied.
        __syncthreads();
        copy((stage + STAGES - 1) % STAGES);
        multiply<A, B, WM, WN>(a[stage], b[stage], row, column, sums);
        --ready;
    }

    const int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
#pragma unroll
    for (int j = 0; j < WN / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            const int to = p.column_start(first_column + column + 8 * j + 2 * member + e);
#pragma unroll
            for (int i = 0; i < WM / 8; ++i) {
                const int from = p.row_start(first_row + row + 8 * i + group);
                if (from >= 0 && to >= 0) p.out[from + to] = p.finished(to, sums[i / 2][j][i % 2 * 2 + e]);
            }
        }
    }
}

// The kernels of a correlation are given the source, the weights, the bias (or null), the result, the sizes, the number of
// parts, the length of one and the slope of the rectifier. Blocks: (rows, columns, class of pixels and part).

extern "C" __global__ void __launch_bounds__(256)
conv2d_128x64_tf32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                   float slope) {
    __shared__ __align__(16) float a[STAGES][128 * (DEPTH + 4)], b[STAGES][64 * (DEPTH + 4)];
    tile<128, 64, 32, 32>(Correlated<true, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(128)
conv2d_64x64_tf32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                  float slope) {
    __shared__ __align__(16) float a[STAGES][64 * (DEPTH + 4)], b[STAGES][64 * (DEPTH + 4)];
    tile<64, 64, 32, 32>(Correlated<true, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_32x32_tf32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                  float slope) {
    __shared__ __align__(16) float a[STAGES][32 * (DEPTH + 4)], b[STAGES][32 * (DEPTH + 4)];
    tile<32, 32, 16, 32>(Correlated<true, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad_128x64_tf32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts,
                              int len, float slope) {
    __shared__ __align__(16) float a[STAGES][128 * (DEPTH + 4)], b[STAGES][DEPTH * (64 + 8)];
    tile<128, 64, 32, 32>(Correlated<false, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(128)
conv2d_input_grad_64x64_tf32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts,
                             int len, float slope) {
    __shared__ __align__(16) float a[STAGES][64 * (DEPTH + 4)], b[STAGES][DEPTH * (64 + 8)];
    tile<64, 64, 32, 32>(Correlated<false, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_input_grad_32x32_tf32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts,
                             int len, float slope) {
    __shared__ __align__(16) float a[STAGES][32 * (DEPTH + 4)], b[STAGES][DEPTH * (32 + 8)];
    tile<32, 32, 16, 32>(Correlated<false, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

// The gradient's part in each part of the rows; parts[part][tap][co][ci]. Blocks: (output channels, columns, part).

extern "C" __global__ void __launch_bounds__(256)
conv2d_weight_grad_128x64_tf32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[STAGES][DEPTH * (128 + 8)], b[STAGES][DEPTH * (64 + 8)];
    tile<128, 64, 32, 32>(WeightGradient(g, x, dy, parts, count), a, b);
}

extern "C" __global__ void __launch_bounds__(128)
conv2d_weight_grad_64x64_tf32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[STAGES][DEPTH * (64 + 8)], b[STAGES][DEPTH * (64 + 8)];
    tile<64, 64, 32, 32>(WeightGradient(g, x, dy, parts, count), a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_weight_grad_32x32_tf32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[STAGES][DEPTH * (32 + 8)], b[STAGES][DEPTH * (32 + 8)];
    tile<32, 32, 16, 32>(WeightGradient(g, x, dy, parts, count), a, b);
}
