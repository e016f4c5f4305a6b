#include "loadgen.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    unsigned long code = ERR_get_error();
    if (code != 0) {
        char text[256];
        ERR_error_string_n(code, text, sizeof text);
        fprintf(stderr, ": %s", text);
    }
    fputc('\n', stderr);
    exit(1);
}

void *need(void *memory)
{
    if (memory == NULL)
        die("no memory");
    return memory;
}

double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double own_cpu_s(int who)
{
    struct rusage use;
    getrusage(who, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

void wait_for_go(void)
{
    char byte;
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        ;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void sort_times(struct times *times)
{
    qsort(times->all, (size_t)times->count, sizeof *times->all, by_size);
}

double quantile_ms(const struct times *sorted, double share)
{
    long at = (long)ceil(share * (double)sorted->count) - 1;
    return 1000 * sorted->all[at < 0 ? 0 : at];
}

void note_time(struct times *times, double seconds)
{
    if (times->count == times->room) {
        times->room = times->room == 0 ? 1024 : 2 * times->room;
        times->all = need(realloc(times->all, (size_t)times->room * sizeof *times->all));
    }
    times->all[times->count++] = seconds;
}
