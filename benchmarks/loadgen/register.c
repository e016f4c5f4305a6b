/*
 * Mode register: whole DPS registrations, each on a connection of its own, `--window` of them at
 * one time. One registration is TCP, a full handshake, CONNECT, SUBSCRIBE, the register request,
 * the poll that is answered "assigned", DISCONNECT, close; every round trip is waited for, and
 * QoS 1 is acknowledged both ways, as the SDKs do.
 *
 * The client takes turns at its identities: number `--first` up to `--clients` of them. Who is
 * turned away before its CONNACK (the server has too much to do) comes back later, as a device
 * does, and is counted. Anything else that is not as it should be ends the program.
 */
#include "loadgen.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

enum {
    MAX_TRIES = 16,
    MAX_PACKET_BYTES = 4096, /* the answers have some hundred bytes */
    MAX_OPERATION_ID_BYTES = 128,
    EVENTS = 64,
    STARTS_PER_TURN = 16, /* so that new ones do not hold up those under way */
};

#define FILTER "$dps/registrations/res/#"
#define ANSWER "$dps/registrations/res/"
#define REGISTER "$dps/registrations/PUT/iotdps-register/?$rid=1"
#define POLL "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="

enum step { FREE, DIALLING, SHAKING, CONNECTING, SUBSCRIBING, REGISTERING, RESTING, POLLING, AWAY };

struct gateway {
    struct sleeper sleeper; /* until RESTING or AWAY ends */
    enum step step;
    int number, fd, tries;
    SSL *ssl;
    double began, rested; /* s */
    char operation_id[MAX_OPERATION_ID_BYTES + 1];
    uint8_t in[MAX_PACKET_BYTES];
    size_t in_length;
};

static SSL_CTX *context;
static int poller;
static long started, finished, turned_away;
static struct times latencies; /* without what the server ordered to wait */
static double rested_s;
static double last_end;

/* --- one gateway ------------------------------------------------------------------------------ */

static void watch(struct gateway *g, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = g};
    if (epoll_ctl(poller, operation, g->fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

static void dial(struct gateway *g)
{
    g->step = DIALLING;
    g->in_length = 0;
    g->fd = open_socket(g->number, opt.port, false);
    g->ssl = new_tls(context, g->fd, g->number);
    watch(g, EPOLL_CTL_ADD, EPOLLOUT);
}

static void hang_up(struct gateway *g)
{
    SSL_free(g->ssl);
    close(g->fd);
}

static void come_back_later(struct gateway *g, const char *why)
{
    ERR_clear_error();
    if (g->step >= SUBSCRIBING)
        die("client %d: %s in step %d", g->number, why, g->step);
    if (++g->tries == MAX_TRIES)
        die("client %d: %s, %d times", g->number, why, MAX_TRIES);
    turned_away++;
    hang_up(g);
    g->step = AWAY;
    sleep_until(&g->sleeper, now_s() + back_off_s(g->tries));
}

static void send_bytes(struct gateway *g, const uint8_t *data, size_t length)
{
    /* A few hundred bytes into an empty buffer: never a part. */
    if (SSL_write(g->ssl, data, (int)length) != (int)length)
        come_back_later(g, "cannot send");
}

static void send_publish(struct gateway *g, const char *topic, int packet_id, const char *body)
{
    uint8_t packet[MAX_PUBLISH_BYTES];
    send_bytes(g, packet,
               make_publish(packet, sizeof packet, topic, packet_id, body, strlen(body)));
}

static void subscribe(struct gateway *g)
{
    uint8_t packet[MAX_SUBSCRIBE_BYTES];
    g->step = SUBSCRIBING;
    send_bytes(g, packet, make_subscribe(packet, FILTER, 1, g->number));
}

static void ask(struct gateway *g)
{
    char name[MAX_TEXT_BYTES], body[2 * MAX_TEXT_BYTES];
    name_of(name, g->number);
    snprintf(body, sizeof body, "{\"registrationId\":\"%.128s\"}", name);
    g->step = REGISTERING;
    send_publish(g, REGISTER, 2, body);
}

static void poll_result(struct gateway *g)
{
    char topic[sizeof POLL + MAX_OPERATION_ID_BYTES];
    snprintf(topic, sizeof topic, POLL "%s", g->operation_id);
    g->step = POLLING;
    send_publish(g, topic, 3, " ");
}

static void finish(struct gateway *g)
{
    send_bytes(g, DISCONNECT, sizeof DISCONNECT);
    SSL_shutdown(g->ssl);
    hang_up(g);
    g->step = FREE;
    last_end = now_s();
    rested_s += g->rested;
    finished++;
    note_time(&latencies, last_end - g->began - g->rested);
}

/* --- what the server sends ---------------------------------------------------------------------- */

/* Return the text between `before` and the next quotation mark, and its length. */
static const char *find_text(const struct message *m, const char *before, size_t *found)
{
    const char *at = memmem(m->body, m->length, before, strlen(before));
    if (at == NULL)
        return NULL;
    at += strlen(before);
    const char *end = memchr(at, '"', (size_t)(m->body + m->length - at));
    if (end == NULL)
        return NULL;
    *found = (size_t)(end - at);
    return at;
}

static void take_202(struct gateway *g, const struct message *m)
{
    size_t size;
    const char *id = find_text(m, "\"operationId\":\"", &size);
    if (g->step != REGISTERING || id == NULL || size == 0 || size > MAX_OPERATION_ID_BYTES)
        die("client %d: unexpected %s: %.*s", g->number, m->topic, (int)m->length, m->body);
    memcpy(g->operation_id, id, size);
    g->operation_id[size] = '\0';
    if (!opt.wait) {
        poll_result(g);
        return;
    }
    const char *order = strstr(m->topic, "retry-after=");
    double seconds = order == NULL ? 0 : atof(order + strlen("retry-after="));
    g->rested += seconds;
    g->step = RESTING;
    sleep_until(&g->sleeper, now_s() + seconds);
}

static void take_200(struct gateway *g, const struct message *m)
{
    char name[MAX_TEXT_BYTES];
    name_of(name, g->number);
    size_t status_size, name_size, hub_size;
    const char *status = find_text(m, "\"status\":\"", &status_size);
    const char *who = find_text(m, "\"deviceId\":\"", &name_size);
    const char *hub = find_text(m, "\"assignedHub\":\"", &hub_size);
    if (g->step != POLLING || status == NULL || status_size != strlen("assigned") ||
        memcmp(status, "assigned", status_size) != 0 || hub == NULL || hub_size == 0 ||
        who == NULL || name_size != strlen(name) || memcmp(who, name, name_size) != 0)
        die("client %d (%s): unexpected %s: %.*s", g->number, name, m->topic, (int)m->length,
            m->body);
    finish(g);
}

static void take_answer(struct gateway *g, const uint8_t *packet, size_t header, size_t length)
{
    struct message m;
    read_message(&m, packet, header, length);
    if (m.qos > 0) {
        uint8_t puback[4] = {0x40, 2};
        put_u16(puback + 2, (size_t)m.packet_id);
        send_bytes(g, puback, sizeof puback);
    }
    if (strncmp(m.topic, ANSWER "202/", strlen(ANSWER) + 4) == 0)
        take_202(g, &m);
    else if (strncmp(m.topic, ANSWER "200/", strlen(ANSWER) + 4) == 0)
        take_200(g, &m);
    else
        die("client %d refused, %s: %.*s", g->number, m.topic, (int)m.length, m.body);
}

static void take_packet(struct gateway *g, const uint8_t *p, size_t header, size_t length)
{
    const uint8_t *body = p + header;
    switch (p[0] >> 4) {
    case 2: /* CONNACK */
        if (g->step != CONNECTING || length != 2 || body[1] != 0)
            die("client %d refused, CONNACK %d", g->number, body[1]);
        subscribe(g);
        return;
    case 9: /* SUBACK */
        if (g->step != SUBSCRIBING || length != 3 || body[2] > 1)
            die("client %d: subscription refused", g->number);
        ask(g);
        return;
    case 4: /* PUBACK: the answer follows */
        if (g->step != REGISTERING && g->step != POLLING)
            die("client %d: PUBACK in step %d", g->number, g->step);
        return;
    case 3:
        take_answer(g, p, header, length);
        return;
    default:
        die("client %d: unexpected packet %02x", g->number, p[0]);
    }
}

/* Take whole packets; keep what is left of one that has not come whole. */
static void take_packets(struct gateway *g)
{
    size_t at = 0;
    while (g->step != FREE && g->step != AWAY) {
        size_t header, length;
        bool whole = find_packet(g->in + at, g->in_length - at, &header, &length);
        if (header + length > sizeof g->in)
            die("client %d: a packet of %zu bytes", g->number, length);
        if (!whole)
            break;
        take_packet(g, g->in + at, header, length);
        at += header + length;
    }
    memmove(g->in, g->in + at, g->in_length - at);
    g->in_length -= at;
}

static void receive(struct gateway *g)
{
    while (g->step != FREE && g->step != AWAY) {
        int count = SSL_read(g->ssl, g->in + g->in_length, (int)(sizeof g->in - g->in_length));
        if (count > 0) {
            g->in_length += (size_t)count;
            take_packets(g);
            continue;
        }
        if (SSL_get_error(g->ssl, count) == SSL_ERROR_WANT_READ)
            return;
        come_back_later(g, "the server closed");
    }
}

static void shake_hands(struct gateway *g)
{
    int done = SSL_connect(g->ssl);
    if (done != 1) {
        int error = SSL_get_error(g->ssl, done);
        if (error == SSL_ERROR_WANT_READ)
            return;
        bool refused = error == SSL_ERROR_SSL &&
                       ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING;
        if (refused)
            die("client %d: the handshake failed", g->number);
        come_back_later(g, "the server closed in the handshake");
        return;
    }
    uint8_t packet[MAX_CONNECT_BYTES];
    g->step = CONNECTING;
    send_bytes(g, packet, make_connect(packet, g->number));
    receive(g); /* what came with the end of the handshake wakes nobody again */
}

static void go_on(struct gateway *g)
{
    if (g->step == DIALLING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(g->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            come_back_later(g, strerror(error));
            return;
        }
        g->step = SHAKING;
        watch(g, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (g->step == SHAKING)
        shake_hands(g);
    else if (g->step != FREE && g->step != AWAY)
        receive(g);
}

/* --- all of them ---------------------------------------------------------------------------------- */

static void start(struct gateway *g)
{
    g->number = opt.first + (int)(started++ % opt.clients);
    g->tries = 0;
    g->rested = 0;
    g->began = now_s();
    dial(g);
}

static void run_all(struct gateway *gateways, double end)
{
    int next = 0; /* who is looked at first for a free place */
    for (;;) {
        bool more = opt.messages > 0 ? started < opt.messages : now_s() < end;
        if (!more && finished == started)
            return;
        int starts = 0;
        for (int i = 0; more && i < opt.window && starts < STARTS_PER_TURN; i++) {
            struct gateway *g = &gateways[next];
            next = (next + 1) % opt.window;
            if (g->step != FREE)
                continue;
            start(g);
            starts++;
            more = opt.messages == 0 || started < opt.messages;
        }
        double now = now_s();
        for (struct gateway *g; (g = (struct gateway *)first_awake(now)) != NULL;)
            if (g->step == AWAY)
                dial(g);
            else
                poll_result(g);
        int timeout_ms = IO_TIMEOUT_MS;
        if (starts == STARTS_PER_TURN)
            timeout_ms = 0;
        else if (is_anyone_asleep())
            timeout_ms = (int)ceil(fmax(0, next_awake() - now) * 1000);
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, timeout_ms);
        if (count == 0 && timeout_ms == IO_TIMEOUT_MS)
            die("the server is silent for %d s; %ld registrations unfinished",
                IO_TIMEOUT_MS / 1000, started - finished);
        for (int i = 0; i < count; i++)
            go_on(events[i].data.ptr);
    }
}

int run_register(void)
{
    if (opt.clients < 2 * opt.window && (opt.messages == 0 || opt.clients < opt.messages))
        die("--clients must be twice --window, so that nobody registers twice at one time");
    context = make_context();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll: %s", strerror(errno));
    struct gateway *gateways = need(calloc((size_t)opt.window, sizeof *gateways));
    make_room_for_sleepers(opt.window);
    printf("{\"ready\":%d}\n", opt.clients);
    wait_for_go();
    double began = now_s(), cpu_before = own_cpu_s(RUSAGE_SELF);
    run_all(gateways, began + opt.seconds);
    if (finished == 0)
        die("no registration was done");
    sort_times(&latencies);
    printf("{\"mode\":\"register\",\"count\":%ld,\"seconds\":%.6f,\"cpu_s\":%.3f,"
           "\"turned_away\":%ld,\"rested_s\":%.3f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f}\n",
           finished, last_end - began, own_cpu_s(RUSAGE_SELF) - cpu_before, turned_away,
           rested_s / (double)finished, quantile_ms(&latencies, 0.5), quantile_ms(&latencies, 0.99),
           quantile_ms(&latencies, 1));
    return 0;
}
