/* Connections that do not block, each with its bytes on the way; see loadgen.h. */
#include "loadgen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <openssl/err.h>

enum { EVENTS = 64 };

int make_poller(void)
{
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll: %s", strerror(errno));
    return poller;
}

static void end(struct link *l, const char *why)
{
    ERR_clear_error();
    if (l->closed == NULL)
        die("client %d: %s", l->number, why);
    l->is_over = true;
    l->closed(l, why);
}

static void watch_link(struct link *l, int poller, int operation)
{
    /* Edge-triggered: both directions are always used until there is nothing more. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = l};
    if (epoll_ctl(poller, operation, l->fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

void link_open(struct link *l, int poller, SSL_CTX *context, int number, bool is_mqtt)
{
    l->number = number;
    l->fd = open_socket(number, is_mqtt ? opt.port : opt.http_port, true);
    l->ssl = tls_connect(context, l->fd, number);
    if (is_mqtt)
        mqtt_connect(l->ssl, number);
    fcntl(l->fd, F_SETFL, fcntl(l->fd, F_GETFL) | O_NONBLOCK);
    watch_link(l, poller, EPOLL_CTL_ADD);
}

void link_dial(struct link *l, int poller, SSL_CTX *context, int number)
{
    l->number = number;
    l->is_over = false;
    l->in_length = l->out_length = 0;
    l->fd = open_socket(number, opt.port, false);
    l->ssl = new_tls(context, l->fd, number);
    SSL_set_connect_state(l->ssl);
    watch_link(l, poller, EPOLL_CTL_ADD);
    /* Kept until the handshake is done, which is done by writing and reading. */
    uint8_t packet[MAX_CONNECT_BYTES];
    link_send(l, packet, make_connect(packet, number));
}

/* Append to what is kept; there is seldom anything. */
static void keep(uint8_t **kept, size_t *kept_length, const void *data, size_t length)
{
    *kept = need(realloc(*kept, *kept_length + length));
    memcpy(*kept + *kept_length, data, length);
    *kept_length += length;
}

/* Hand bytes to TLS; return how many it took. */
static size_t write_some(struct link *l, const uint8_t *data, size_t length)
{
    size_t done = 0;
    while (done < length) {
        int count = SSL_write(l->ssl, data + done, (int)(length - done));
        if (count <= 0) {
            int error = SSL_get_error(l->ssl, count);
            if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
                end(l, "the server closed while it was sent something");
            break;
        }
        done += (size_t)count;
    }
    return done;
}

static void flush_out(struct link *l)
{
    if (l->out_length == 0)
        return;
    size_t done = write_some(l, l->out, l->out_length);
    if (l->is_over)
        return;
    memmove(l->out, l->out + done, l->out_length - done);
    l->out_length -= done;
}

void link_send(struct link *l, const void *data, size_t length)
{
    if (l->out_length > 0) {
        keep(&l->out, &l->out_length, data, length);
        return;
    }
    size_t done = write_some(l, data, length);
    if (done < length && !l->is_over)
        keep(&l->out, &l->out_length, (const uint8_t *)data + done, length - done);
}

void link_publish(struct link *l, const char *topic, int packet_id, const char *body,
                  size_t length)
{
    uint8_t packet[MAX_PUBLISH_BYTES];
    link_send(l, packet, make_publish(packet, sizeof packet, topic, packet_id, body, length));
}

static void take_all(struct link *l, const uint8_t *data, size_t length)
{
    bool had_kept = l->in_length > 0;
    if (had_kept) {
        keep(&l->in, &l->in_length, data, length);
        data = l->in;
        length = l->in_length;
    }
    size_t at = 0;
    while (at < length && !l->is_over) {
        size_t taken = l->take(l, data + at, length - at);
        if (taken == 0)
            break;
        at += taken;
    }
    if (l->is_over)
        return;
    if (had_kept) {
        memmove(l->in, l->in + at, length - at);
        l->in_length = length - at;
    } else if (at < length) {
        keep(&l->in, &l->in_length, data + at, length - at);
    }
}

void link_read(struct link *l)
{
    uint8_t buffer[MAX_RECORD_BYTES];
    while (!l->is_over) {
        int count = SSL_read(l->ssl, buffer, sizeof buffer);
        if (count > 0) {
            take_all(l, buffer, (size_t)count);
            continue;
        }
        int error = SSL_get_error(l->ssl, count);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            end(l, "the server closed");
        return;
    }
}

bool poll_links(int poller, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poller, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct link *l = events[i].data.ptr;
        if (!l->is_over)
            flush_out(l);
        if (!l->is_over)
            link_read(l);
        if (!l->is_over)
            flush_out(l); /* reading may have ended the handshake */
    }
    return count != 0;
}
