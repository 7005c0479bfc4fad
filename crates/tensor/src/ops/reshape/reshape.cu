// The transpose of a matrix: maps of pixels x (images * channels) become rows of images x (channels * pixels), and back.
//
// A block moves 32 x 32 numbers through shared memory, so that reads and writes are both of neighbours; the 33rd column
// keeps the lanes of a warp in different banks. Arithmetic: 8 bytes a number.

extern "C" __global__ void __launch_bounds__(256)
transpose_f32(const float* __restrict__ x, float* __restrict__ y, int rows, int columns) {
    __shared__ float tile[32][33];
    const int tiles = (columns + 31) / 32;
    const int row = blockIdx.x / tiles * 32, column = blockIdx.x % tiles * 32;
    for (int i = threadIdx.y; i < 32; i += 8) {
        if (row + i < rows && column + threadIdx.x < columns) {
            tile[i][threadIdx.x] = x[(row + i) * columns + column + threadIdx.x];
        }
    }
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8) {
        if (column + i < columns && row + threadIdx.x < rows) {
            y[(column + i) * rows + row + threadIdx.x] = tile[threadIdx.x][i];
        }
    }
}

// y[h][w][n][c] = x at the sum of the strides of the four axes: the axes of a tensor in another order.
extern "C" __global__ void __launch_bounds__(256)
permute_f32(const float* __restrict__ x, float* __restrict__ y, Shape to, Shape strides, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const int c = i % to.c, n = i / to.c % to.n, pixel = i / to.c / to.n;
    y[i] = x[n * strides.n + c * strides.c + pixel / to.w * strides.h + pixel % to.w * strides.w];
}
