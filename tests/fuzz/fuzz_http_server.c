/* fuzz_http_server.c - Arbitrary bytes in arbitrary pieces to a whole HTTP server: no crash, no leak, no endless work.
 *
 * The first byte chooses the sizes of the pieces. Whatever came, the connection ends once the peer is done. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/asset.h"
#include "net/http_guard.h"
#include "net/http_server.h"
#include "net/sse.h"
#include "net/websocket.h"

static struct sw_reactor *reactor;
static struct sw_http_server *server;
static struct sw_http_guard guard;
static struct sw_asset asset = {.content_type = {"text/plain", 10}, .body = {"body", 4}, .gzip = {"gz", 2}};

static enum sw_status on_piece(void *context, struct sw_http_ref ref, struct sw_str bytes) {
    return bytes.ptr[0] == 'p' ? SW_AGAIN : bytes.ptr[0] == 'e' ? SW_INVALID : SW_OK;
}

static void on_end(void *context, struct sw_http_ref ref, enum sw_status status, struct sw_str body) {
    enum sw_status answered = sw_http_respond_text(ref, 200, NULL, body);
    (void)answered;
}

static void on_message(void *context, struct sw_http_ref ref, bool is_text, struct sw_str bytes) {
    enum sw_status status = sw_websocket_send_deflated(ref, is_text, bytes);
    (void)status;
}

static void handle(void *context, const struct sw_http_call *call) {
    enum sw_status status = SW_OK;
    char first = call->path.len > 1 ? call->path.ptr[1] : '/';
    struct sw_http_body pieces = {.on_data = on_piece, .on_end = on_end};
    struct sw_http_body whole = {.on_end = on_end, .bytes_max = 4096};
    struct sw_websocket_options socket = {.on_message = on_message, .message_bytes_max = 4096};
    if (!sw_http_guard_admit(&guard, call)) {
        return;
    }
    switch (first) {
    case 'c':
        status = sw_http_read_body(call->ref, &whole);
        break;
    case 'd':
        status = sw_http_read_body(call->ref, &pieces);
        break;
    case 'w':
        status = sw_websocket_accept(call, &socket);
        break;
    case 's':
        status = sw_sse_start(call, NULL);
        break;
    case 'l': /* never answered */
        break;
    default:
        status = sw_asset_serve(&asset, call);
        break;
    }
    (void)status;
}

static void set_up(void) {
    struct sw_http_options options = {.handler = handle, .drain_bytes_max = 512, .pipeline_max = 4};
    if (sw_reactor_open(&reactor, NULL, NULL) != SW_OK ||
        sw_http_server_open(&server, reactor, &options, NULL) != SW_OK) {
        abort();
    }
    sw_asset_prepare(&asset);
}

static void turn(void) {
    if (sw_reactor_turn(reactor, 0, NULL) != SW_OK) {
        abort();
    }
}

static void read_all(int fd) {
    char answer[4096];
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int pair[2];
    struct sw_address peer = {0};
    if (!reactor) {
        set_up();
    }
    if (size < 2 || size > 65536 || sw_address_parse(&peer, SW_STR("127.0.0.1:1"), NULL) != SW_OK) {
        return 0;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) {
        abort();
    }
    size_t step = data[0] ? data[0] : size;
    sw_http_server_adopt(server, pair[0], &peer);
    for (size_t at = 1; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        if (send(pair[1], data + at, len, MSG_NOSIGNAL) < 0) {
            break;
        }
        turn();
        read_all(pair[1]);
    }
    shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < 8; i++) {
        turn();
        read_all(pair[1]);
    }
    close(pair[1]);
    for (int i = 0; i < 64 && !sw_http_server_is_idle(server); i++) {
        turn();
    }
    /* What is still open waits for an answer that never comes, or for a body reader that paused. */
    sw_http_server_close(server);
    sw_reactor_close(reactor);
    reactor = NULL;
    return 0;
}
