/* The few packets of MQTT 3.1.1 that several modes send. */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

const uint8_t DISCONNECT[2] = {0xe0, 0x00};

uint8_t *put_u16(uint8_t *p, size_t value)
{
    *p++ = (uint8_t)(value >> 8);
    *p++ = (uint8_t)value;
    return p;
}

uint8_t *put_text(uint8_t *p, const char *text, size_t length)
{
    p = put_u16(p, length);
    memcpy(p, text, length);
    return p + length;
}

/* Remaining length, MQTT 3.1.1 section 2.2.3. */
uint8_t *put_length(uint8_t *p, size_t length)
{
    do {
        uint8_t byte = length % 128;
        length /= 128;
        *p++ = length > 0 ? byte | 0x80 : byte;
    } while (length > 0);
    return p;
}

size_t make_connect(uint8_t *out, int number)
{
    char id[MAX_TEXT_BYTES], user[MAX_TEXT_BYTES];
    size_t id_length = expand(id, opt.client_id, number);
    size_t user_length = expand(user, opt.user, number);
    size_t length = 10 + 2 + id_length + (user_length ? 2 + user_length : 0);
    uint8_t *p = out;
    *p++ = 0x10;
    p = put_length(p, length);
    p = put_text(p, "MQTT", 4);
    *p++ = 4;                         /* protocol level */
    /* user name; clean session unless the server is to keep it */
    *p++ = (uint8_t)((user_length ? 0x80 : 0) | (opt.keep_session ? 0 : 0x02));
    p = put_u16(p, (size_t)opt.keep_alive_s);
    p = put_text(p, id, id_length);
    if (user_length)
        p = put_text(p, user, user_length);
    return (size_t)(p - out);
}

size_t make_subscribe(uint8_t *out, const char *filters, int qos, int number)
{
    uint8_t wanted[MAX_SUBSCRIBE_BYTES - 8];
    uint8_t *q = wanted;
    char left[MAX_TEXT_BYTES];
    if (snprintf(left, sizeof left, "%s", filters) >= (int)sizeof left)
        die("too many filters: %s", filters);
    char *rest;
    for (char *one = strtok_r(left, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        char filter[MAX_TEXT_BYTES];
        size_t length = expand(filter, one, number);
        if (q + 2 + length + 1 > wanted + sizeof wanted)
            die("too many filters: %s", filters);
        q = put_text(q, filter, length);
        *q++ = (uint8_t)qos;
    }
    size_t length = (size_t)(q - wanted);
    uint8_t *p = out;
    *p++ = 0x82;
    p = put_length(p, 2 + length);
    p = put_u16(p, 1); /* packet id */
    memcpy(p, wanted, length);
    return (size_t)(p - out) + length;
}

size_t make_publish(uint8_t *out, size_t room, const char *topic, int packet_id, const char *body,
                    size_t length)
{
    size_t topic_length = strlen(topic), id_length = packet_id > 0 ? 2 : 0;
    if (5 + 2 + topic_length + id_length + length > room)
        die("a message of %zu bytes is too long", length);
    uint8_t *p = out;
    *p++ = packet_id > 0 ? 0x32 : 0x30;
    p = put_length(p, 2 + topic_length + id_length + length);
    p = put_text(p, topic, topic_length);
    if (packet_id > 0)
        p = put_u16(p, (size_t)packet_id);
    memcpy(p, body, length);
    return (size_t)(p - out) + length;
}

bool find_packet(const uint8_t *data, size_t available, size_t *header, size_t *length)
{
    *length = 0;
    *header = 1;
    int shift = 0;
    bool whole = false;
    while (!whole && *header < available && *header < 5) {
        uint8_t byte = data[(*header)++];
        *length |= (size_t)(byte & 0x7f) << shift;
        shift += 7;
        whole = (byte & 0x80) == 0;
    }
    return whole && *header + *length <= available;
}

void read_message(struct message *m, const uint8_t *packet, size_t header, size_t length)
{
    const uint8_t *p = packet + header;
    m->qos = packet[0] >> 1 & 3;
    size_t topic_length = length < 2 ? length : (size_t)p[0] << 8 | p[1];
    size_t before = 2 + topic_length + (m->qos > 0 ? 2 : 0);
    if (before > length || topic_length >= sizeof m->topic)
        die("broken PUBLISH");
    memcpy(m->topic, p + 2, topic_length);
    m->topic[topic_length] = '\0';
    m->packet_id = m->qos > 0 ? p[before - 2] << 8 | p[before - 1] : 0;
    m->body = (const char *)p + before;
    m->length = length - before;
}
