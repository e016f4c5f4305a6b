/* Mode publish: QoS 1 telemetry with a window of unacknowledged messages. */
#include "loadgen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MAX_COUNTERS = 4,    /* "{i}" in a topic */
    COUNTER_DIGITS = 12, /* as the last group of a UUID, and microseconds of eleven days */
};
#define COUNTERS 1000000000000

static long next_counter; /* begins with the time, so that runs differ too */

struct publisher {
    SSL *ssl;
    int fd;
    int number;
    uint8_t *packet; /* one PUBLISH; only the packet id and the counters change */
    size_t packet_length, id_offset;
    size_t counters[MAX_COUNTERS]; /* where in the packet */
    int counter_count;
    long sent, acknowledged;
    uint16_t next_id;
    uint8_t in_flight[MAX_PACKET_IDS / 8];
    uint8_t *out; /* what the socket has not taken yet */
    size_t out_length, out_done;
    uint8_t in[MAX_RECORD_BYTES];
    size_t in_length;
    bool wants_write;
};

/* Replace each "{i}" in `topic` by room for a counter; note where, return the new length. */
static size_t make_counters(struct publisher *p, char *topic, size_t length)
{
    for (char *mark; (mark = strstr(topic, "{i}")) != NULL;) {
        if (p->counter_count == MAX_COUNTERS || length + COUNTER_DIGITS - 3 >= MAX_TEXT_BYTES)
            die("topic too long: %s", opt.topic);
        memmove(mark + COUNTER_DIGITS, mark + 3, strlen(mark + 3) + 1);
        memset(mark, '0', COUNTER_DIGITS);
        length += COUNTER_DIGITS - 3;
        p->counters[p->counter_count++] = (size_t)(mark - topic);
    }
    return length;
}

static void put_counters(const struct publisher *p, uint8_t *packet)
{
    long value = next_counter++ % COUNTERS;
    char digits[2 * COUNTER_DIGITS];
    snprintf(digits, sizeof digits, "%012ld", value);
    for (int i = 0; i < p->counter_count; i++)
        memcpy(packet + p->counters[i], digits, COUNTER_DIGITS);
}

static void prepare_packet(struct publisher *p)
{
    char topic[MAX_TEXT_BYTES];
    size_t topic_length = make_counters(p, topic, expand(topic, opt.topic, p->number));
    size_t length = 2 + topic_length + 2 + (size_t)opt.size;
    p->packet = need(malloc(length + 5));
    uint8_t *q = p->packet;
    *q++ = 0x32; /* PUBLISH, QoS 1 */
    q = put_length(q, length);
    for (int i = 0; i < p->counter_count; i++)
        p->counters[i] += (size_t)(q - p->packet) + 2;
    q = put_text(q, topic, topic_length);
    p->id_offset = (size_t)(q - p->packet);
    q += 2;
    for (int i = 0; i < opt.size; i++)
        *q++ = (uint8_t)("0123456789abcdef"[i % 16]);
    p->packet_length = (size_t)(q - p->packet);
}

/* Hand what is waiting to TLS; false when the socket is full. */
static bool flush_out(struct publisher *p)
{
    while (p->out_done < p->out_length) {
        int count = SSL_write(p->ssl, p->out + p->out_done, (int)(p->out_length - p->out_done));
        if (count <= 0) {
            int error = SSL_get_error(p->ssl, count);
            if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ)
                return false;
            die("client %d: the server closed while sending (TLS error %d)", p->number, error);
        }
        p->out_done += (size_t)count;
    }
    p->out_length = p->out_done = 0;
    return true;
}

/* Fill the window; each write is one TLS record of at most `batch` messages. */
static void send_more(struct publisher *p)
{
    while (flush_out(p)) {
        long room = opt.window - (p->sent - p->acknowledged);
        long left = opt.messages - p->sent;
        long count = room < left ? room : left;
        if (count > opt.batch)
            count = opt.batch;
        if (count <= 0)
            break;
        for (long i = 0; i < count; i++) {
            uint16_t id = p->next_id;
            p->next_id = id == 65535 ? 1 : (uint16_t)(id + 1);
            if (p->in_flight[id / 8] & (1u << (id % 8)))
                die("client %d: packet id %d still in flight", p->number, id);
            p->in_flight[id / 8] |= (uint8_t)(1u << (id % 8));
            uint8_t *packet = p->out + p->out_length;
            memcpy(packet, p->packet, p->packet_length);
            put_u16(packet + p->id_offset, id);
            if (p->counter_count > 0)
                put_counters(p, packet);
            p->out_length += p->packet_length;
        }
        p->sent += count;
    }
    p->wants_write = p->out_length > 0;
}

static void take_acknowledgements(struct publisher *p)
{
    size_t at = 0;
    while (p->in_length - at >= 4) {
        const uint8_t *q = p->in + at;
        if (q[0] != 0x40 || q[1] != 2)
            die("client %d: expected PUBACK, got %02x %02x", p->number, q[0], q[1]);
        unsigned id = (unsigned)q[2] << 8 | q[3];
        if (!(p->in_flight[id / 8] & (1u << (id % 8))))
            die("client %d: PUBACK for packet id %u, which is not in flight", p->number, id);
        p->in_flight[id / 8] &= (uint8_t)~(1u << (id % 8));
        p->acknowledged++;
        at += 4;
    }
    memmove(p->in, p->in + at, p->in_length - at);
    p->in_length -= at;
}

static void receive(struct publisher *p)
{
    for (;;) {
        int count = SSL_read(p->ssl, p->in + p->in_length, (int)(sizeof p->in - p->in_length));
        if (count <= 0) {
            int error = SSL_get_error(p->ssl, count);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                return;
            die("client %d: the server closed with %ld messages unacknowledged (TLS error %d)",
                p->number, p->sent - p->acknowledged, error);
        }
        p->in_length += (size_t)count;
        take_acknowledgements(p);
    }
}

int run_publish(void)
{
    SSL_CTX *context = make_context();
    next_counter = (long)(now_s() * 1e6);
    struct publisher *publishers = need(calloc((size_t)opt.clients, sizeof *publishers));
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll: %s", strerror(errno));
    for (int i = 0; i < opt.clients; i++) {
        struct publisher *p = &publishers[i];
        p->number = opt.first + i;
        p->next_id = 1;
        prepare_packet(p);
        if ((size_t)opt.batch * p->packet_length > MAX_RECORD_BYTES)
            die("%d messages of %d bytes do not fit one TLS record", opt.batch, opt.size);
        p->out = need(malloc((size_t)opt.batch * p->packet_length));
        p->fd = tcp_connect(p->number);
        p->ssl = tls_connect(context, p->fd, p->number);
        mqtt_connect(p->ssl, p->number);
        fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &event) != 0)
            die("epoll: %s", strerror(errno));
    }
    printf("{\"ready\":%d}\n", opt.clients);
    wait_for_go();

    double began = now_s(), cpu_before = own_cpu_s(RUSAGE_SELF);
    int unfinished = opt.clients;
    for (int i = 0; i < opt.clients; i++) {
        send_more(&publishers[i]);
        if (publishers[i].wants_write) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = &publishers[i]};
            epoll_ctl(poller, EPOLL_CTL_MOD, publishers[i].fd, &event);
        }
    }
    while (unfinished > 0) {
        struct epoll_event events[64];
        int count = epoll_wait(poller, events, 64, IO_TIMEOUT_MS);
        if (count == 0)
            die("no acknowledgement for %d s; %d clients unfinished", IO_TIMEOUT_MS / 1000,
                unfinished);
        for (int i = 0; i < count; i++) {
            struct publisher *p = events[i].data.ptr;
            bool was_done = p->acknowledged == opt.messages;
            bool had_wanted = p->wants_write;
            receive(p);
            send_more(p);
            if (p->wants_write != had_wanted) {
                struct epoll_event event = {
                    .events = p->wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = p};
                epoll_ctl(poller, EPOLL_CTL_MOD, p->fd, &event);
            }
            if (!was_done && p->acknowledged == opt.messages)
                unfinished--;
        }
    }
    double seconds = now_s() - began, cpu = own_cpu_s(RUSAGE_SELF) - cpu_before;
    printf("{\"mode\":\"publish\",\"count\":%ld,\"seconds\":%.6f,\"cpu_s\":%.3f}\n",
           (long)opt.messages * opt.clients, seconds, cpu);
    fflush(stdout);
    for (int i = 0; i < opt.clients; i++) {
        SSL_write(publishers[i].ssl, DISCONNECT, sizeof DISCONNECT);
        close(publishers[i].fd);
    }
    return 0;
}
