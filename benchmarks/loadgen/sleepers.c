/* Those that wait for a time of their own, as a heap by it. */
#include "loadgen.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_BACK_OFF_S 1.0
#define MAX_BACK_OFF_S 8.0

static struct sleeper **sleepers;
static int sleeper_count;

void make_room_for_sleepers(int count)
{
    sleepers = need(calloc((size_t)count, sizeof *sleepers));
}

bool is_anyone_asleep(void)
{
    return sleeper_count > 0;
}

double next_awake(void)
{
    return sleepers[0]->due;
}

void sleep_until(struct sleeper *sleeper, double due)
{
    sleeper->due = due;
    int at = sleeper_count++;
    while (at > 0 && sleepers[(at - 1) / 2]->due > due) {
        sleepers[at] = sleepers[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sleepers[at] = sleeper;
}

struct sleeper *first_awake(double now)
{
    if (sleeper_count == 0 || sleepers[0]->due > now)
        return NULL;
    struct sleeper *first = sleepers[0], *last = sleepers[--sleeper_count];
    int at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child >= sleeper_count)
            break;
        if (child + 1 < sleeper_count && sleepers[child + 1]->due < sleepers[child]->due)
            child++;
        if (sleepers[child]->due >= last->due)
            break;
        sleepers[at] = sleepers[child];
        at = child;
    }
    sleepers[at] = last;
    return first;
}

double back_off_s(int tries)
{
    return fmin(FIRST_BACK_OFF_S * pow(2, tries - 1), MAX_BACK_OFF_S) * (0.5 + drand48());
}
