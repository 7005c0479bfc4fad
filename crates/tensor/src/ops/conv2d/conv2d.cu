// The three maps of a convolution in exact f32; correlation.cuh says what they multiply.
//
//   tiles     a block computes BM rows x BN columns; DEPTH numbers of the reduction at a time go through shared memory, the
//             next ones being on their way in registers.
//   short     few input channels: a thread for each number of the result.
//   narrow    few output channels: a warp for each row of the result.
//
// Where the tiles are too few for a large GPU, blocks share a reduction: the taps (or for the weight gradient the rows)
// are cut into parts, whose sums add_parts_f32 adds in order, with the bias and the rectifier.
//
// Arithmetic of the critic's second layer at batch 64 and width 32 (32 channels of 16 x 16 pixels to 64 of 8 x 8): 2 x 25 x
// 32 x 64 x 4096 = 0.42 GFLOP, of which a seventh is padding, in 2.1 + 1.0 + 0.2 MB: 130 operations a byte, so arithmetic
// decides: 10 us at 40 TFLOP/s. A 64 x 64 tile reads 32 numbers from shared memory for 64 x 16 multiplications of a
// thread's 4 x 4 in each 16 channels: two loads of four numbers for sixteen fused operations.

// Four more columns than a tile has keep lanes that write a column in different banks.
constexpr int PAD = 4;

__device__ __forceinline__ float number(const float* __restrict__ x, int place) {
    return place < 0 ? 0.0f : x[place];
}

// One operand's tile of the next step, in registers. place(i, row, k) says where its numbers lie.
template <bool ALONG_K, int SIZE, int THREADS> struct Staged {
    float4 next[SIZE * DEPTH / 4 / THREADS];

    template <class Place> __device__ __forceinline__ void fetch(const float* __restrict__ x, bool aligned, Place place) {
        for_each_four<ALONG_K, SIZE, THREADS>([&](int i, int row, int k) {
            const int at = place(i, row, k);
            if (aligned) {
                next[i] = at < 0 ? make_float4(0.0f, 0.0f, 0.0f, 0.0f) : *(const float4*)(x + at);
            } else {
                const auto other = [&](int j) { return number(x, place(i, ALONG_K ? row : row + j, ALONG_K ? k + j : k)); };
                next[i] = make_float4(number(x, at), other(1), other(2), other(3));
            }
        });
    }

    __device__ __forceinline__ void store(float (&tile)[DEPTH][SIZE + PAD]) const {
        for_each_four<ALONG_K, SIZE, THREADS>([&](int i, int row, int k) {
            if (ALONG_K) {
                tile[k][row] = next[i].x;
                tile[k + 1][row] = next[i].y;
                tile[k + 2][row] = next[i].z;
                tile[k + 3][row] = next[i].w;
            } else {
                *(float4*)&tile[k][row] = next[i];
            }
        });
    }
};

// sums += a^T b for DEPTH rows of a tile: each thread TM x TN of its numbers.
template <int BM, int BN, int TM, int TN>
__device__ __forceinline__ void
multiply(const float (&a)[DEPTH][BM + PAD], const float (&b)[DEPTH][BN + PAD], float (&sums)[TM][TN]) {
    const int row = threadIdx.x / (BN / TN) * TM, column = threadIdx.x % (BN / TN) * TN;
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
        float left[TM], right[TN];
#pragma unroll
        for (int i = 0; i < TM; i += 4) *(float4*)&left[i] = *(const float4*)&a[k][row + i];
#pragma unroll
        for (int j = 0; j < TN; j += 4) *(float4*)&right[j] = *(const float4*)&b[k][column + j];
#pragma unroll
        for (int i = 0; i < TM; ++i) {
#pragma unroll
            for (int j = 0; j < TN; ++j) sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
        }
    }
}

// A tile of a product. Blocks: (rows, columns, the rest).
template <int BM, int BN, int TM, int TN, class P>
__device__ __forceinline__ void tile(P p, float (&a)[2][DEPTH][BM + PAD], float (&b)[2][DEPTH][BN + PAD]) {
    constexpr int THREADS = BM / TM * (BN / TN);
    const int first_row = blockIdx.x * BM, first_column = blockIdx.y * BN;
    // Other classes of pixels may have more rows than this one.
    if (first_row >= p.rows()) return;
    p.begin(first_row, BM);
    for_each_four<P::A_ALONG_K, BM, THREADS>([&](int i, int row, int) { p.reads(i, first_row + row); });

    Staged<P::A_ALONG_K, BM, THREADS> next_a;
    Staged<P::B_ALONG_K, BN, THREADS> next_b;
    const auto fetch = [&] {
        next_a.fetch(p.a, p.aligned_a, [&](int i, int row, int k) { return p.place_a(i, first_row + row, k); });
        next_b.fetch(p.b, p.aligned_b, [&](int, int column, int k) { return p.place_b(first_column + column, k); });
    };
    const auto store = [&](int buffer) {
        next_a.store(a[buffer]);
        next_b.store(b[buffer]);
    };

    float sums[TM][TN] = {};
    // The first round only fetches, the last one only multiplies.
    bool filled = false;
    for (int buffer = 1;; buffer ^= 1) {
        const bool more = p.more();
        if (more) {
            fetch();
            p.next();
        }
        if (filled) multiply<BM, BN, TM, TN>(a[buffer], b[buffer], sums);
        if (!more) break;
        store(buffer ^ 1);
        filled = true;
        __syncthreads();  // before the next step is read
    }

    int columns[TN];
#pragma unroll
    for (int j = 0; j < TN; ++j) columns[j] = p.column_start(first_column + threadIdx.x % (BN / TN) * TN + j);
#pragma unroll
    for (int i = 0; i < TM; ++i) {
        const int row = p.row_start(first_row + threadIdx.x / (BN / TN) * TM + i);
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            if (row >= 0 && columns[j] >= 0) p.out[row + columns[j]] = p.finished(columns[j], sums[i][j]);
        }
    }
}

// The kernels of a correlation are given the source, the weights, the bias (or null), the result, the sizes, the number of
// parts, the length of one and the slope of the rectifier. Blocks: (rows, columns, class of pixels and part).

extern "C" __global__ void __launch_bounds__(256)
conv2d_128x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                  float slope) {
    __shared__ __align__(16) float a[2][DEPTH][128 + PAD], b[2][DEPTH][64 + PAD];
    tile<128, 64, 8, 4>(Correlated<true, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_64x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                 float slope) {
    __shared__ __align__(16) float a[2][DEPTH][64 + PAD], b[2][DEPTH][64 + PAD];
    tile<64, 64, 4, 4>(Correlated<true, 1>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_32x32_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                 float slope) {
    __shared__ __align__(16) float a[2][DEPTH][32 + PAD], b[2][DEPTH][32 + PAD];
    tile<32, 32, 4, 4>(Correlated<true, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad_128x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts,
                             int len, float slope) {
    __shared__ __align__(16) float a[2][DEPTH][128 + PAD], b[2][DEPTH][64 + PAD];
    tile<128, 64, 8, 4>(Correlated<false, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad_64x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                            float slope) {
    __shared__ __align__(16) float a[2][DEPTH][64 + PAD], b[2][DEPTH][64 + PAD];
    tile<64, 64, 4, 4>(Correlated<false, 1>(g, x, w, bias, y, slope, parts, len), a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_input_grad_32x32_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                            float slope) {
    __shared__ __align__(16) float a[2][DEPTH][32 + PAD], b[2][DEPTH][32 + PAD];
    tile<32, 32, 4, 4>(Correlated<false, 2>(g, x, w, bias, y, slope, parts, len), a, b);
}

// The gradient's part in each part of the rows; parts[part][tap][co][ci]. Blocks: (output channels, columns, part).

extern "C" __global__ void __launch_bounds__(256)
conv2d_weight_grad_128x64_f32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[2][DEPTH][128 + PAD], b[2][DEPTH][64 + PAD];
    tile<128, 64, 8, 4>(WeightGradient(g, x, dy, parts, count), a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_weight_grad_64x64_f32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[2][DEPTH][64 + PAD], b[2][DEPTH][64 + PAD];
    tile<64, 64, 4, 4>(WeightGradient(g, x, dy, parts, count), a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_weight_grad_32x32_f32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[2][DEPTH][32 + PAD], b[2][DEPTH][32 + PAD];
    tile<32, 32, 4, 4>(WeightGradient(g, x, dy, parts, count), a, b);
}

// A thread for each number of the result. Blocks: (256 numbers of a class, 1, class).
template <bool FORWARD>
__device__ __forceinline__ void
correlate_short(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                float* __restrict__ y, const Correlation& c, float slope) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= c.y.size * c.x.size * c.images * c.outputs) return;
    const Row row = row_of(c, i / c.outputs);
    const int output = i % c.outputs;
    float sum = 0.0f;
    for (int tap_y = 0; tap_y < c.y.taps; ++tap_y) {
        for (int tap_x = 0; tap_x < c.x.taps; ++tap_x) {
            const int start = source_start(c, row, tap_y, tap_x);
            if (start < 0) continue;
            const int tap = tap_number(c, tap_y, tap_x);
            for (int k = 0; k < c.inputs; ++k) {
                sum = fmaf(x[start + k], w[weight_index<FORWARD>(c, tap, k, output)], sum);
            }
        }
    }
    y[output_start(c, row) + output] = rectified(bias ? sum + bias[output] : sum, slope);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_short_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, float slope) {
    correlate_short<true>(x, w, bias, y, correlation(g), slope);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad_short_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, float slope) {
    correlate_short<false>(x, w, bias, y, input_correlation(g, blockIdx.z), slope);
}

// As many output channels as a narrow correlation has.
constexpr int NARROW = 4;

// A warp for each row of the result. Blocks: (8 rows of a class, 1, class).
template <bool FORWARD>
__device__ __forceinline__ void
correlate_narrow(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                 float* __restrict__ y, const Correlation& c, float slope) {
    const int number = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (number >= c.y.size * c.x.size * c.images) return;
    const Row row = row_of(c, number);
    float sums[NARROW] = {};
    for (int tap_y = 0; tap_y < c.y.taps; ++tap_y) {
        for (int tap_x = 0; tap_x < c.x.taps; ++tap_x) {
            const int start = source_start(c, row, tap_y, tap_x);
            if (start < 0) continue;
            const int tap = tap_number(c, tap_y, tap_x);
            for (int k = lane; k < c.inputs; k += 32) {
                const float source = x[start + k];
#pragma unroll
                for (int output = 0; output < NARROW; ++output) {
                    if (output < c.outputs) {
                        sums[output] = fmaf(source, w[weight_index<FORWARD>(c, tap, k, output)], sums[output]);
                    }
                }
            }
        }
    }
    float* out = y + output_start(c, row);
#pragma unroll
    for (int output = 0; output < NARROW; ++output) {
        const float sum = warp_sum(sums[output]);
        if (lane == 0 && output < c.outputs) out[output] = rectified(bias ? sum + bias[output] : sum, slope);
    }
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_narrow_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, float slope) {
    correlate_narrow<true>(x, w, bias, y, correlation(g), slope);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad_narrow_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, float slope) {
    correlate_narrow<false>(x, w, bias, y, input_correlation(g, blockIdx.z), slope);
}
