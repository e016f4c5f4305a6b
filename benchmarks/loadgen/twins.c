/*
 * Mode twins: devices patch their reported properties, `--window` patches of each without an
 * answer, for `--seconds`. A patch is a PUBLISH of QoS 1, as Azure's SDK for Python sends it; it is
 * done when its 204 has come, which must come in turn, with versions that count up by one.
 */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FILTER "$iothub/twin/res/#"
#define ANSWER "$iothub/twin/res/204/?$rid="
#define PATCH "$iothub/twin/PATCH/properties/reported/?$rid="

struct device {
    struct link link;
    long sent, answered, acknowledged;
    long version; /* of the last answer; 0 before the first */
    double *began; /* s, of those under way: place of the n-th is n modulo the window */
};

static struct times latencies;
static double end_s;
static int ready_count;
static long under_way;

static void send_more(struct device *d)
{
    while (d->sent - d->answered < opt.window && now_s() < end_s) {
        char topic[MAX_TEXT_BYTES], body[MAX_PUBLISH_BYTES / 2];
        int length = snprintf(body, sizeof body, "{\"n\":%ld,\"text\":\"", 1000000000 + d->sent);
        int text = opt.size - length - 2;
        if (text < 0 || opt.size > (int)sizeof body)
            die("--size must be from %d to %zu", length + 2, sizeof body);
        for (int i = 0; i < text; i++)
            body[length++] = "0123456789abcdef"[i % 16];
        memcpy(body + length, "\"}", 2);
        snprintf(topic, sizeof topic, PATCH "%lx", d->sent);
        d->began[d->sent % opt.window] = now_s();
        d->sent++;
        under_way++;
        link_publish(&d->link, topic, 1 + (int)(d->sent % (MAX_PACKET_IDS - 1)), body,
                     (size_t)length + 2);
    }
}

static void take_answer(struct device *d, const struct message *m)
{
    const char *rid = m->topic + strlen(ANSWER);
    char *after;
    if (strncmp(m->topic, ANSWER, strlen(ANSWER)) != 0 ||
        strtol(rid, &after, 16) != d->answered || strncmp(after, "&$version=", 10) != 0)
        die("client %d: expected 204 for patch %lx, got %s: %.*s", d->link.number, d->answered,
            m->topic, (int)m->length, m->body);
    long version = strtol(after + 10, NULL, 10);
    if (version < 1 || (d->version != 0 && version != d->version + 1))
        die("client %d: version %ld after %ld", d->link.number, version, d->version);
    d->version = version;
    note_time(&latencies, now_s() - d->began[d->answered % opt.window]);
    d->answered++;
    under_way--;
    send_more(d);
}

static size_t take(struct link *l, const uint8_t *data, size_t available)
{
    struct device *d = (struct device *)l;
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
    case 4: /* PUBACK */
        d->acknowledged++;
        break;
    case 3:
        read_message(&m, data, header, length);
        if (m.qos != 0)
            die("client %d: an answer of QoS %d", l->number, m.qos);
        take_answer(d, &m);
        break;
    default:
        die("client %d: unexpected packet %02x", l->number, data[0]);
    }
    return header + length;
}

int run_twins(void)
{
    SSL_CTX *context = make_context();
    int poller = make_poller();
    struct device *devices = need(calloc((size_t)opt.clients, sizeof *devices));
    for (int i = 0; i < opt.clients; i++) {
        struct device *d = &devices[i];
        uint8_t packet[MAX_SUBSCRIBE_BYTES];
        d->began = need(calloc((size_t)opt.window, sizeof *d->began));
        d->link.take = take;
        link_open(&d->link, poller, context, opt.first + i, true);
        link_send(&d->link, packet, make_subscribe(packet, FILTER, 1, d->link.number));
    }
    while (ready_count < opt.clients)
        if (!poll_links(poller, IO_TIMEOUT_MS))
            die("no SUBACK for %d s", IO_TIMEOUT_MS / 1000);
    printf("{\"ready\":%d}\n", opt.clients);
    wait_for_go();

    double began = now_s(), cpu_before = own_cpu_s(RUSAGE_SELF);
    end_s = began + opt.seconds;
    for (int i = 0; i < opt.clients; i++)
        send_more(&devices[i]);
    while (under_way > 0)
        if (!poll_links(poller, IO_TIMEOUT_MS))
            die("no answer for %d s; %ld patches unanswered", IO_TIMEOUT_MS / 1000, under_way);
    double seconds = now_s() - began, cpu = own_cpu_s(RUSAGE_SELF) - cpu_before;
    for (int i = 0; i < opt.clients; i++)
        if (devices[i].acknowledged != devices[i].sent)
            die("client %d: %ld patches, %ld PUBACKs", devices[i].link.number, devices[i].sent,
                devices[i].acknowledged);
    sort_times(&latencies);
    printf("{\"mode\":\"twins\",\"count\":%ld,\"seconds\":%.6f,\"cpu_s\":%.3f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           latencies.count, seconds, cpu, quantile_ms(&latencies, 0.5),
           quantile_ms(&latencies, 0.99));
    fflush(stdout);
    for (int i = 0; i < opt.clients; i++)
        link_send(&devices[i].link, DISCONNECT, sizeof DISCONNECT);
    return 0;
}
