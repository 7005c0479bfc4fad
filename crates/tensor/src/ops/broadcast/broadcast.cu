// Repeating a small tensor to fill a larger shape, and summing back.
//
// A cell is an entry of the small tensor but for its channels: a pixel, or all pixels of a row, a column or the image,
// and a block of neighbouring images. Where the channels stay, a sum is one over rows of channels; where they are summed
// too, one over stretches of a block's numbers. Both are cut into parts by the shapes, and the parts are added in order.
//
// Arithmetic: 4 bytes a number read once (or written once) and a dozen integer operations for its address, so memory
// decides; the parts are a thousandth of it.

extern "C" __global__ void __launch_bounds__(256)
repeat_f32(const float* __restrict__ x, float* __restrict__ y, Shape from, Shape to, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const int row = i / to.c, pixel = row / to.n;
    const int c = from.c == 1 ? 0 : i % to.c;
    const int n = row % to.n / (to.n / from.n);
    const int px = from.w == 1 ? 0 : pixel % to.w;
    const int py = from.h == 1 ? 0 : pixel / to.w;
    y[i] = x[((py * from.w + px) * from.n + n) * from.c + c];
}

// A cell of the small shape in the large one.
struct Cell {
    // Its first pixel, and how many there are along either axis.
    int y, x, height, width;
    // Its first image, and how many there are.
    int first, images;
};

__device__ __forceinline__ Cell cell_of(int number, Shape from, Shape to) {
    const int pixel = number / to.n, height = from.h / to.h, width = from.w / to.w, images = from.n / to.n;
    return {pixel / to.w * height, pixel % to.w * width, height, width, number % to.n * images, images};
}

// Where the numbers of the cell's first image begin at one of the cell's pixels.
__device__ __forceinline__ int start_of(const Cell& cell, int pixel, Shape from) {
    const int y = cell.y + pixel / cell.width, x = cell.x + pixel % cell.width;
    return ((y * from.w + x) * from.n + cell.first) * from.c;
}

// parts[part][cell][c] = the sum over `rows` rows of the cell. Blocks: (32 channels of a cell, part); threads: 32 x 8.
extern "C" __global__ void __launch_bounds__(256)
sum_rows_f32(const float* __restrict__ x, float* __restrict__ parts, Shape from, Shape to, int rows) {
    __shared__ float sums[8][32];
    const int tiles = (from.c + 31) / 32, number = blockIdx.x / tiles;
    const int c = blockIdx.x % tiles * 32 + threadIdx.x;
    const Cell cell = cell_of(number, from, to);
    const int first = blockIdx.y * rows, last = min(first + rows, cell.height * cell.width * cell.images);
    float sum = 0.0f;
    if (c < from.c) {
        for (int row = first + threadIdx.y; row < last; row += 8) {
            sum += x[start_of(cell, row / cell.images, from) + row % cell.images * from.c + c];
        }
    }
    sum = column_sum(sum, sums);
    if (threadIdx.y == 0 && c < from.c) {
        const int cells = to.n * to.h * to.w;
        parts[(blockIdx.y * cells + number) * from.c + c] = sum;
    }
}

// parts[part][cell] = the sum over `numbers` numbers of the cell, channels and all. Blocks: (cell, part).
extern "C" __global__ void __launch_bounds__(256)
sum_all_f32(const float* __restrict__ x, float* __restrict__ parts, Shape from, Shape to, int numbers) {
    __shared__ float warps[8];
    const Cell cell = cell_of(blockIdx.x, from, to);
    const int stretch = cell.images * from.c;
    const int first = blockIdx.y * numbers, last = min(first + numbers, cell.height * cell.width * stretch);
    float sum = 0.0f;
    for (int i = first + threadIdx.x; i < last; i += 256) sum += x[start_of(cell, i / stretch, from) + i % stretch];
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// y[i] = the sum over p of parts[p][i], in order; then, where there is a bias, (y + bias).leaky_relu(slope).
extern "C" __global__ void __launch_bounds__(256)
add_parts_f32(const float* __restrict__ parts, float* __restrict__ y, int len, int count, const float* __restrict__ bias,
              int channels, float slope) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    float sum = 0.0f;
    for (int part = 0; part < count; ++part) sum += parts[part * len + i];
    y[i] = bias ? rectified(sum + bias[i % channels], slope) : sum;
}
