/* http_parser.c - Nanoseconds per request head at every scan level: 40, 382 and 703 bytes, best of several rounds. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/http_parser.h"

enum { ROUNDS = 15, REPEATS = 200000, HEADERS_MAX = 32 };

struct sample {
    const char *name;
    struct sw_str text;
};

#define SAMPLE(name, text) \
    { \
        (name), { \
            (text), sizeof(text) - 1 \
        } \
    }

static const struct sample samples[] = {
    SAMPLE("40 B, 1 header", "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    SAMPLE("382 B, 8 headers", "GET /api/query?stream=ticks&window=1s HTTP/1.1\r\n"
                               "Host: localhost:8080\r\n"
                               "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
                               "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
                               "Accept-Language: en-US,en;q=0.5\r\n"
                               "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                               "Connection: keep-alive\r\n"
                               "Upgrade-Insecure-Requests: 1\r\n"
                               "X-Request: 0123456789\r\n\r\n"),
    SAMPLE("703 B, 9 headers",
           "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
           "Host: www.example.org\r\n"
           "User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) Gecko/20100401 "
           "Firefox/3.6.3\r\n"
           "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
           "Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\n"
           "Accept-Encoding: gzip,deflate\r\n"
           "Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n"
           "Keep-Alive: 115\r\n"
           "Connection: keep-alive\r\n"
           "Cookie: session=0123456789abcdef0123456789abcdef; first=1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19; "
           "second=abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopq; "
           "third=%7B%22a%22%3A1%2C%22b%22%3A22222222%7D\r\n\r\n"),
};

/* Best round, in nanoseconds per head; negative if a parse failed. */
static double measure(const struct sample *sample, enum sw_cpu_level level) {
    struct sw_http_header headers[HEADERS_MAX];
    struct sw_http_parser parser;
    int64_t best_ns = INT64_MAX;
    sw_http_parser_init(&parser, headers, HEADERS_MAX, NULL);
    parser.scan = sw_http_scan_for(level);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin_ns = sw_clock_thread_cpu_ns();
        for (int i = 0; i < REPEATS; i++) {
            sw_http_parser_reset(&parser);
            if (sw_http_parser_feed(&parser, sample->text) != SW_OK) {
                return -1;
            }
        }
        int64_t spent_ns = sw_clock_thread_cpu_ns() - begin_ns;
        best_ns = spent_ns < best_ns ? spent_ns : best_ns;
    }
    return (double)best_ns / REPEATS;
}

int main(void) {
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        double scalar_ns = measure(&samples[i], SW_CPU_SCALAR);
        printf("%-18s %zu bytes  scalar %6.1f ns", samples[i].name, samples[i].text.len, scalar_ns);
        for (int level = SW_CPU_SSE42; level <= (int)sw_cpu_level() && level <= SW_CPU_AVX2; level++) {
            double ns = measure(&samples[i], (enum sw_cpu_level)level);
            printf("   %s %6.1f ns (%.1fx)", sw_cpu_level_name((enum sw_cpu_level)level), ns, scalar_ns / ns);
        }
        printf("\n");
    }
    return 0;
}
