# fractal_peer.pyx - The Julia set as one writes it in Cython for speed: arithmetic spelled out, rows in parallel.
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
from cython.parallel import prange


cdef inline unsigned int escape(double x, double y, double re, double im, unsigned int iterations) noexcept nogil:
    cdef double xx = x * x, yy = y * y
    cdef unsigned int n = 0
    while n < iterations and xx + yy <= 4.0:
        y = 2.0 * x * y + im
        x = xx - yy + re
        xx = x * x
        yy = y * y
        n += 1
    return n


def julia(unsigned int[:, ::1] counts, double first, double step, double re, double im, unsigned int iterations,
          int threads):
    cdef Py_ssize_t column, row, height = counts.shape[0], width = counts.shape[1]
    for row in prange(height, nogil=True, schedule="dynamic", chunksize=8, num_threads=threads):
        for column in range(width):
            counts[row, column] = escape(first + step * column, first + step * row, re, im, iterations)
