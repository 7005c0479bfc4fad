// The largest number of each row: what softmax subtracts. A warp reads a row. Arithmetic: 4 bytes a number.

extern "C" __global__ void __launch_bounds__(256)
row_maxima_f32(const float* __restrict__ x, float* __restrict__ y, int rows, int columns) {
    const int row = blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= rows) return;
    float largest = x[row * columns];
    for (int column = threadIdx.x % 32; column < columns; column += 32) {
        largest = fmaxf(largest, x[row * columns + column]);
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    if (threadIdx.x % 32 == 0) y[row] = largest;
}
