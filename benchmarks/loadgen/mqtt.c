/* The few packets of MQTT 3.1.1 that several modes send. */
#include "loadgen.h"

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
    *p++ = user_length ? 0x82 : 0x02; /* user name, clean session */
    p = put_u16(p, (size_t)opt.keep_alive_s);
    p = put_text(p, id, id_length);
    if (user_length)
        p = put_text(p, user, user_length);
    return (size_t)(p - out);
}
