/* ws_handshake.c - Key, version, subprotocol, and the choice among the offered extensions. */
#include "net/ws_handshake.h"

#include <openssl/evp.h>
#include <string.h>

enum { KEY_BYTES = 24, OFFERS_MAX = 16, LEAST_BITS = 9, MOST_BITS = 15, USUAL_BITS = 12 };

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* One parameter of an offer; a quoted value is taken without its quotes. */
struct parameter {
    struct sw_str name;
    struct sw_str value; /* ptr is NULL when there is none */
};

/* One offer of permessage-deflate, as its parameters are read. */
struct offer {
    bool is_server_no_takeover;
    bool is_client_no_takeover;
    bool has_client_bits;
    unsigned server_bits; /* 0: no limit asked for */
    bool is_acceptable;
};

static enum sw_status fail(struct sw_ws_handshake *handshake, int http_status, const char *reason) {
    handshake->http_status = http_status;
    handshake->reason = reason;
    return http_status == 426 ? SW_UNSUPPORTED : SW_MALFORMED;
}

static bool is_token_byte(char byte) {
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_token(struct sw_str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_byte(text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

/* The one header called `name`: false if it is missing or there is more than one. */
static bool find_single(const struct sw_http_head *head, struct sw_str name, struct sw_str *value) {
    size_t count = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        if (sw_str_eq_nocase(head->headers[i].name, name)) {
            *value = head->headers[i].value;
            count++;
        }
    }
    return count == 1;
}

/* Base64 of 16 bytes: 22 digits, the last with four zero bits, and "==". */
static bool is_key(struct sw_str key) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.len != KEY_BYTES || key.ptr[KEY_BYTES - 1] != '=' || key.ptr[KEY_BYTES - 2] != '=') {
        return false;
    }
    for (size_t i = 0; i < KEY_BYTES - 2; i++) {
        if (!memchr(digits, key.ptr[i], sizeof(digits) - 1)) {
            return false;
        }
    }
    return memchr("AQgw", key.ptr[KEY_BYTES - 3], 4) != NULL;
}

/* Reads every Sec-WebSocket-Protocol header; the server's order decides, not the client's. */
static bool choose_protocol(const struct sw_http_head *head, const struct sw_ws_handshake_options *options,
                            struct sw_ws_handshake *handshake) {
    size_t best = options->protocol_count;
    for (size_t i = 0; i < head->header_count; i++) {
        if (!sw_str_eq_nocase(head->headers[i].name, SW_STR("sec-websocket-protocol"))) {
            continue;
        }
        struct sw_str list = head->headers[i].value;
        while (list.ptr) {
            struct sw_str item = sw_str_trim(sw_str_cut(&list, ','));
            if (!is_token(item)) {
                return false;
            }
            for (size_t at = 0; at < best; at++) {
                if (sw_str_eq(item, options->protocols[at])) {
                    best = at;
                }
            }
        }
    }
    if (best < options->protocol_count) {
        handshake->protocol = options->protocols[best];
    }
    return true;
}

static void skip_blanks(struct sw_str *rest) {
    while (rest->len > 0 && (*rest->ptr == ' ' || *rest->ptr == '\t')) {
        *rest = sw_str_skip(*rest, 1);
    }
}

static bool take_byte(struct sw_str *rest, char byte) {
    skip_blanks(rest);
    if (rest->len == 0 || *rest->ptr != byte) {
        return false;
    }
    *rest = sw_str_skip(*rest, 1);
    return true;
}

static bool take_token(struct sw_str *rest, struct sw_str *token) {
    size_t len = 0;
    skip_blanks(rest);
    while (len < rest->len && is_token_byte(rest->ptr[len])) {
        len++;
    }
    *token = sw_str_make(rest->ptr, len);
    *rest = sw_str_skip(*rest, len);
    return len > 0;
}

/* name [ "=" ( token / DQUOTE token DQUOTE ) ]: what is quoted must be a token too (RFC 6455 section 9.1). */
static bool take_parameter(struct sw_str *rest, struct parameter *parameter) {
    parameter->value = (struct sw_str){NULL, 0};
    if (!take_token(rest, &parameter->name)) {
        return false;
    }
    if (!take_byte(rest, '=')) {
        return true;
    }
    skip_blanks(rest);
    bool is_quoted = take_byte(rest, '"');
    if (rest->len == 0 || !is_token_byte(*rest->ptr) || !take_token(rest, &parameter->value)) {
        return false;
    }
    return !is_quoted || (rest->len > 0 && *rest->ptr == '"' && take_byte(rest, '"'));
}

/* 8..15 without a leading zero; 0 for anything else. */
static unsigned window_bits(struct sw_str text) {
    if (text.len == 1 && (text.ptr[0] == '8' || text.ptr[0] == '9')) {
        return (unsigned)(text.ptr[0] - '0');
    }
    if (text.len == 2 && text.ptr[0] == '1' && text.ptr[1] >= '0' && text.ptr[1] <= '5') {
        return 10 + (unsigned)(text.ptr[1] - '0');
    }
    return 0;
}

/* A parameter that is unknown, repeated or has a wrong value spoils its offer (RFC 7692 section 7.1). */
static void weigh_parameter(struct offer *offer, const struct parameter *parameter) {
    bool has_value = parameter->value.ptr != NULL;
    if (sw_str_eq(parameter->name, SW_STR("server_no_context_takeover"))) {
        offer->is_acceptable &= !has_value && !offer->is_server_no_takeover;
        offer->is_server_no_takeover = true;
    } else if (sw_str_eq(parameter->name, SW_STR("client_no_context_takeover"))) {
        offer->is_acceptable &= !has_value && !offer->is_client_no_takeover;
        offer->is_client_no_takeover = true;
    } else if (sw_str_eq(parameter->name, SW_STR("client_max_window_bits"))) {
        offer->is_acceptable &= !offer->has_client_bits && (!has_value || window_bits(parameter->value) > 0);
        offer->has_client_bits = true;
    } else if (sw_str_eq(parameter->name, SW_STR("server_max_window_bits"))) {
        unsigned bits = has_value ? window_bits(parameter->value) : 0;
        /* zlib cannot compress raw data with a window of 8 bits. */
        offer->is_acceptable &= bits >= LEAST_BITS && offer->server_bits == 0;
        offer->server_bits = bits;
    } else {
        offer->is_acceptable = false;
    }
}

static void accept_offer(const struct offer *offer, const struct sw_ws_handshake_options *options,
                         struct sw_ws_handshake *handshake) {
    unsigned bits = options->server_bits ? options->server_bits : USUAL_BITS;
    bits = bits < LEAST_BITS ? LEAST_BITS : bits > MOST_BITS ? MOST_BITS : bits;
    if (offer->server_bits > 0 && offer->server_bits < bits) {
        bits = offer->server_bits;
    }
    handshake->has_server_bits = offer->server_bits > 0;
    handshake->deflate = (struct sw_ws_deflate){
        .is_on = true,
        .is_server_no_takeover = offer->is_server_no_takeover || !options->is_takeover_wanted,
        .is_client_no_takeover = offer->is_client_no_takeover || !options->is_takeover_wanted,
        .server_bits = (unsigned char)bits,
    };
}

/* One header's list of offers: the first one that can be met wins. False if the header is malformed. */
static bool read_extensions(struct sw_str rest, const struct sw_ws_handshake_options *options,
                            struct sw_ws_handshake *handshake) {
    for (size_t count = 0; count < OFFERS_MAX; count++) {
        struct sw_str name;
        struct parameter parameter;
        if (!take_token(&rest, &name)) {
            return false;
        }
        struct offer offer = {.is_acceptable = sw_str_eq(name, SW_STR("permessage-deflate"))};
        while (take_byte(&rest, ';')) {
            if (!take_parameter(&rest, &parameter)) {
                return false;
            }
            weigh_parameter(&offer, &parameter);
        }
        if (offer.is_acceptable && !handshake->deflate.is_on && !options->is_deflate_off) {
            accept_offer(&offer, options, handshake);
        }
        if (!take_byte(&rest, ',')) {
            skip_blanks(&rest);
            return rest.len == 0;
        }
    }
    return false;
}

static bool choose_extensions(const struct sw_http_head *head, const struct sw_ws_handshake_options *options,
                              struct sw_ws_handshake *handshake) {
    for (size_t i = 0; i < head->header_count; i++) {
        if (sw_str_eq_nocase(head->headers[i].name, SW_STR("sec-websocket-extensions")) &&
            !read_extensions(head->headers[i].value, options, handshake)) {
            return false;
        }
    }
    return true;
}

enum sw_status sw_ws_handshake_accept(struct sw_str key, char accept[SW_WS_ACCEPT_BYTES + 1]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char text[SW_WS_ACCEPT_BYTES + 1];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_ok = context && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
                 EVP_DigestUpdate(context, key.ptr, key.len) == 1 &&
                 EVP_DigestUpdate(context, guid, sizeof(guid) - 1) == 1 &&
                 EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!is_ok) {
        return SW_NOMEM;
    }
    EVP_EncodeBlock(text, digest, 20);
    memcpy(accept, text, sizeof(text));
    return SW_OK;
}

enum sw_status sw_ws_handshake_check(const struct sw_http_head *head, const struct sw_ws_handshake_options *options,
                                     struct sw_ws_handshake *handshake) {
    static const struct sw_ws_handshake_options usual = {0};
    struct sw_ws_handshake result = {.http_status = 101};
    struct sw_str key;
    struct sw_str version;
    const struct sw_http_header *origin = sw_http_head_find(head, SW_STR("origin"));
    options = options ? options : &usual;
    if (!head->is_websocket_upgrade) {
        return fail(handshake, 400, "not a WebSocket upgrade by GET on HTTP/1.1");
    }
    if (!find_single(head, SW_STR("sec-websocket-version"), &version) || !sw_str_eq(version, SW_STR("13"))) {
        return fail(handshake, 426, "Sec-WebSocket-Version is not 13");
    }
    if (!find_single(head, SW_STR("sec-websocket-key"), &key) || !is_key(key)) {
        return fail(handshake, 400, "Sec-WebSocket-Key is not 16 bytes in base64");
    }
    if (!choose_protocol(head, options, &result)) {
        return fail(handshake, 400, "Sec-WebSocket-Protocol is not a list of tokens");
    }
    if (!choose_extensions(head, options, &result)) {
        return fail(handshake, 400, "Sec-WebSocket-Extensions is malformed");
    }
    enum sw_status status = sw_ws_handshake_accept(key, result.accept);
    if (status == SW_OK) {
        result.origin = origin ? origin->value : (struct sw_str){NULL, 0};
        *handshake = result;
    }
    return status;
}

static enum sw_status write_extension(const struct sw_ws_handshake *handshake, struct sw_buf *out) {
    const struct sw_ws_deflate *deflate = &handshake->deflate;
    char bits[32] = "";
    if (handshake->has_server_bits) {
        snprintf(bits, sizeof(bits), "; server_max_window_bits=%u", deflate->server_bits);
    }
    return sw_buf_append_format(out, "Sec-WebSocket-Extensions: permessage-deflate%s%s%s\r\n",
                                deflate->is_server_no_takeover ? "; server_no_context_takeover" : "",
                                deflate->is_client_no_takeover ? "; client_no_context_takeover" : "", bits);
}

enum sw_status sw_ws_handshake_write(const struct sw_ws_handshake *handshake, struct sw_buf *out) {
    size_t begin = out->len;
    enum sw_status status = sw_buf_append_format(out,
                                                 "HTTP/1.1 101 Switching Protocols\r\n"
                                                 "Upgrade: websocket\r\n"
                                                 "Connection: Upgrade\r\n"
                                                 "Sec-WebSocket-Accept: %s\r\n",
                                                 handshake->accept);
    if (status == SW_OK && handshake->protocol.len > 0) {
        status =
            sw_buf_append_format(out, "Sec-WebSocket-Protocol: %" SW_STR_FMT "\r\n", SW_STR_ARG(handshake->protocol));
    }
    if (status == SW_OK && handshake->deflate.is_on) {
        status = write_extension(handshake, out);
    }
    if (status == SW_OK) {
        status = sw_buf_append(out, SW_STR("\r\n"));
    }
    if (status != SW_OK) {
        out->len = begin;
    }
    return status;
}
