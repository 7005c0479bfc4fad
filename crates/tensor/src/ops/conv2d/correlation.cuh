// What the three maps of a convolution multiply, for whatever computes tiles of it: conv2d.cu in exact f32, conv2d_tf32.cu
// on tensor cores.
//
// Images lie as x[h][w][n][ci] and y[oh][ow][n][co], weights as w[kh][kw][co][ci], so at a pixel and a tap the convolution
// is a product of contiguous matrices. `conv2d` and `conv2d_input_grad` are both *correlations*: each row of the result (a
// pixel of an image) sums, tap by tap, a row of the source times the tap's matrix. With strides the input gradient falls
// into classes of pixels, one for each remainder of the position, and each class is a dense correlation of its own with
// the taps that reach it: every result is gathered, none is added to twice. `conv2d_weight_grad` is one product of
// matrices whose reduction runs over all pixels and images.
//
// Each is a product of a matrix a, rows x reduction, with a matrix b, reduction x columns, whose reduction is done in steps
// of DEPTH. `Correlated` and `WeightGradient` are these products. They say
//
//     A_ALONG_K, B_ALONG_K   whether neighbours in memory are neighbours in the reduction, else in rows or columns
//     aligned_a, aligned_b   whether four neighbours are there or not there together, and aligned
//     rows()                 how many rows there are
//     begin(first, count)    that the tile is these rows of them, the first of which is there
//     more(), next()         whether a step is left, and going on to the next one
//     place_a(i, row, k)     where number k of the step lies in a, or -1 where that is zero; the row is the i-th that the
//                            thread was told of by reads(i, row)
//     place_b(column, k)     the same of b
//     row_start(row)         where the row's results begin, or -1 beyond the last row; column_start(column) is added to it
//     finished(column, sum)  what is written there

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
    return {{g.oh, 0, 1, g.h, g.stride_y, -g.padding_y, g.dilation_y, g.kh, 0, 1},
            {g.ow, 0, 1, g.w, g.stride_x, -g.padding_x, g.dilation_x, g.kw, 0, 1},
            g.n, g.ci, g.co, g.ow, g.kw};
}

// Pixels of the input whose position leaves the remainder `first`, and the taps that reach them: those that leave the same
// remainder as the padded position does, when they are multiplied by the dilation. They are `every` taps apart.
__device__ __forceinline__ Axis
class_of(int first, int size, int source, int stride, int padding, int dilation, int taps) {
    int every = 1, tap = 0;
    while (every * dilation % stride != 0) ++every;
    while (tap < every && (first + padding - tap * dilation) % stride != 0) ++tap;
    const bool reached = tap < every && tap < taps;
    return {first < size ? (size - first + stride - 1) / stride : 0, first, stride,
            source, 1, reached ? (first + padding - tap * dilation) / stride : 0, -(every * dilation / stride),
            reached ? (taps - tap + every - 1) / every : 0, tap, every};
}

__device__ __forceinline__ Correlation input_correlation(const Geometry& g, int number) {
    return {class_of(number / g.stride_x, g.h, g.oh, g.stride_y, g.padding_y, g.dilation_y, g.kh),
            class_of(number % g.stride_x, g.w, g.ow, g.stride_x, g.padding_x, g.dilation_x, g.kw),
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

constexpr int DEPTH = 16;

// Calls each(i, row, k) for the groups of four neighbours of a tile of SIZE rows (or columns) and DEPTH numbers that this
// thread of a block reads; i counts them.
template <bool ALONG_K, int SIZE, int THREADS, class Each> __device__ __forceinline__ void for_each_four(Each each) {
#pragma unroll
    for (int i = 0; i < SIZE * DEPTH / 4 / THREADS; ++i) {
        const int number = threadIdx.x + i * THREADS;
        if (ALONG_K) {
            each(i, number / (DEPTH / 4), number % (DEPTH / 4) * 4);
        } else {
            each(i, number % (SIZE / 4) * 4, number / (SIZE / 4));
        }
    }
}

// The convolution (FORWARD) or a class of its input gradient, or one of several parts of its taps. A step is some channels
// of a tap. A thread reads of ROWS rows.
template <bool FORWARD, int ROWS> struct Correlated {
    static constexpr bool A_ALONG_K = true, B_ALONG_K = FORWARD;
    const Correlation c;
    const float *a, *b, *bias;
    float* out;
    const float slope;
    const bool aligned_a, aligned_b;
    // The rows that this thread reads.
    Row sources[ROWS];
    bool exists[ROWS];
    // The pixel of all rows of the tile, where there is just one: then taps in the padding are skipped.
    Row pixel;
    bool one_pixel;
    // The step: a tap and the first of its input channels.
    int left, tap_y, tap_x, channel;

    // Block z of the grid computes a part of the convolution, or of a class of its input gradient.
    __device__ __forceinline__ Correlated(const Geometry& g, const float* x, const float* w, const float* bias, float* y,
                                          float slope, int parts, int len)
        : c(FORWARD ? correlation(g) : input_correlation(g, blockIdx.z / parts)), a(x), b(w), bias(bias), slope(slope),
          aligned_a(c.inputs % 4 == 0), aligned_b((FORWARD ? c.inputs : c.outputs) % 4 == 0),
          left(c.y.taps * c.x.taps), tap_y(0), tap_x(0), channel(0) {
        const int part = FORWARD ? blockIdx.z : blockIdx.z % parts;
        out = y + part * len;
        const int skipped = left * part / parts;
        left = left * (part + 1) / parts - skipped;
        if (left > 0) {
            tap_y = skipped / c.x.taps;
            tap_x = skipped % c.x.taps;
        }
    }

    __device__ __forceinline__ int rows() const { return c.y.size * c.x.size * c.images; }

    __device__ __forceinline__ void begin(int first, int count) {
        const int last = min(first + count, rows()) - 1;
        pixel = row_of(c, first);
        one_pixel = first / c.images == last / c.images;
        skip_padding();
    }

    __device__ __forceinline__ void reads(int i, int row) {
        sources[i] = row_of(c, row);
        exists[i] = row < rows();
    }

    __device__ __forceinline__ void next_tap() {
        --left;
        if (++tap_x == c.x.taps) {
            tap_x = 0;
            ++tap_y;
        }
    }

    __device__ __forceinline__ void skip_padding() {
        while (one_pixel && left > 0 && source_start(c, pixel, tap_y, tap_x) < 0) next_tap();
    }

    __device__ __forceinline__ bool more() const { return left > 0; }

    __device__ __forceinline__ void next() {
        channel += DEPTH;
        if (channel >= c.inputs) {
            channel = 0;
            next_tap();
            skip_padding();
        }
    }

    __device__ __forceinline__ int place_a(int i, int, int k) const {
        const int start = exists[i] ? source_start(c, sources[i], tap_y, tap_x) : -1;
        return start >= 0 && channel + k < c.inputs ? start + channel + k : -1;
    }

    __device__ __forceinline__ int place_b(int column, int k) const {
        const bool inside = column < c.outputs && channel + k < c.inputs;
        return inside ? weight_index<FORWARD>(c, tap_number(c, tap_y, tap_x), channel + k, column) : -1;
    }

    __device__ __forceinline__ int row_start(int row) const { return row < rows() ? output_start(c, row_of(c, row)) : -1; }

    __device__ __forceinline__ int column_start(int column) const { return column < c.outputs ? column : -1; }

    __device__ __forceinline__ float finished(int column, float sum) const {
        return rectified(bias ? sum + bias[column] : sum, slope);
    }
};

// The sum over up to `count` rows (output pixel, image) of dy^T x, as w[tap][co][ci]. Rows of the product are output
// channels, its columns are (tap, input channel), and a step is some rows of dy and x.
struct WeightGradient {
    static constexpr bool A_ALONG_K = false, B_ALONG_K = false;
    const Geometry g;
    const float *a, *b;
    float* out;
    const int columns, last;
    const bool aligned_a, aligned_b;
    int first;

    __device__ __forceinline__ WeightGradient(const Geometry& g, const float* x, const float* dy, float* parts, int count)
        : g(g), a(dy), b(x), out(parts + blockIdx.z * g.kh * g.kw * g.ci * g.co), columns(g.kh * g.kw * g.ci),
          last(min((int)(blockIdx.z + 1) * count, g.oh * g.ow * g.n)), aligned_a(g.co % 4 == 0), aligned_b(g.ci % 4 == 0),
          first(blockIdx.z * count) {}

    __device__ __forceinline__ int rows() const { return g.co; }

    __device__ __forceinline__ void begin(int, int) {}

    __device__ __forceinline__ void reads(int, int) {}

    __device__ __forceinline__ bool more() const { return first < last; }

    __device__ __forceinline__ void next() { first += DEPTH; }

    __device__ __forceinline__ int place_a(int, int row, int k) const {
        return first + k < last && row < g.co ? (first + k) * g.co + row : -1;
    }

    __device__ __forceinline__ int place_b(int column, int k) const {
        const int row = first + k;
        if (row >= last || column >= columns) return -1;
        const int pixel = row / g.n, tap = column / g.ci;
        const int y = pixel / g.ow * g.stride_y - g.padding_y + tap / g.kw * g.dilation_y;
        const int x = pixel % g.ow * g.stride_x - g.padding_x + tap % g.kw * g.dilation_x;
        const bool inside = y >= 0 && y < g.h && x >= 0 && x < g.w;
        return inside ? ((y * g.w + x) * g.n + row % g.n) * g.ci + column % g.ci : -1;
    }

    __device__ __forceinline__ int row_start(int row) const { return row < g.co ? row * g.ci : -1; }

    __device__ __forceinline__ int column_start(int column) const {
        return column < columns ? column / g.ci * g.co * g.ci + column % g.ci : -1;
    }

    __device__ __forceinline__ float finished(int, float sum) const { return sum; }
};
