// Random numbers as functions of where they are used: Philox4x32-10, with the words, the numbers and the order of the
// CPU, bit for bit. See mod.rs beside this file for the formulas: they are the same line by line, and none of them leaves
// the compiler a choice of what to fuse.
//
// A thread makes the four numbers of a block of words. Element i of the order N, C, H, W is the i-th number.
//
// Arithmetic of n numbers: 4n bytes and, for normals, about 80n operations in f64: 64 x 128 latents take about 1 us on a
// GPU with full f64 units and 10 us on one with a 64th of them.

struct Words {
    unsigned a, b, c, d;
};

struct Key {
    unsigned low, high;
};

// Where the numbers are used; `purpose` holds stream and task.
struct Place {
    unsigned inner, iteration, purpose;
};

// The place, with inner step and iteration from memory where a graph has them there.
__device__ __forceinline__ Place moved(Place at, const unsigned* __restrict__ position) {
    return position ? Place{position[0], position[1], at.purpose} : at;
}

__device__ __forceinline__ Words philox(Words counter, Key key) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned a = 0xD2511F53u * counter.a, a_high = __umulhi(0xD2511F53u, counter.a);
        const unsigned b = 0xCD9E8D57u * counter.c, b_high = __umulhi(0xCD9E8D57u, counter.c);
        counter = {b_high ^ counter.b ^ key.low, b, a_high ^ counter.d ^ key.high, a};
        key = {key.low + 0x9E3779B9u, key.high + 0xBB67AE85u};
    }
    return counter;
}

// The natural logarithm of a positive normal number: ln(m 2^e) = e ln 2 + 2 artanh((m - 1) / (m + 1)).
__device__ __forceinline__ double natural_logarithm(double x) {
    int exponent;
    double mantissa = 2.0 * frexp(x, &exponent);
    --exponent;
    if (mantissa > 1.4142135623730951) {
        mantissa *= 0.5;
        ++exponent;
    }
    const double s = (mantissa - 1.0) / (mantissa + 1.0), square = s * s;
    double series = 0.0;
#pragma unroll
    for (int k = 10; k >= 0; --k) series = fma(series, square, 1.0 / (2 * k + 1));
    return fma((double)exponent, 0.6931471805599453, 2.0 * s * series);
}

// Sine (first = 1) or cosine (first = 0) of an angle of at most an eighth of a turn, the sine over the angle.
__device__ __forceinline__ double series_of(double x, int first) {
    const double square = x * x;
    double sum = 1.0;
#pragma unroll
    for (int k = 8; k >= 0; --k) {
        const double factor = (double)((2 * k + first + 1) * (2 * k + first + 2));
        sum = fma(-sum * square, 1.0 / factor, 1.0);
    }
    return sum;
}

// Two normals from two words.
__device__ __forceinline__ float2 normals(unsigned a, unsigned turns) {
    const double unit = ((double)a + 0.5) / 4294967296.0;
    const double radius = sqrt(-2.0 * natural_logarithm(unit));
    const unsigned quarter = (turns + (1u << 29)) >> 30;
    const double x = (double)(int)(turns - (quarter << 30)) * (6.283185307179586 / 4294967296.0);
    const double sine = x * series_of(x, 1), cosine = series_of(x, 0);
    const bool swapped = quarter & 1;
    const double first = swapped ? cosine : sine, second = swapped ? sine : cosine;
    // Quarters 0 to 3: (sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine).
    const double s = quarter & 2 ? -first : first;
    const double c = ((quarter + 1) & 2) ? -second : second;
    return make_float2((float)(radius * c), (float)(radius * s));
}

// Writes the four numbers of block `i` where they belong.
__device__ __forceinline__ void place(float* y, Shape shape, int len, int i, const float (&numbers)[4]) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const int element = 4 * i + j, pixels = shape.h * shape.w;
        // Element (n, c, pixel) of the one order is (pixel, n, c) of the other.
        if (element < len) y[element % pixels * shape.n * shape.c + element / pixels] = numbers[j];
    }
}

extern "C" __global__ void __launch_bounds__(256)
normal_f32(float* y, Shape shape, int len, Key key, Place recorded, const unsigned* position) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (4 * i >= len) return;
    const Place at = moved(recorded, position);
    const Words words = philox({(unsigned)i, at.inner, at.iteration, at.purpose}, key);
    const float2 a = normals(words.a, words.b), b = normals(words.c, words.d);
    const float numbers[4] = {a.x, a.y, b.x, b.y};
    place(y, shape, len, i, numbers);
}

extern "C" __global__ void __launch_bounds__(256)
uniform_f32(float* y, Shape shape, int len, Key key, Place recorded, const unsigned* position) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (4 * i >= len) return;
    const Place at = moved(recorded, position);
    const Words words = philox({(unsigned)i, at.inner, at.iteration, at.purpose}, key);
    const float scale = 1.0f / 16777216.0f;
    const float numbers[4] = {(words.a >> 8) * scale, (words.b >> 8) * scale, (words.c >> 8) * scale,
                              (words.d >> 8) * scale};
    place(y, shape, len, i, numbers);
}
