/* Batch norm with ReLU, and 2 x 2 max pooling, of bfloat16 pictures with their channels innermost.
 *
 * A batch of pictures is a matrix of rows (pixels) and channels. Work is split by rows; each
 * thread adds up in its own sums, which are joined in the order of the threads, so that a number of
 * threads always gives the same bits. Sums run in float over BLOCK rows, in double over blocks. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define CHANNELS 1024
#define BLOCK 128
#define THREADS 64

typedef uint16_t half;

static inline float wide(half value)
{
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}

/* value where the result is not zero, else 0; without a branch, to vectorise */
static inline float passed(half value, half result)
{
    return wide(value & (half) - (result != 0));
}

static inline half narrow(float value) /* to the nearest, halves to even */
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (half)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static inline float larger(float a, float b) /* NaN if one of them is */
{
    return (a >= b) | (a != a) ? a : b;
}

/* what a pass over rows reads and writes, and two sums of each channel */
struct pass {
    const half *data, *result, *gradient;
    half *out;
    const float *a, *b, *c;
    int64_t first, end;
    int channels, width;
    double *one, *two;
};

typedef void worker(struct pass *);

/* split rows over threads; sums, if any, are added to pass->one and pass->two */
static void spread(worker *work, const struct pass *pass, int64_t rows, int64_t threads)
{
    struct pass passes[THREADS];
    double sums[THREADS][2 * CHANNELS];
    const int count = threads < 1 ? 1 : threads > THREADS ? THREADS : (int)threads;
#pragma omp parallel for num_threads(count) schedule(static, 1)
    for (int i = 0; i < count; i++) {
        struct pass *own = &passes[i];
        *own = *pass;
        own->first = rows * i / count;
        own->end = rows * (i + 1) / count;
        own->one = sums[i];
        own->two = sums[i] + CHANNELS;
        memset(sums[i], 0, sizeof sums[i]);
        work(own);
    }
    for (int i = 0; pass->one && i < count; i++) {
        for (int c = 0; c < pass->channels; c++) {
            pass->one[c] += passes[i].one[c];
            pass->two[c] += passes[i].two[c];
        }
    }
}

/* sums of data - a and of its square */
static void moments(struct pass *p)
{
    const int n = p->channels;
    float one[CHANNELS], two[CHANNELS];
    for (int64_t block = p->first; block < p->end; block += BLOCK) {
        const int64_t end = block + BLOCK < p->end ? block + BLOCK : p->end;
        memset(one, 0, n * sizeof *one);
        memset(two, 0, n * sizeof *two);
        for (int64_t row = block; row < end; row++) {
            const half *restrict data = p->data + row * n;
            for (int c = 0; c < n; c++) {
                const float value = wide(data[c]) - p->a[c];
                one[c] += value;
                two[c] += value * value;
            }
        }
        for (int c = 0; c < n; c++) {
            p->one[c] += one[c];
            p->two[c] += two[c];
        }
    }
}

/* a * data + b, not below 0 */
static void scale(struct pass *p)
{
    const int n = p->channels;
    for (int64_t row = p->first; row < p->end; row++) {
        const half *restrict data = p->data + row * n;
        half *restrict out = p->out + row * n;
        for (int c = 0; c < n; c++) {
            const float value = p->a[c] * wide(data[c]) + p->b[c];
            out[c] = narrow(value < 0.0f ? 0.0f : value);
        }
    }
}

/* sums of the gradient, and of the gradient times (data - a) */
static void products(struct pass *p)
{
    const int n = p->channels;
    float one[CHANNELS], two[CHANNELS];
    for (int64_t block = p->first; block < p->end; block += BLOCK) {
        const int64_t end = block + BLOCK < p->end ? block + BLOCK : p->end;
        memset(one, 0, n * sizeof *one);
        memset(two, 0, n * sizeof *two);
        for (int64_t row = block; row < end; row++) {
            const half *restrict data = p->data + row * n, *restrict result = p->result + row * n;
            const half *restrict gradient = p->gradient + row * n;
            for (int c = 0; c < n; c++) {
                const float arrived = passed(gradient[c], result[c]);
                one[c] += arrived;
                two[c] += arrived * (wide(data[c]) - p->a[c]);
            }
        }
        for (int c = 0; c < n; c++) {
            p->one[c] += one[c];
            p->two[c] += two[c];
        }
    }
}

/* a * gradient + b * data + c */
static void spread_gradient(struct pass *p)
{
    const int n = p->channels;
    for (int64_t row = p->first; row < p->end; row++) {
        const half *restrict data = p->data + row * n, *restrict result = p->result + row * n;
        const half *restrict gradient = p->gradient + row * n;
        half *restrict out = p->out + row * n;
        for (int c = 0; c < n; c++) {
            const float arrived = passed(gradient[c], result[c]);
            out[c] = narrow(p->a[c] * arrived + p->b[c] * wide(data[c]) + p->c[c]);
        }
    }
}

/* mean and inverse deviation of each channel; y = relu((x - mean) * inverse * weight + bias) */
void norm_forward(const half *x, half *y, int64_t rows, int64_t channels, const float *weight,
                  const float *bias, double eps, float *mean, float *variance,
                  int64_t threads)
{
    double one[CHANNELS] = {0}, two[CHANNELS] = {0};
    float origin[CHANNELS], factor[CHANNELS], offset[CHANNELS];
    for (int c = 0; c < channels; c++)
        origin[c] = wide(x[c]); /* keeps the difference of large sums small */
    struct pass pass = {.data = x, .out = y, .a = origin,
                        .channels = (int)channels, .one = one, .two = two};
    spread(moments, &pass, rows, threads);
    for (int c = 0; c < channels; c++) {
        const double shift = one[c] / rows, square = two[c] / rows - shift * shift;
        mean[c] = (float)(origin[c] + shift);
        variance[c] = (float)(square < 0 ? 0 : square);
        factor[c] = (float)(weight[c] / sqrt(variance[c] + eps));
        offset[c] = bias[c] - mean[c] * factor[c];
    }
    pass.a = factor, pass.b = offset, pass.one = 0;
    spread(scale, &pass, rows, threads);
}

/* gradients of the input, the weight and the bias of norm_forward */
void norm_backward(const half *x, const half *y, const half *gradient, half *out, int64_t rows,
                   int64_t channels, const float *weight, double eps, const float *mean,
                   const float *variance, float *weight_gradient, float *bias_gradient,
                   int64_t threads)
{
    double one[CHANNELS] = {0}, two[CHANNELS] = {0};
    float a[CHANNELS], b[CHANNELS], c_[CHANNELS];
    struct pass pass = {.data = x, .result = y, .gradient = gradient, .out = out, .a = mean,
                        .channels = (int)channels, .one = one, .two = two};
    spread(products, &pass, rows, threads);
    for (int c = 0; c < channels; c++) {
        const double inverse = 1.0 / sqrt(variance[c] + eps), slope = two[c] * inverse * inverse;
        weight_gradient[c] = (float)(two[c] * inverse);
        bias_gradient[c] = (float)one[c];
        a[c] = (float)(weight[c] * inverse);
        b[c] = (float)(-weight[c] * inverse * slope / rows);
        c_[c] = (float)(-weight[c] * inverse * (one[c] - slope * mean[c]) / rows);
    }
    pass.a = a, pass.b = b, pass.c = c_, pass.one = 0;
    spread(spread_gradient, &pass, rows, threads);
}

static void pool_rows(struct pass *p) /* rows are rows of the output */
{
    const int n = p->channels, width = p->width;
    for (int64_t row = p->first; row < p->end; row++) {
        for (int x = 0; x < width; x++) {
            const half *restrict top = p->data + (row * 2 * width + x) * 2 * n;
            const half *restrict low = top + 2 * width * n;
            half *restrict out = p->out + (row * width + x) * n;
            for (int c = 0; c < n; c++) {
                const float left = larger(wide(top[c]), wide(low[c]));
                const float right = larger(wide(top[n + c]), wide(low[n + c]));
                out[c] = narrow(larger(left, right));
            }
        }
    }
}

static void pool_rows_back(struct pass *p)
{
    const int n = p->channels, width = p->width;
    for (int64_t row = p->first; row < p->end; row++) {
        const int64_t place = row * 4 * width * n;
        for (int x = 0; x < width; x++) {
            const half *restrict top = p->data + place + 2 * x * n;
            const half *restrict low = top + 2 * width * n;
            const half *restrict best = p->result + (row * width + x) * n;
            const half *restrict gradient = p->gradient + (row * width + x) * n;
            half *restrict to_top = p->out + place + 2 * x * n;
            half *restrict to_low = to_top + 2 * width * n;
            for (int c = 0; c < n; c++) { /* the first of equal ones, as in PyTorch */
                const half value = best[c], arrived = gradient[c];
                half left = arrived, here;
                here = left & (half) - (top[c] == value);
                to_top[c] = here, left ^= here;
                here = left & (half) - (top[n + c] == value);
                to_top[n + c] = here, left ^= here;
                here = left & (half) - (low[c] == value);
                to_low[c] = here, left ^= here;
                to_low[n + c] = left;
            }
        }
    }
}

/* largest of each 2 x 2 pixels; rows and width are those of the output */
void pool_forward(const half *x, half *y, int64_t rows, int64_t width, int64_t channels,
                  int64_t threads)
{
    const struct pass pass = {.data = x, .out = y, .channels = (int)channels, .width = (int)width};
    spread(pool_rows, &pass, rows, threads);
}

void pool_backward(const half *x, const half *y, const half *gradient, half *out, int64_t rows,
                   int64_t width, int64_t channels, int64_t threads)
{
    const struct pass pass = {.data = x, .result = y, .gradient = gradient, .out = out,
                              .channels = (int)channels, .width = (int)width};
    spread(pool_rows_back, &pass, rows, threads);
}
