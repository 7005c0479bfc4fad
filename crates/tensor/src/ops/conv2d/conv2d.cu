// The three maps of a convolution in exact f32.
//
// Images lie as x[h][w][n][ci] and y[oh][ow][n][co], weights as w[kh][kw][co][ci], so at a pixel and a tap the convolution
// is a product of contiguous matrices. `conv2d` and `conv2d_input_grad` are both *correlations*: each row of the result (a
// pixel of an image) sums, tap by tap, a row of the source times the tap's matrix. With strides the input gradient falls
// into classes of pixels, one for each remainder of the position, and each class is a dense correlation of its own with
// the taps that reach it: every result is gathered, none is added to twice. `conv2d_weight_grad` is one product of
// matrices whose reduction runs over all pixels and images.
//
//   tiles     a block computes BM rows x BN channels; 16 input channels at a time of source and weights go through shared
//             memory, the next ones being on their way in registers. Where a tile's rows lie in one pixel, taps in the
//             padding are skipped.
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

// How one axis of the result, the source and the kernel belong together.
struct Axis {
    // Pixels of the result; the i-th stands at first + next * i.
    int size, first, next;
    // Pixels of the source; the i-th result reads, through the j-th tap, number scale * i + base + step * j.
    int source, scale, base, step;
    // The taps; the j-th is number tap_first + tap_next * j of the kernel.
    int taps, tap_first, tap_next;
};

struct Correlation {
    Axis y, x;
    // Images, channels of the source and of the result, and the widths of the result's images and of the kernel.
    int images, inputs, outputs, out_width, kernel_width;
};

__device__ __forceinline__ Correlation correlation(const Geometry& g) {
    return {{g.oh, 0, 1, g.h, g.stride_y, -g.padding_y, 1, g.kh, 0, 1},
            {g.ow, 0, 1, g.w, g.stride_x, -g.padding_x, 1, g.kw, 0, 1},
            g.n, g.ci, g.co, g.ow, g.kw};
}

// Pixels of the input whose position leaves the remainder `first`, and the taps that reach them.
__device__ __forceinline__ Axis class_of(int first, int size, int source, int stride, int padding, int taps) {
    const int tap = (first + padding) % stride;
    return {first < size ? (size - first + stride - 1) / stride : 0, first, stride,
            source, 1, (first + padding - tap) / stride, -1,
            tap < taps ? (taps - tap + stride - 1) / stride : 0, tap, stride};
}

__device__ __forceinline__ Correlation input_correlation(const Geometry& g, int number) {
    return {class_of(number / g.stride_x, g.h, g.oh, g.stride_y, g.padding_y, g.kh),
            class_of(number % g.stride_x, g.w, g.ow, g.stride_x, g.padding_x, g.kw),
            g.n, g.co, g.ci, g.w, g.kw};
}

// A row of the result: a pixel of an image.
struct Row {
    int y, x, image;
};

__device__ __forceinline__ Row row_of(const Correlation& c, int number) {
    const int pixel = number / c.images;
    return {pixel / c.x.size, pixel % c.x.size, number % c.images};
}

// Where the result's row begins.
__device__ __forceinline__ int output_start(const Correlation& c, const Row& row) {
    const int y = c.y.first + c.y.next * row.y, x = c.x.first + c.x.next * row.x;
    return ((y * c.out_width + x) * c.images + row.image) * c.outputs;
}

// Where the source's row begins that a tap reads, or -1 in the padding.
__device__ __forceinline__ int source_start(const Correlation& c, const Row& row, int tap_y, int tap_x) {
    const int y = c.y.scale * row.y + c.y.base + c.y.step * tap_y, x = c.x.scale * row.x + c.x.base + c.x.step * tap_x;
    const bool inside = y >= 0 && y < c.y.source && x >= 0 && x < c.x.source;
    return inside ? ((y * c.x.source + x) * c.images + row.image) * c.inputs : -1;
}

// The number of a tap in the kernel.
__device__ __forceinline__ int tap_number(const Correlation& c, int tap_y, int tap_x) {
    return (c.y.tap_first + c.y.tap_next * tap_y) * c.kernel_width + c.x.tap_first + c.x.tap_next * tap_x;
}

// Where the weight of a tap lies for an input and an output channel: the convolution reads the kernel as it is stored,
// [co][ci], and its input gradient the transpose.
template <bool FORWARD> __device__ __forceinline__ int weight_index(const Correlation& c, int tap, int input, int output) {
    return FORWARD ? (tap * c.outputs + output) * c.inputs + input : (tap * c.inputs + input) * c.outputs + output;
}

// Four neighbouring numbers, zero where `left` says that there are fewer. `aligned` is the same for all threads.
__device__ __forceinline__ float4 load4(const float* __restrict__ x, int left, bool aligned) {
    if (left >= 4 && aligned) return *(const float4*)x;
    return make_float4(left > 0 ? x[0] : 0.0f, left > 1 ? x[1] : 0.0f, left > 2 ? x[2] : 0.0f, left > 3 ? x[3] : 0.0f);
}

constexpr int DEPTH = 16;
// Four more columns than a tile has keep lanes that write a column in different banks.
constexpr int PAD = 4;

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

// A tile of one part of a correlation. Blocks: (rows, channels, class of pixels and part).
template <int BM, int BN, int TM, int TN, bool FORWARD>
__device__ __forceinline__ void
correlate(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
          float* __restrict__ y, const Correlation& c, int part, int parts, int len, float slope,
          float (&a)[2][DEPTH][BM + PAD], float (&b)[2][DEPTH][BN + PAD]) {
    constexpr int THREADS = BM / TM * (BN / TN), A = BM * DEPTH / 4 / THREADS, B = BN * DEPTH / 4 / THREADS;
    const int first = blockIdx.x * BM, rows = c.y.size * c.x.size * c.images, column = blockIdx.y * BN;
    if (first >= rows) return;
    const bool aligned = c.inputs % 4 == 0, aligned_out = c.outputs % 4 == 0;

    // The rows that this thread reads, and the pixel of all rows where there is just one.
    Row sources[A];
    bool exists[A];
#pragma unroll
    for (int i = 0; i < A; ++i) {
        const int row = first + (threadIdx.x + i * THREADS) / 4;
        sources[i] = row_of(c, row);
        exists[i] = row < rows;
    }
    const Row pixel = row_of(c, first);
    const bool one_pixel = first / c.images == (min(first + BM, rows) - 1) / c.images;

    // The next numbers to read: a tap and the first of its input channels.
    int left = c.y.taps * c.x.taps, tap_y = 0, tap_x = 0, channel = 0;
    const int skipped = left * part / parts;
    left = left * (part + 1) / parts - skipped;
    if (left > 0) {
        tap_y = skipped / c.x.taps;
        tap_x = skipped % c.x.taps;
    }
    const auto next_tap = [&] {
        --left;
        if (++tap_x == c.x.taps) {
            tap_x = 0;
            ++tap_y;
        }
    };
    const auto skip_padding = [&] {
        while (one_pixel && left > 0 && source_start(c, pixel, tap_y, tap_x) < 0) next_tap();
    };

    float4 next_a[A], next_b[B];
    const auto fetch = [&] {
        const int tap = tap_number(c, tap_y, tap_x);
#pragma unroll
        for (int i = 0; i < A; ++i) {
            const int k = channel + (threadIdx.x + i * THREADS) % 4 * 4;
            const int start = exists[i] ? source_start(c, sources[i], tap_y, tap_x) : -1;
            next_a[i] = load4(x + start + k, start < 0 ? 0 : c.inputs - k, aligned);
        }
#pragma unroll
        for (int i = 0; i < B; ++i) {
            const int place = threadIdx.x + i * THREADS;
            if (FORWARD) {
                const int output = column + place / 4, k = channel + place % 4 * 4;
                next_b[i] = load4(w + weight_index<FORWARD>(c, tap, k, output),
                                  output < c.outputs ? c.inputs - k : 0, aligned);
            } else {
                const int output = column + place % (BN / 4) * 4, k = channel + place / (BN / 4);
                next_b[i] = load4(w + weight_index<FORWARD>(c, tap, k, output),
                                  k < c.inputs ? c.outputs - output : 0, aligned_out);
            }
        }
    };
    const auto store = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < A; ++i) {
            const int row = (threadIdx.x + i * THREADS) / 4, k = (threadIdx.x + i * THREADS) % 4 * 4;
            a[buffer][k][row] = next_a[i].x;
            a[buffer][k + 1][row] = next_a[i].y;
            a[buffer][k + 2][row] = next_a[i].z;
            a[buffer][k + 3][row] = next_a[i].w;
        }
#pragma unroll
        for (int i = 0; i < B; ++i) {
            const int place = threadIdx.x + i * THREADS;
            if (FORWARD) {
                const int output = place / 4, k = place % 4 * 4;
                b[buffer][k][output] = next_b[i].x;
                b[buffer][k + 1][output] = next_b[i].y;
                b[buffer][k + 2][output] = next_b[i].z;
                b[buffer][k + 3][output] = next_b[i].w;
            } else {
                *(float4*)&b[buffer][place / (BN / 4)][place % (BN / 4) * 4] = next_b[i];
            }
        }
    };

    float sums[TM][TN] = {};
    skip_padding();
    bool more = left > 0;
    if (more) {
        fetch();
        store(0);
    }
    __syncthreads();
    for (int buffer = 0; more; buffer ^= 1) {
        channel += DEPTH;
        if (channel >= c.inputs) {
            channel = 0;
            next_tap();
            skip_padding();
        }
        more = left > 0;
        if (more) fetch();
        multiply<BM, BN, TM, TN>(a[buffer], b[buffer], sums);
        if (more) store(buffer ^ 1);
        __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < TM; ++i) {
        const int row = first + threadIdx.x / (BN / TN) * TM + i;
        if (row >= rows) break;
        float* out = y + part * len + output_start(c, row_of(c, row));
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            const int output = column + threadIdx.x % (BN / TN) * TN + j;
            if (output < c.outputs) out[output] = rectified(bias ? sums[i][j] + bias[output] : sums[i][j], slope);
        }
    }
}

// The kernels of a correlation are given the source, the weights, the bias (or null), the result, the sizes, the number of
// parts, the length of one and the slope of the rectifier.

extern "C" __global__ void __launch_bounds__(256)
conv2d_128x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                  float slope) {
    __shared__ __align__(16) float a[2][DEPTH][128 + PAD], b[2][DEPTH][64 + PAD];
    correlate<128, 64, 8, 4, true>(x, w, bias, y, correlation(g), blockIdx.z, parts, len, slope, a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_64x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                 float slope) {
    __shared__ __align__(16) float a[2][DEPTH][64 + PAD], b[2][DEPTH][64 + PAD];
    correlate<64, 64, 4, 4, true>(x, w, bias, y, correlation(g), blockIdx.z, parts, len, slope, a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_32x32_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                 float slope) {
    __shared__ __align__(16) float a[2][DEPTH][32 + PAD], b[2][DEPTH][32 + PAD];
    correlate<32, 32, 4, 4, true>(x, w, bias, y, correlation(g), blockIdx.z, parts, len, slope, a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad_128x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                             float slope) {
    __shared__ __align__(16) float a[2][DEPTH][128 + PAD], b[2][DEPTH][64 + PAD];
    const int part = blockIdx.z % parts;
    const Correlation c = input_correlation(g, blockIdx.z / parts);
    correlate<128, 64, 8, 4, false>(x, w, bias, y, c, part, parts, len, slope, a, b);
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_input_grad_64x64_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                            float slope) {
    __shared__ __align__(16) float a[2][DEPTH][64 + PAD], b[2][DEPTH][64 + PAD];
    const int part = blockIdx.z % parts;
    const Correlation c = input_correlation(g, blockIdx.z / parts);
    correlate<64, 64, 4, 4, false>(x, w, bias, y, c, part, parts, len, slope, a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_input_grad_32x32_f32(const float* x, const float* w, const float* bias, float* y, Geometry g, int parts, int len,
                            float slope) {
    __shared__ __align__(16) float a[2][DEPTH][32 + PAD], b[2][DEPTH][32 + PAD];
    const int part = blockIdx.z % parts;
    const Correlation c = input_correlation(g, blockIdx.z / parts);
    correlate<32, 32, 4, 4, false>(x, w, bias, y, c, part, parts, len, slope, a, b);
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

// parts[part][tap][co][ci] = the sum over up to `count` rows (output pixel, image) of dy^T x. Rows of a tile are output
// channels, its columns are (tap, input channel). Blocks: (channels, columns, part).
template <int BM, int BN, int TM, int TN>
__device__ __forceinline__ void
correlate_weights(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ parts, const Geometry& g,
                  int count, float (&a)[2][DEPTH][BM + PAD], float (&b)[2][DEPTH][BN + PAD]) {
    constexpr int THREADS = BM / TM * (BN / TN), A = BM * DEPTH / 4 / THREADS, B = BN * DEPTH / 4 / THREADS;
    const int first = blockIdx.x * BM, column = blockIdx.y * BN, columns = g.kh * g.kw * g.ci;
    const int last = min((int)(blockIdx.z + 1) * count, g.oh * g.ow * g.n);
    const bool aligned_a = g.co % 4 == 0, aligned_b = g.ci % 4 == 0;
    int row = blockIdx.z * count;

    // The number of x that a row multiplies in a column, or -1 in the padding and beyond the last row and column.
    const auto source = [&](int row, int column) {
        if (row >= last || column >= columns) return -1;
        const int pixel = row / g.n, tap = column / g.ci;
        const int y = pixel / g.ow * g.stride_y - g.padding_y + tap / g.kw;
        const int x = pixel % g.ow * g.stride_x - g.padding_x + tap % g.kw;
        const bool inside = y >= 0 && y < g.h && x >= 0 && x < g.w;
        return inside ? ((y * g.w + x) * g.n + row % g.n) * g.ci + column % g.ci : -1;
    };
    const auto number = [&](int row, int column) {
        const int place = source(row, column);
        return place < 0 ? 0.0f : x[place];
    };

    float4 next_a[A], next_b[B];
    const auto fetch = [&] {
#pragma unroll
        for (int i = 0; i < A; ++i) {
            const int place = threadIdx.x + i * THREADS;
            const int k = row + place / (BM / 4), channel = first + place % (BM / 4) * 4;
            next_a[i] = load4(dy + k * g.co + channel, k < last ? g.co - channel : 0, aligned_a);
        }
#pragma unroll
        for (int i = 0; i < B; ++i) {
            const int place = threadIdx.x + i * THREADS;
            const int k = row + place / (BN / 4), c = column + place % (BN / 4) * 4;
            if (aligned_b) {
                // Four neighbours belong to one tap.
                const int start = source(k, c);
                next_b[i] = load4(x + start, start < 0 ? 0 : 4, true);
            } else {
                next_b[i] = make_float4(number(k, c), number(k, c + 1), number(k, c + 2), number(k, c + 3));
            }
        }
    };
    const auto store = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < A; ++i) {
            const int place = threadIdx.x + i * THREADS;
            *(float4*)&a[buffer][place / (BM / 4)][place % (BM / 4) * 4] = next_a[i];
        }
#pragma unroll
        for (int i = 0; i < B; ++i) {
            const int place = threadIdx.x + i * THREADS;
            *(float4*)&b[buffer][place / (BN / 4)][place % (BN / 4) * 4] = next_b[i];
        }
    };

    float sums[TM][TN] = {};
    fetch();
    store(0);
    __syncthreads();
    for (int buffer = 0; row < last; buffer ^= 1) {
        row += DEPTH;
        if (row < last) fetch();
        multiply<BM, BN, TM, TN>(a[buffer], b[buffer], sums);
        if (row < last) store(buffer ^ 1);
        __syncthreads();
    }

    float* out = parts + blockIdx.z * columns * g.co;
#pragma unroll
    for (int j = 0; j < TN; ++j) {
        const int c = column + threadIdx.x % (BN / TN) * TN + j;
        if (c >= columns) break;
#pragma unroll
        for (int i = 0; i < TM; ++i) {
            const int channel = first + threadIdx.x / (BN / TN) * TM + i;
            if (channel < g.co) out[(c / g.ci * g.co + channel) * g.ci + c % g.ci] = sums[i][j];
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
conv2d_weight_grad_64x64_f32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[2][DEPTH][64 + PAD], b[2][DEPTH][64 + PAD];
    correlate_weights<64, 64, 4, 4>(x, dy, parts, g, count, a, b);
}

extern "C" __global__ void __launch_bounds__(64)
conv2d_weight_grad_32x32_f32(const float* x, const float* dy, float* parts, Geometry g, int count) {
    __shared__ __align__(16) float a[2][DEPTH][32 + PAD], b[2][DEPTH][32 + PAD];
    correlate_weights<32, 32, 4, 4>(x, dy, parts, g, count, a, b);
}
