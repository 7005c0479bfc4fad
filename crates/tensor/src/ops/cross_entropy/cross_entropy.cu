// Softmax cross-entropy and its gradient, for logits of rows x columns and a label for each row.
//
//     log_sum[row] = max + log(sum over columns of exp(x - max))
//     loss         = the mean over rows of log_sum[row] - x[row][label]
//     gradient     = (exp(x - log_sum[row]) - [column is the label]) upstream / rows
//
// Arithmetic: 4 bytes a number forward and 8 backward, so 64 x 10 logits cost their launches, a few microseconds each.

// The largest number of each row: what softmax subtracts. A warp reads a row.
__device__ __forceinline__ float row_maximum(const float* __restrict__ row, int columns) {
    float largest = row[0];
    for (int column = threadIdx.x % 32; column < columns; column += 32) largest = fmaxf(largest, row[column]);
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    return largest;
}

extern "C" __global__ void __launch_bounds__(256)
row_maxima_f32(const float* __restrict__ x, float* __restrict__ y, int rows, int columns) {
    const int row = blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= rows) return;
    const float largest = row_maximum(x + row * columns, columns);
    if (threadIdx.x % 32 == 0) y[row] = largest;
}

// One block: a warp takes every eighth row.
extern "C" __global__ void __launch_bounds__(256)
cross_entropy_f32(const float* __restrict__ x, const int* __restrict__ labels, float* __restrict__ log_sums,
                  float* __restrict__ loss, int rows, int columns) {
    __shared__ float warps[8];
    float sum = 0.0f;
    for (int row = threadIdx.x / 32; row < rows; row += 8) {
        const float* logits = x + row * columns;
        const float largest = row_maximum(logits, columns);
        float exponentials = 0.0f;
        for (int column = threadIdx.x % 32; column < columns; column += 32) exponentials += expf(logits[column] - largest);
        const float log_sum = largest + logf(warp_sum(exponentials));
        if (threadIdx.x % 32 == 0) {
            log_sums[row] = log_sum;
            sum += log_sum - logits[labels[row]];
        }
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) *loss = sum / (float)rows;
}

extern "C" __global__ void __launch_bounds__(256)
cross_entropy_gradient_f32(const float* __restrict__ x, const int* __restrict__ labels, const float* __restrict__ log_sums,
                           const float* __restrict__ upstream, float* __restrict__ gradient, int rows, int columns) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= rows * columns) return;
    const int row = i / columns;
    const float share = expf(x[i] - log_sums[row]), chosen = i % columns == labels[row] ? 1.0f : 0.0f;
    gradient[i] = (share - chosen) * (*upstream / (float)rows);
}
