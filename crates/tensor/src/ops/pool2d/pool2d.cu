// The largest and the mean number of each window of an image, their gradients, and nearest-neighbour upsampling, channel by
// channel.
//
// A thread computes one number; neighbouring threads have neighbouring channels. Arithmetic: 4 bytes written a number and
// as many read as a window has pixels, most of them from the cache: memory decides.

// How many pixels of the image a window has that begins at `start` along an axis.
__device__ __forceinline__ int inside(int start, int taps, int size) {
    return min(start + taps, size) - max(start, 0);
}

// Calls each(oy, ox) for the windows that hold the pixel y, x of the padded image.
template <class Each> __device__ __forceinline__ void for_each_window(const Geometry& g, int y, int x, Each each) {
    for (int oy = y < g.kh ? 0 : (y - g.kh) / g.stride_y + 1; oy <= y / g.stride_y && oy < g.oh; ++oy) {
        for (int ox = x < g.kw ? 0 : (x - g.kw) / g.stride_x + 1; ox <= x / g.stride_x && ox < g.ow; ++ox) each(oy, ox);
    }
}

extern "C" __global__ void __launch_bounds__(256)
average_pool2d_f32(const float* __restrict__ x, float* __restrict__ y, Geometry g, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x, plane = g.n * g.ci;
    if (i >= len) return;
    const int pixel = i / plane, place = i % plane;
    const int top = pixel / g.ow * g.stride_y - g.padding_y, left = pixel % g.ow * g.stride_x - g.padding_x;
    float sum = 0.0f;
    for (int py = max(top, 0); py < min(top + g.kh, g.h); ++py) {
        for (int px = max(left, 0); px < min(left + g.kw, g.w); ++px) sum += x[(py * g.w + px) * plane + place];
    }
    y[i] = sum / (inside(top, g.kh, g.h) * inside(left, g.kw, g.w));
}

extern "C" __global__ void __launch_bounds__(256)
average_pool2d_input_grad_f32(const float* __restrict__ dy, float* __restrict__ dx, Geometry g, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x, plane = g.n * g.ci;
    if (i >= len) return;
    const int pixel = i / plane, place = i % plane;
    const int y = pixel / g.w + g.padding_y, x = pixel % g.w + g.padding_x;
    float sum = 0.0f;
    for_each_window(g, y, x, [&](int oy, int ox) {
        const int rows = inside(oy * g.stride_y - g.padding_y, g.kh, g.h);
        const int columns = inside(ox * g.stride_x - g.padding_x, g.kw, g.w);
        sum += dy[(oy * g.ow + ox) * plane + place] / (rows * columns);
    });
    dx[i] = sum;
}

// The largest number of each window and the pixel where it lies, the first of equal ones; what is null is not written.
// What is no number is the largest.
extern "C" __global__ void __launch_bounds__(256)
max_pool2d_f32(const float* __restrict__ x, float* __restrict__ y, int* __restrict__ chosen, Geometry g, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x, plane = g.n * g.ci;
    if (i >= len) return;
    const int pixel = i / plane, place = i % plane;
    const int top = pixel / g.ow * g.stride_y - g.padding_y, left = pixel % g.ow * g.stride_x - g.padding_x;
    int best = max(top, 0) * g.w + max(left, 0);
    float largest = x[best * plane + place];
    for (int py = max(top, 0); py < min(top + g.kh, g.h); ++py) {
        for (int px = max(left, 0); px < min(left + g.kw, g.w); ++px) {
            const float number = x[(py * g.w + px) * plane + place];
            if (number > largest || number != number) {
                largest = number;
                best = py * g.w + px;
            }
        }
    }
    if (y) y[i] = largest;
    if (chosen) chosen[i] = best;
}

extern "C" __global__ void __launch_bounds__(256)
chosen_pixels_f32(const float* __restrict__ x, const int* __restrict__ chosen, float* __restrict__ y, int plane, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i < len) y[i] = x[chosen[i] * plane + i % plane];
}

extern "C" __global__ void __launch_bounds__(256)
add_to_chosen_pixels_f32(const float* __restrict__ dy, const int* __restrict__ chosen, float* __restrict__ dx, Geometry g,
                         int len) {
    const int i = blockIdx.x * 256 + threadIdx.x, plane = g.n * g.ci;
    if (i >= len) return;
    const int pixel = i / plane, place = i % plane;
    float sum = 0.0f;
    for_each_window(g, pixel / g.w + g.padding_y, pixel % g.w + g.padding_x, [&](int oy, int ox) {
        const int window = (oy * g.ow + ox) * plane + place;
        if (chosen[window] == pixel) sum += dy[window];
    });
    dx[i] = sum;
}

// Every pixel becomes four; `to` is the shape of the result.
extern "C" __global__ void __launch_bounds__(256)
upsample2d_f32(const float* __restrict__ x, float* __restrict__ y, Shape to, int len) {
    const int i = blockIdx.x * 256 + threadIdx.x, plane = to.n * to.c;
    if (i >= len) return;
    const int pixel = i / plane, source = pixel / to.w / 2 * (to.w / 2) + pixel % to.w / 2;
    y[i] = x[source * plane + i % plane];
}
