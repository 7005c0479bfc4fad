// The leaky rectifier after an affine map with tables, and its gradient together with the bias's.
//
// Arithmetic of n numbers: 8n and 12n bytes, each read and written once, and a few operations: memory decides.

// y = (x * scale + shift).leaky_relu(slope); a row of a table is for so many neighbouring images.
extern "C" __global__ void __launch_bounds__(256)
affine_leaky_relu_f32(const float* __restrict__ x, const float* __restrict__ scale, const float* __restrict__ shift,
                      float* __restrict__ y, Shape shape, int len, int scale_images, int shift_images, float slope) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= len) return;
    const int c = i % shape.c, n = i / shape.c % shape.n;
    y[i] = rectified(x[i] * scale[n / scale_images * shape.c + c] + shift[n / shift_images * shape.c + c], slope);
}

// y = what the rectifier lets through of x, and parts[part][c] = its sums over `rows` of the `all` rows of c channels.
// Blocks: (32 channels, part); threads: 32 x 8.
extern "C" __global__ void __launch_bounds__(256)
gate_and_sum_f32(const float* __restrict__ x, const float* __restrict__ sign, float* __restrict__ y,
                 float* __restrict__ parts, int all, int channels, int rows, float slope) {
    __shared__ float sums[8][32];
    const int c = blockIdx.x * 32 + threadIdx.x;
    const int first = blockIdx.y * rows, last = min(first + rows, all);
    float sum = 0.0f;
    if (c < channels) {
        for (int row = first + threadIdx.y; row < last; row += 8) {
            const int i = row * channels + c;
            const float value = gated(x[i], sign[i], slope);
            y[i] = value;
            sum += value;
        }
    }
    sum = column_sum(sum, sums);
    if (threadIdx.y == 0 && c < channels) parts[blockIdx.y * channels + c] = sum;
}
