// Conditional batch norm, and layer norm, with the rectifier that follows; see mod.rs for the formulas. Layer norm is
// batch norm with a group for each image whose channels share their statistics.
//
// A table has rows of c numbers, each for a block of neighbouring images: `groups` rows of statistics, and `rows` of
// scales and shifts, a multiple of them. Statistics are made of parts: each has the mean of its numbers and the sum of
// their squared distances from it, and joining them in order loses no digits to cancellation.
//
// Arithmetic of n numbers: 4n bytes read for the statistics (the second look at a part finds it in the cache), 8n forward,
// 12n and 16n backward, and a dozen operations a number: memory decides. 64 x 32 x 16 x 16 numbers are 2 MiB; forward and
// backward take about 10 us at 2 TB/s.

// The rows of c numbers that share a row of a table, in order.
struct Rows {
    int images, first_image, channels;

    __device__ __forceinline__ Rows(Shape shape, int table_rows, int row)
        : images(shape.n / table_rows), first_image(row * images), channels(shape.c) {}

    // Where the i-th of them begins.
    __device__ __forceinline__ int start(int i, Shape shape) const {
        return (i / images * shape.n + first_image + i % images) * channels;
    }
};

// parts[part][0 or 1][group][c]: the mean of up to `count` rows of the group, and the sum of their squared distances from
// it. Blocks: (32 channels of a group, part); threads: 32 x 8.
extern "C" __global__ void __launch_bounds__(256)
batch_norm_statistics_f32(const float* __restrict__ x, float* __restrict__ parts, Shape shape, int groups, int count) {
    __shared__ float sums[8][32], means[32];
    const int tiles = (shape.c + 31) / 32, group = blockIdx.x / tiles;
    const int c = blockIdx.x % tiles * 32 + threadIdx.x;
    const Rows rows(shape, groups, group);
    const int first = blockIdx.y * count, last = min(first + count, shape.h * shape.w * rows.images);
    float sum = 0.0f;
    if (c < shape.c) {
        for (int i = first + threadIdx.y; i < last; i += 8) sum += x[rows.start(i, shape) + c];
    }
    sum = column_sum(sum, sums);
    if (threadIdx.y == 0) means[threadIdx.x] = sum / (last - first);
    __syncthreads();
    const float mean = means[threadIdx.x];
    float squares = 0.0f;
    if (c < shape.c) {
        for (int i = first + threadIdx.y; i < last; i += 8) {
            const float distance = x[rows.start(i, shape) + c] - mean;
            squares += distance * distance;
        }
    }
    squares = column_sum(squares, sums);
    if (threadIdx.y == 0 && c < shape.c) {
        const int len = groups * shape.c;
        float* part = parts + blockIdx.y * 2 * len + group * shape.c + c;
        part[0] = mean;
        part[len] = squares;
    }
}

// Joins the parts of each entry, the last of them with what is left of `all` rows: mean and 1 / deviation.
extern "C" __global__ void __launch_bounds__(256)
batch_norm_join_f32(const float* __restrict__ parts, float* __restrict__ mean, float* __restrict__ inverse, int groups,
                    int channels, int all, int count, float epsilon) {
    const int i = blockIdx.x * 256 + threadIdx.x, len = groups * channels;
    if (i >= len) return;
    float sum = 0.0f;
    for (int part = 0; part * count < all; ++part) {
        sum += parts[part * 2 * len + i] * min(count, all - part * count);
    }
    const float total = sum / all;
    float squares = 0.0f;
    for (int part = 0; part * count < all; ++part) {
        const float distance = parts[part * 2 * len + i] - total;
        squares += parts[part * 2 * len + len + i] + distance * distance * min(count, all - part * count);
    }
    mean[i] = total;
    inverse[i] = 1.0f / sqrtf(squares / all + epsilon);
}

// As batch_norm_join_f32, of all channels of a group together, whose entries repeat the result. A block for each group.
extern "C" __global__ void __launch_bounds__(256)
layer_norm_join_f32(const float* __restrict__ parts, float* __restrict__ mean, float* __restrict__ inverse, int groups,
                    int channels, int all, int count, float epsilon) {
    __shared__ float warps[8], result[2];
    const int len = groups * channels, first = blockIdx.x * channels, entries = (all + count - 1) / count * channels;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < entries; i += 256) {
        const int part = i / channels;
        sum += parts[part * 2 * len + first + i % channels] * min(count, all - part * count);
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) result[0] = sum / (all * channels);
    __syncthreads();
    const float total = result[0];
    float squares = 0.0f;
    for (int i = threadIdx.x; i < entries; i += 256) {
        const int part = i / channels;
        const float* entry = parts + part * 2 * len + first + i % channels;
        const float distance = entry[0] - total;
        squares += entry[len] + distance * distance * min(count, all - part * count);
    }
    squares = block_sum(squares, warps);
    if (threadIdx.x == 0) result[1] = 1.0f / sqrtf(squares / (all * channels) + epsilon);
    __syncthreads();
    for (int c = threadIdx.x; c < channels; c += 256) {
        mean[first + c] = total;
        inverse[first + c] = result[1];
    }
}

extern "C" __global__ void __launch_bounds__(256)
batch_norm_f32(const float* __restrict__ x, const float* __restrict__ scale, const float* __restrict__ shift,
               const float* __restrict__ mean, const float* __restrict__ inverse, float* __restrict__ y, Shape shape,
               int groups, int rows, int len, float slope) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const int c = i % shape.c, n = i / shape.c % shape.n;
    const int row = n / (shape.n / rows) * shape.c + c, group = n / (shape.n / groups) * shape.c + c;
    y[i] = rectified((x[i] - mean[group]) * inverse[group] * scale[row] + shift[row], slope);
}

// parts[part][0 or 1][row][c]: the sums of g x^ and of g over up to `count` rows that share a row of the tables, g being
// the gradient before the rectifier. Blocks: (32 channels of a row, part); threads: 32 x 8.
extern "C" __global__ void __launch_bounds__(256)
batch_norm_sums_f32(const float* __restrict__ upstream, const float* __restrict__ y, const float* __restrict__ x,
                    const float* __restrict__ mean, const float* __restrict__ inverse, float* __restrict__ parts,
                    Shape shape, int groups, int table_rows, int count, float slope) {
    __shared__ float sums[8][32];
    const int tiles = (shape.c + 31) / 32, row = blockIdx.x / tiles;
    const int c = blockIdx.x % tiles * 32 + threadIdx.x;
    const Rows rows(shape, table_rows, row);
    const int first = blockIdx.y * count, last = min(first + count, shape.h * shape.w * rows.images);
    float to_scale = 0.0f, to_shift = 0.0f;
    if (c < shape.c) {
        const int group = row / (table_rows / groups) * shape.c + c;
        const float centre = mean[group], stretch = inverse[group];
        for (int i = first + threadIdx.y; i < last; i += 8) {
            const int at = rows.start(i, shape) + c;
            const float g = gated(upstream[at], y[at], slope);
            to_scale += g * ((x[at] - centre) * stretch);
            to_shift += g;
        }
    }
    to_scale = column_sum(to_scale, sums);
    __syncthreads();
    to_shift = column_sum(to_shift, sums);
    if (threadIdx.y == 0 && c < shape.c) {
        const int len = table_rows * shape.c;
        float* part = parts + blockIdx.y * 2 * len + row * shape.c + c;
        part[0] = to_scale;
        part[len] = to_shift;
    }
}

// The gradients of the tables from `count` parts, and the means over each group of g scale x^ and of g scale, of which
// the gradient of x is made. A thread for each entry of a group.
extern "C" __global__ void __launch_bounds__(256)
batch_norm_tables_f32(const float* __restrict__ parts, const float* __restrict__ scale, float* __restrict__ to_scale,
                      float* __restrict__ to_shift, float* __restrict__ mean_gx, float* __restrict__ mean_g, int channels,
                      int groups, int table_rows, int count, int members) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= groups * channels) return;
    const int c = i % channels, group = i / channels, rows = table_rows / groups, len = table_rows * channels;
    float gx = 0.0f, g = 0.0f;
    for (int row = group * rows; row < (group + 1) * rows; ++row) {
        const int entry = row * channels + c;
        float scale_sum = 0.0f, shift_sum = 0.0f;
        for (int part = 0; part < count; ++part) {
            scale_sum += parts[part * 2 * len + entry];
            shift_sum += parts[part * 2 * len + len + entry];
        }
        to_scale[entry] = scale_sum;
        to_shift[entry] = shift_sum;
        gx += scale_sum * scale[entry] / members;
        g += shift_sum * scale[entry] / members;
    }
    mean_gx[i] = gx;
    mean_g[i] = g;
}

// Each group's channels all become their sum, in both tables. A block for each group.
extern "C" __global__ void __launch_bounds__(256)
layer_norm_share_f32(float* __restrict__ mean_gx, float* __restrict__ mean_g, int channels) {
    __shared__ float warps[8], result[2];
    const int first = blockIdx.x * channels;
    float gx = 0.0f, g = 0.0f;
    for (int c = threadIdx.x; c < channels; c += 256) {
        gx += mean_gx[first + c];
        g += mean_g[first + c];
    }
    gx = block_sum(gx, warps);
    __syncthreads();
    g = block_sum(g, warps);
    if (threadIdx.x == 0) {
        result[0] = gx;
        result[1] = g;
    }
    __syncthreads();
    for (int c = threadIdx.x; c < channels; c += 256) {
        mean_gx[first + c] = result[0];
        mean_g[first + c] = result[1];
    }
}

// The gradient of x: inverse (g scale - mean(g scale) - x^ mean(g scale x^)).
extern "C" __global__ void __launch_bounds__(256)
batch_norm_input_f32(const float* __restrict__ upstream, const float* __restrict__ y, const float* __restrict__ x,
                     const float* __restrict__ scale, const float* __restrict__ mean, const float* __restrict__ inverse,
                     const float* __restrict__ mean_gx, const float* __restrict__ mean_g, float* __restrict__ to_x,
                     Shape shape, int groups, int rows, int len, float slope) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const int c = i % shape.c, n = i / shape.c % shape.n;
    const int row = n / (shape.n / rows) * shape.c + c, group = n / (shape.n / groups) * shape.c + c;
    const float g = gated(upstream[i], y[i], slope), normalised = (x[i] - mean[group]) * inverse[group];
    to_x[i] = inverse[group] * (g * scale[row] - mean_g[group] - normalised * mean_gx[group]);
}
