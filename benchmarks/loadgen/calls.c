/*
 * Modes methods, desired and relay: `--window` callers, each with one call under way, for
 * `--seconds`; the devices are in this program too and answer at once. Callers and devices have a
 * connection each. A caller has devices of its own, which it calls in turn.
 *
 *   methods  HTTP POST /twins/{n}/methods → device → its answer → 200 with the answer in it
 *   desired  HTTP PATCH /twins/{n} → 200, and the notification at the device; done with both
 *   relay    MQTT from caller through a broker to device, and back: the same hops as methods
 *
 * Each call has a number in its payload that must come back (desired: arrive).
 */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

enum { MAX_REQUEST_BYTES = 2 * MAX_PUBLISH_BYTES, MAX_NUMBER_DIGITS = 20 };

#define API_VERSION "2021-04-12"
#define METHOD_CALL "$iothub/methods/POST/"
#define METHOD_FILTER METHOD_CALL "#"
#define DESIRED "$iothub/twin/PATCH/properties/desired/?$version="
#define DESIRED_FILTER "$iothub/twin/PATCH/properties/desired/#"

enum kind { METHODS, PATCHES, RELAY };

struct caller;

struct device {
    struct link link; /* the first member, as below */
    struct caller *caller;
    long version; /* of the last notification; 0 before the first */
};

struct caller {
    struct link link;
    struct device *device; /* whom it is calling */
    long call;             /* the number of the call under way, 0 for none */
    bool is_answered, is_notified;
    int turn;
    double began; /* s */
};

static enum kind kind;
static struct device *devices;
static struct times latencies;
static long last_call, under_way;
static int ready_count;
static double end_s;

/* --- payloads ------------------------------------------------------------------------------ */

static size_t make_payload(char *out, size_t room, long call)
{
    int length = snprintf(out, room, "{\"n\":%ld,\"text\":\"", call);
    if (opt.size < length + 2 || (size_t)opt.size >= room)
        die("--size must be from %d to %zu", length + 2, room - 1);
    while (length < opt.size - 2) {
        out[length] = "0123456789abcdef"[length % 16];
        length++;
    }
    memcpy(out + length, "\"}", 3);
    return (size_t)length + 2;
}

/* Say whether `text` has the number of `call` in it, as the service writes it or as it was sent. */
static bool has_number(const char *text, size_t length, long call)
{
    char wanted[MAX_NUMBER_DIGITS + 8];
    int size = snprintf(wanted, sizeof wanted, "\"n\":%ld,", call);
    return memmem(text, length, wanted, (size_t)size) != NULL;
}

/* --- callers ------------------------------------------------------------------------------- */

static void send_request(struct caller *c, const char *method, const char *path, const char *body)
{
    char id[MAX_TEXT_BYTES], request[MAX_REQUEST_BYTES];
    expand(id, opt.client_id, c->device->link.number);
    int length = snprintf(request, sizeof request,
                          "%s /twins/%s%s?api-version=" API_VERSION " HTTP/1.1\r\n"
                          "Host: %s\r\nAuthorization: %s\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          method, id, path, opt.http_host, opt.authorization, strlen(body), body);
    if (length >= (int)sizeof request)
        die("the request is too long");
    link_send(&c->link, request, (size_t)length);
}

static void call_next(struct caller *c)
{
    c->call = 0;
    if (now_s() >= end_s)
        return;
    /* The devices of caller k are k, k + window, k + 2 * window ... */
    int own = opt.clients / opt.window, slot = c->link.number;
    c->device = &devices[slot + c->turn++ % own * opt.window];
    c->call = ++last_call;
    c->is_answered = c->is_notified = false;
    c->began = now_s();
    under_way++;
    char payload[MAX_PUBLISH_BYTES / 2], body[MAX_PUBLISH_BYTES], topic[MAX_TEXT_BYTES];
    size_t length = make_payload(payload, sizeof payload, c->call);
    switch (kind) {
    case METHODS:
        snprintf(body, sizeof body,
                 "{\"methodName\":\"measure\",\"responseTimeoutInSeconds\":30,"
                 "\"connectTimeoutInSeconds\":0,\"payload\":%s}",
                 payload);
        send_request(c, "POST", "/methods", body);
        break;
    case PATCHES:
        snprintf(body, sizeof body, "{\"properties\":{\"desired\":%s}}", payload);
        send_request(c, "PATCH", "", body);
        break;
    case RELAY:
        snprintf(topic, sizeof topic, "bench/call/%d/%d/%lx", c->device->link.number, slot,
                 c->call);
        link_publish(&c->link, topic, 0, payload, length);
        break;
    }
}

static void finish_if_done(struct caller *c)
{
    if (!c->is_answered || (kind == PATCHES && !c->is_notified))
        return;
    note_time(&latencies, now_s() - c->began);
    under_way--;
    call_next(c);
}

static void check_answer(struct caller *c, const char *text, size_t length)
{
    if (c->call == 0 || c->is_answered || !has_number(text, length, c->call))
        die("caller %d: call %ld has a wrong answer: %.*s", c->link.number, c->call, (int)length,
            text);
    c->is_answered = true;
    finish_if_done(c);
}

static size_t take_response(struct link *l, const uint8_t *data, size_t available)
{
    static const char LENGTH[] = "content-length:";
    const char *text = (const char *)data;
    const char *end = memmem(text, available, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t header = (size_t)(end - text) + 4, length = 0;
    bool has_length = false;
    for (const char *line = text; line < end; line = (const char *)memchr(line, '\n', header) + 1)
        if (strncasecmp(line, LENGTH, sizeof LENGTH - 1) == 0) {
            length = strtoul(line + sizeof LENGTH - 1, NULL, 10);
            has_length = true;
        }
    if (!has_length)
        die("caller %d: no Content-Length: %.*s", l->number, (int)header, text);
    if (available < header + length)
        return 0;
    if (strncmp(text, "HTTP/1.1 200 ", 13) != 0)
        die("caller %d: refused: %.*s", l->number, (int)(header + length), text);
    const char *body = text + header;
    if (kind == METHODS && memmem(body, length, "\"status\":200", 12) == NULL)
        die("caller %d: not the device's status: %.*s", l->number, (int)length, body);
    check_answer((struct caller *)l, body, length);
    return header + length;
}

/* --- devices ------------------------------------------------------------------------------- */

bool answer_method(struct link *l, const struct message *m)
{
    if (strncmp(m->topic, METHOD_CALL, strlen(METHOD_CALL)) != 0)
        return false;
    const char *rid = strstr(m->topic, "/?$rid=");
    if (rid == NULL)
        return false;
    char topic[MAX_TEXT_BYTES];
    snprintf(topic, sizeof topic, "$iothub/methods/res/200/?$rid=%.64s", rid + 7);
    link_publish(l, topic, 0, m->body, m->length);
    return true;
}

static void take_notification(struct device *d, const struct message *m)
{
    long version = strtol(m->topic + strlen(DESIRED), NULL, 10);
    struct caller *c = d->caller;
    if (c->device != d || c->call == 0 || c->is_notified || !has_number(m->body, m->length, c->call))
        die("client %d: a notification that nobody waits for: %.*s", d->link.number, (int)m->length,
            m->body);
    if (d->version != 0 && version != d->version + 1)
        die("client %d: version %ld after %ld", d->link.number, version, d->version);
    d->version = version;
    c->is_notified = true;
    finish_if_done(c);
}

static void take_message(struct link *l, const struct message *m)
{
    int caller, device;
    if (kind == METHODS && answer_method(l, m))
        return;
    if (kind == PATCHES && strncmp(m->topic, DESIRED, strlen(DESIRED)) == 0) {
        take_notification((struct device *)l, m);
        return;
    }
    if (kind == RELAY && sscanf(m->topic, "bench/call/%d/%d/", &device, &caller) == 2) {
        char topic[MAX_TEXT_BYTES];
        snprintf(topic, sizeof topic, "bench/answer/%d", caller);
        link_publish(l, topic, 0, m->body, m->length);
        return;
    }
    if (kind == RELAY && strncmp(m->topic, "bench/answer/", 13) == 0) {
        check_answer((struct caller *)l, m->body, m->length);
        return;
    }
    die("client %d: unexpected message on %s", l->number, m->topic);
}

static size_t take_packet(struct link *l, const uint8_t *data, size_t available)
{
    size_t header, length;
    if (!find_packet(data, available, &header, &length))
        return 0;
    struct message m;
    switch (data[0] >> 4) {
    case 9: /* SUBACK */
        if (length != 3 || data[header + 2] > 1)
            die("client %d: subscription refused", l->number);
        ready_count++;
        break;
    case 3:
        read_message(&m, data, header, length);
        if (m.qos != 0)
            die("client %d: a message of QoS %d", l->number, m.qos);
        take_message(l, &m);
        break;
    default:
        die("client %d: unexpected packet %02x", l->number, data[0]);
    }
    return header + length;
}

/* --- all of them --------------------------------------------------------------------------- */

static void subscribe(struct link *l, const char *filter)
{
    uint8_t packet[MAX_SUBSCRIBE_BYTES];
    link_send(l, packet, make_subscribe(packet, filter, 0, l->number));
}

int run_calls(void)
{
    kind = strcmp(opt.mode, "methods") == 0 ? METHODS
           : strcmp(opt.mode, "desired") == 0 ? PATCHES : RELAY;
    if (opt.clients % opt.window != 0)
        die("--clients must be a multiple of --window");
    if (kind != RELAY && opt.http_port == 0)
        die("--http-port is missing");
    SSL_CTX *context = make_context();
    int poller = make_poller();
    devices = need(calloc((size_t)opt.clients, sizeof *devices));
    struct caller *callers = need(calloc((size_t)opt.window, sizeof *callers));
    for (int i = 0; i < opt.clients; i++) {
        char filter[MAX_TEXT_BYTES];
        snprintf(filter, sizeof filter, "bench/call/%d/#", i);
        devices[i].caller = &callers[i % opt.window];
        devices[i].link.take = take_packet;
        link_open(&devices[i].link, poller, context, i, true);
        subscribe(&devices[i].link, kind == METHODS   ? METHOD_FILTER
                                    : kind == PATCHES ? DESIRED_FILTER : filter);
    }
    int wanted = opt.clients;
    if (kind == RELAY)
        opt.client_id = "bench-caller-{n}";
    for (int i = 0; i < opt.window; i++) {
        struct caller *c = &callers[i];
        c->link.take = kind == RELAY ? take_packet : take_response;
        link_open(&c->link, poller, context, i, kind == RELAY);
        if (kind == RELAY) {
            char filter[MAX_TEXT_BYTES];
            snprintf(filter, sizeof filter, "bench/answer/%d", i);
            subscribe(&c->link, filter);
            wanted++;
        }
    }
    while (ready_count < wanted)
        if (!poll_links(poller, IO_TIMEOUT_MS))
            die("no SUBACK for %d s", IO_TIMEOUT_MS / 1000);
    printf("{\"ready\":%d}\n", opt.clients);
    wait_for_go();

    double began = now_s(), cpu_before = own_cpu_s(RUSAGE_SELF);
    last_call = (long)(began * 1e6); /* so that no payload is that of an earlier run */
    end_s = began + opt.seconds;
    for (int i = 0; i < opt.window; i++)
        call_next(&callers[i]);
    while (under_way > 0)
        if (!poll_links(poller, IO_TIMEOUT_MS))
            die("no answer for %d s; %ld calls unanswered", IO_TIMEOUT_MS / 1000, under_way);
    double seconds = now_s() - began, cpu = own_cpu_s(RUSAGE_SELF) - cpu_before;
    sort_times(&latencies);
    printf("{\"mode\":\"%s\",\"count\":%ld,\"seconds\":%.6f,\"cpu_s\":%.3f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           opt.mode, latencies.count, seconds, cpu, quantile_ms(&latencies, 0.5),
           quantile_ms(&latencies, 0.99));
    fflush(stdout);
    for (int i = 0; i < opt.clients; i++)
        link_send(&devices[i].link, DISCONNECT, sizeof DISCONNECT);
    return 0;
}
