/* The load of Scripts/bench: plain UDP sockets, as any program has them.
 *
 *   traffic sink ADDRESS PORT COUNTERS
 *       Receives until it is ended. COUNTERS is a file of two 64-bit words in the machine's order, kept up while it
 *       runs: datagrams received, octets of payload.
 *   traffic send ADDRESS PORT FLOWS BURST OCTETS RATE SECONDS
 *       Sends from FLOWS connected sockets, BURST datagrams from one before the next, OCTETS of payload each, for
 *       SECONDS: as fast as it can with a RATE of 0, else RATE datagrams a second. Prints how many were sent.
 *   traffic echo ADDRESS PORT
 *       Sends every datagram back until it is ended.
 *   traffic ask ADDRESS PORT SECONDS
 *       Sends a datagram, waits for its answer, sends the next. Prints the answers, those lost, and of the time from
 *       request to answer the median, the 99th and the 99.9th percentile in microseconds.
 *
 * Sockets are connected, so that the kernel numbers each flow's packets (IP identification) one after another; no
 * segmentation is asked for (UDP_SEGMENT), nor are received datagrams coalesced (UDP_GRO).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FLOWS = 1024, MOST_BURST = 64, LARGEST = 2048, FIRST_SOURCE_PORT = 40000 };

_Noreturn static void fail(const char *what) {
    fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t moment) {
    struct timespec when = {.tv_sec = moment / 1000000000u, .tv_nsec = moment % 1000000000u};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

static struct sockaddr_in place(const char *address, int port) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &where.sin_addr) != 1) {
        errno = EINVAL;
        fail(address);
    }
    return where;
}

static int bound_socket(const char *address, int port) {
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), room = 8 << 20;
    struct sockaddr_in where = place(address, port);
    if (descriptor < 0) fail("socket");
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) fail("SO_RCVBUFFORCE");
    if (bind(descriptor, (struct sockaddr *)&where, sizeof where)) fail("bind");
    return descriptor;
}

static int connected_socket(const char *address, int port, int source_port) {
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(source_port)}, to = place(address, port);
    if (descriptor < 0) fail("socket");
    if (bind(descriptor, (struct sockaddr *)&from, sizeof from)) fail("bind");
    if (connect(descriptor, (struct sockaddr *)&to, sizeof to)) fail("connect");
    return descriptor;
}

/* Room for a burst of datagrams; `octets` is what each carries, or may carry. */
static void prepare(struct mmsghdr *messages, struct iovec *parts, uint8_t (*payloads)[LARGEST], size_t octets) {
    for (int i = 0; i < MOST_BURST; i++) {
        parts[i] = (struct iovec){payloads[i], octets};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
    }
}

static struct mmsghdr messages[MOST_BURST];
static struct iovec parts[MOST_BURST];
static uint8_t payloads[MOST_BURST][LARGEST];

_Noreturn static void sink(const char *address, int port, const char *counters) {
    int file = open(counters, O_RDWR | O_CREAT, 0600), descriptor = bound_socket(address, port);
    volatile uint64_t *words;
    if (file < 0 || ftruncate(file, 4096)) fail(counters);
    words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (words == MAP_FAILED) fail("mmap");
    prepare(messages, parts, payloads, LARGEST);
    for (;;) {
        uint64_t octets = 0;
        int count = recvmmsg(descriptor, messages, MOST_BURST, MSG_WAITFORONE, NULL);
        if (count < 0 && errno != EINTR) fail("recvmmsg");
        if (count <= 0) continue;
        for (int i = 0; i < count; i++) octets += messages[i].msg_len;
        words[0] += count;
        words[1] += octets;
    }
}

static int send_load(const char *address, int port, int flows, int burst, size_t octets, double rate, double seconds) {
    static int descriptors[MOST_FLOWS];
    uint64_t start, end, now, sent = 0;
    if (flows < 1 || flows > MOST_FLOWS || burst < 1 || burst > MOST_BURST || octets > LARGEST) {
        errno = EINVAL;
        fail("arguments");
    }
    for (int i = 0; i < flows; i++) descriptors[i] = connected_socket(address, port, FIRST_SOURCE_PORT + i);
    prepare(messages, parts, payloads, octets);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    start = nanoseconds();
    end = start + (uint64_t)(seconds * 1e9);
    for (int flow = 0; (now = nanoseconds()) < end; flow = (flow + 1) % flows) {
        int count = burst == 1 ? (send(descriptors[flow], payloads[0], octets, 0) == (ssize_t)octets)
                               : sendmmsg(descriptors[flow], messages, burst, 0);
        /* A full queue on the way, or nobody there for a moment: a load goes on. */
        if (count > 0) sent += count;
        if (rate > 0) {
            uint64_t due = start + (uint64_t)((double)sent * 1e9 / rate);
            if (due > now) sleep_until(due);
        }
    }
    printf("%llu\n", (unsigned long long)sent);
    return 0;
}

_Noreturn static void echo(const char *address, int port) {
    int descriptor = bound_socket(address, port);
    for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t count = recvfrom(descriptor, payloads[0], LARGEST, 0, (struct sockaddr *)&from, &length);
        if (count >= 0) sendto(descriptor, payloads[0], count, 0, (struct sockaddr *)&from, length);
    }
}

static int by_size(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static int ask(const char *address, int port, double seconds) {
    enum { MOST_ANSWERS = 4 << 20, WARM_UP = 100 };
    uint32_t *times = malloc(sizeof *times * MOST_ANSWERS);
    int descriptor = connected_socket(address, port, FIRST_SOURCE_PORT);
    struct timeval patience = {.tv_usec = 100000};
    uint64_t end = nanoseconds() + (uint64_t)(seconds * 1e9), number = 0, answers = 0, lost = 0;
    if (!times) fail("malloc");
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)) fail("SO_RCVTIMEO");
    while (answers < MOST_ANSWERS) {
        uint64_t start = nanoseconds(), answer;
        if (start >= end) break;
        number++;
        if (send(descriptor, &number, sizeof number, 0) < 0) continue;
        for (;;) {
            ssize_t count = recv(descriptor, &answer, sizeof answer, 0);
            if (count < 0) {
                lost++;
                break;
            }
            /* The answer to a request that was given up may still come. */
            if (answer != number) continue;
            if (number > WARM_UP) times[answers++] = (uint32_t)(nanoseconds() - start);
            break;
        }
    }
    if (answers == 0) {
        errno = ETIMEDOUT;
        fail("no answer");
    }
    qsort(times, answers, sizeof *times, by_size);
    printf("%llu %llu %.2f %.2f %.2f\n", (unsigned long long)answers, (unsigned long long)lost,
           times[answers / 2] / 1e3, times[answers * 99 / 100] / 1e3, times[answers * 999 / 1000] / 1e3);
    return 0;
}

int main(int count, char **words) {
    const char *job = count > 1 ? words[1] : "";
    if (!strcmp(job, "sink") && count == 5) sink(words[2], atoi(words[3]), words[4]);
    if (!strcmp(job, "send") && count == 9)
        return send_load(words[2], atoi(words[3]), atoi(words[4]), atoi(words[5]), strtoul(words[6], NULL, 10),
                         atof(words[7]), atof(words[8]));
    if (!strcmp(job, "echo") && count == 4) echo(words[2], atoi(words[3]));
    if (!strcmp(job, "ask") && count == 5) return ask(words[2], atoi(words[3]), atof(words[4]));
    fprintf(stderr, "usage: traffic sink|send|echo|ask …: see the head of traffic.c\n");
    return 64;
}
