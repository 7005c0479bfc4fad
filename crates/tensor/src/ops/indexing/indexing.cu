// Rows of the batch axis: chosen by number, summed back, and joined.
//
// Arithmetic: 8 bytes a number that is moved. Nothing is added atomically: each sum reads its own summands, in order.

// y[pixel][i][c] = x[pixel][rows[i]][c], for `count` rows.
extern "C" __global__ void __launch_bounds__(256)
index_select_f32(const float* __restrict__ x, const int* __restrict__ rows, float* __restrict__ y, Shape from, int count,
                int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const int c = i % from.c, row = i / from.c % count, pixel = i / from.c / count;
    y[i] = x[(pixel * from.n + rows[row]) * from.c + c];
}

// y[pixel][r][c] = the sum over j of x[pixel][members[j]][c], j from starts[r] to starts[r + 1]; `count` rows r.
// `starts` has count + 1 numbers, and the members follow.
extern "C" __global__ void __launch_bounds__(256)
index_add_f32(const float* __restrict__ x, const int* __restrict__ starts, float* __restrict__ y, Shape from, int count,
             int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const int c = i % from.c, row = i / from.c % count, pixel = i / from.c / count;
    const int* members = starts + count + 1;
    float sum = 0.0f;
    for (int j = starts[row]; j < starts[row + 1]; ++j) sum += x[(pixel * from.n + members[j]) * from.c + c];
    y[i] = sum;
}

// Copies `width` columns of a matrix, from `skip` on, into one of other columns, from `place` on.
extern "C" __global__ void __launch_bounds__(256)
copy_columns_f32(const float* __restrict__ x, float* __restrict__ y, int from, int skip, int to, int place, int width,
                 int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i < len) y[i / width * to + place + i % width] = x[i / width * from + skip + i % width];
}
