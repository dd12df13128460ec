/* The load client: opens many HTTP/1.1 connections, reads their event streams, and tells what came, when.
 *
 *   load --port P[,P...] --requests FILE --connections N [...]
 *
 * FILE holds whole requests, each ended by a NUL byte; connection or repetition k sends request k modulo their number.
 * Of several ports each connection takes the next one.
 * An event is a line of a body that begins with "data:". Prints one JSON object; times are in milliseconds.
 *
 * Two ways of measuring:
 *   --seconds S [--skip S]   window: open all connections, print "ready", wait for the next event, count for S seconds;
 *   --total T [--events K]   requests: send T requests through N connections, one after another on each, each read
 *                            up to its K-th event, or to its end.
 * --stamps: events carry "@<ns of CLOCK_MONOTONIC>@", and how old they are on arrival is told.
 * --pid P: how much processor time that process used meanwhile is told too.
 * --opening M: at most M connections wait for their answer at once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, HEAD = 4096, STAMP = 24, PORTS = 16 };
enum framing { UNTIL_CLOSE, LENGTH, CHUNKED };

typedef struct {
    int fd;
    size_t request, sent;
    double started, first;
    long events;
    int answered, complete;
    enum framing framing;
    long long left; /* bytes of the body or of the HTTP chunk */
    int chunk_state; /* 0 size line, 1 rest of the size line, 2 data, 3 CRLF after the data, 4 trailer */
    int line_start; /* the next byte of the body begins a line */
    int head_length;
    char *head; /* until the headers are complete */
    int stamp_length; /* -1 outside a stamp */
    char stamp[STAMP];
} Connection;

typedef struct {
    float *values;
    size_t count, room;
} Series;

static int ports[PORTS], port_count, pid, connections = 1, opening = 100, epoll_fd;
static double seconds, skip, timeout_seconds = 60;
static long total, wanted_events;
static int with_stamps;
static char **requests;
static size_t *request_lengths, request_count;

static Connection *all;
static long unanswered, answered, finished, failed, opened, open_now, events, bytes;
static int counting, first_status;
static double counting_since, cpu_before, server_before;
static Series ages, firsts, ends;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void fail(const char *what);

/* User and system time of process `pid`, in seconds; 0 without one. */
static double server_cpu(void) {
    char path[64], line[1024], *at;
    unsigned long user, system;
    sprintf(path, "/proc/%d/stat", pid);
    FILE *file = pid ? fopen(path, "r") : NULL;
    if (!file) return 0;
    if (!fgets(line, sizeof line, file) || !(at = strrchr(line, ')'))) fail(path);
    if (sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) fail(path);
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void add(Series *series, double value) {
    if (series->count == series->room) {
        series->room = series->room ? 2 * series->room : 1024;
        series->values = realloc(series->values, series->room * sizeof(float));
        if (!series->values) fail("realloc");
    }
    series->values[series->count++] = (float)value;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_series(const char *name, Series *series) {
    size_t n = series->count;
    if (!n) {
        printf(", \"%s\": null", name);
        return;
    }
    qsort(series->values, n, sizeof(float), ascending);
    printf(", \"%s\": {\"count\": %zu, \"p50\": %.4f, \"p99\": %.4f, \"max\": %.4f}", name, n, series->values[n / 2],
           series->values[(size_t)(0.99 * (double)(n - 1))], series->values[n - 1]);
}

static void load_requests(const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat info;
    if (fd < 0 || fstat(fd, &info)) fail(path);
    char *text = malloc((size_t)info.st_size + 1);
    for (ssize_t have = 0, n; have < info.st_size; have += n)
        if ((n = read(fd, text + have, (size_t)(info.st_size - have))) <= 0) fail(path);
    close(fd);
    for (char *at = text; at < text + info.st_size; at += strlen(at) + 1) request_count++;
    requests = calloc(request_count, sizeof(char *));
    request_lengths = calloc(request_count, sizeof(size_t));
    size_t k = 0;
    for (char *at = text; at < text + info.st_size; at += strlen(at) + 1) {
        requests[k] = at;
        request_lengths[k++] = strlen(at);
    }
}

static void begin(Connection *c) {
    int port = ports[opened % port_count];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char *head = c->head ? c->head : malloc(HEAD);
    *c = (Connection){.request = (size_t)opened++ % request_count, .head = head, .line_start = 1, .stamp_length = -1};
    c->started = now();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    struct epoll_event wanted = {.events = EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &wanted)) fail("epoll_ctl");
    unanswered++;
    open_now++;
}

static void end(Connection *c, int well) {
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    open_now--;
    if (!c->answered) unanswered--;
    if (well) {
        finished++;
        add(&ends, 1e3 * (now() - c->started));
        if (c->first > 0) add(&firsts, 1e3 * (c->first - c->started));
    } else {
        failed++;
    }
    if (!seconds && opened < total) begin(c);
}

static void on_event(Connection *c) {
    c->events++;
    if (c->events == 1) c->first = now();
    if (counting) events++;
    if (wanted_events && c->events == wanted_events) c->complete = 1;
}

static void read_stamps(Connection *c, const char *at, size_t length) {
    const char *stop = at + length;
    while (at < stop) {
        if (c->stamp_length < 0) {
            if (!(at = memchr(at, '@', (size_t)(stop - at)))) return;
            at++;
            c->stamp_length = 0;
        }
        while (at < stop && *at >= '0' && *at <= '9' && c->stamp_length < STAMP - 1) c->stamp[c->stamp_length++] = *at++;
        if (at == stop) return;
        if (*at == '@' && c->stamp_length > 8 && counting) {
            c->stamp[c->stamp_length] = 0;
            add(&ages, 1e3 * (now() - (double)strtoll(c->stamp, NULL, 10) / 1e9));
        }
        if (*at == '@') at++;
        c->stamp_length = -1;
    }
}

static void take_body(Connection *c, const char *at, size_t length) {
    const char *stop = at + length, *start = at;
    if (counting) bytes += (long)length;
    while (at < stop) {
        if (c->line_start && *at == 'd') on_event(c);
        c->line_start = 0;
        at = memchr(at, '\n', (size_t)(stop - at));
        if (!at) break;
        c->line_start = 1;
        at++;
    }
    if (with_stamps) read_stamps(c, start, length);
}

static void take_chunked(Connection *c, const char *at, size_t length) {
    const char *stop = at + length;
    while (at < stop && !c->complete) {
        switch (c->chunk_state) {
        case 0:
            if (*at == '\r' || *at == ';') c->chunk_state = 1;
            else if (*at == '\n') c->chunk_state = c->left ? 2 : 4;
            else c->left = 16 * c->left + (*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10);
            at++;
            break;
        case 1:
            if (*at++ == '\n') c->chunk_state = c->left ? 2 : 4;
            break;
        case 2: {
            size_t part = (size_t)(stop - at);
            if ((long long)part > c->left) part = (size_t)c->left;
            take_body(c, at, part);
            at += part;
            if (!(c->left -= (long long)part)) c->chunk_state = 3;
            break;
        }
        case 3:
            if (*at++ == '\n') c->chunk_state = 0;
            break;
        default:
            c->complete = 1;
        }
    }
    if (c->chunk_state == 4) c->complete = 1;
}

static void take_head(Connection *c, const char *at, size_t length);

static void take(Connection *c, const char *at, size_t length) {
    if (!c->answered) {
        take_head(c, at, length);
    } else if (c->framing == CHUNKED) {
        take_chunked(c, at, length);
    } else {
        take_body(c, at, length);
        if (c->framing == LENGTH && (c->left -= (long long)length) <= 0) c->complete = 1;
    }
}

static void take_head(Connection *c, const char *at, size_t length) {
    size_t part = (size_t)(HEAD - 1 - c->head_length);
    if (part > length) part = length;
    memcpy(c->head + c->head_length, at, part);
    int before = c->head_length;
    c->head_length += (int)part;
    c->head[c->head_length] = 0;
    char *blank = strstr(c->head, "\r\n\r\n"), *field;
    if (!blank) {
        if (c->head_length == HEAD - 1) end(c, 0);
        return;
    }
    int status = atoi(c->head + 9);
    if (status != 200 && status != 201) {
        if (!first_status) {
            first_status = status;
            fprintf(stderr, "refused: %.300s\n", c->head);
        }
        end(c, 0);
        return;
    }
    *blank = 0;
    if (strcasestr(c->head, "transfer-encoding: chunked")) c->framing = CHUNKED;
    else if ((field = strcasestr(c->head, "content-length:"))) c->framing = LENGTH, c->left = atoll(field + 15);
    c->answered = 1;
    unanswered--;
    answered++;
    size_t used = (size_t)(blank + 4 - c->head) - (size_t)before;
    free(c->head);
    c->head = NULL;
    if (length > used) take(c, at + used, length - used);
    else if (c->framing == LENGTH && !c->left) c->complete = 1;
}

static void on_writable(Connection *c) {
    ssize_t n = send(c->fd, requests[c->request] + c->sent, request_lengths[c->request] - c->sent, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN) end(c, 0);
        return;
    }
    c->sent += (size_t)n;
    if (c->sent == request_lengths[c->request]) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &wanted);
    }
}

static void on_readable(Connection *c) {
    static char buffer[BUFFER];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        end(c, c->answered && c->framing == UNTIL_CLOSE && n == 0);
        return;
    }
    take(c, buffer, (size_t)n);
    if (c->fd >= 0 && c->complete) end(c, 1);
}

static void turn(int milliseconds) {
    struct epoll_event ready[512];
    int n = epoll_wait(epoll_fd, ready, 512, milliseconds);
    for (int i = 0; i < n; i++) {
        Connection *c = ready[i].data.ptr;
        if (c->fd < 0) continue;
        if (c->sent < request_lengths[c->request]) on_writable(c);
        else on_readable(c);
    }
}

static void open_all(double deadline) {
    for (int k = 0; k < connections || unanswered;) {
        while (k < connections && unanswered < opening && opened < (seconds ? connections : total)) begin(&all[k++]);
        if (k < connections && opened >= (seconds ? connections : total)) break;
        if (!seconds && k == connections) break;
        turn(100);
        if (now() > deadline) break;
    }
}

static void run_window(double deadline) {
    for (double quiet = now() + 0.2; now() < quiet;) turn(10);
    printf("ready\n");
    fflush(stdout);
    counting = 1;
    events = bytes = 0;
    while (!events && now() < deadline) turn(100);
    for (double until = now() + skip; now() < until;) turn(10);
    events = bytes = 0;
    ages.count = 0;
    cpu_before = cpu();
    server_before = server_cpu();
    counting_since = now();
    for (double left; (left = counting_since + seconds - now()) > 0 && open_now;) turn(left > 0.01 ? 10 : 0);
}

static void run_requests(double deadline) {
    while (open_now && now() < deadline) turn(100);
}

static long slowest_reader(void) {
    long least = -1;
    for (int k = 0; k < connections; k++)
        if (all[k].answered && (least < 0 || all[k].events < least)) least = all[k].events;
    return least;
}

static double number(const char *text) {
    return text ? atof(text) : 0;
}

static void read_ports(const char *text) {
    for (char *at = (char *)text; at && *at && port_count < PORTS; at += *at == ',') ports[port_count++] = (int)strtol(at, &at, 10);
}

static void read_arguments(int count, char **words) {
    for (int i = 1; i < count; i++) {
        const char *name = words[i];
        if (!strcmp(name, "--stamps")) {
            with_stamps = 1;
            continue;
        }
        const char *value = i + 1 < count ? words[++i] : NULL;
        if (!strcmp(name, "--port")) read_ports(value);
        else if (!strcmp(name, "--requests") && value) load_requests(value);
        else if (!strcmp(name, "--pid")) pid = (int)number(value);
        else if (!strcmp(name, "--connections")) connections = (int)number(value);
        else if (!strcmp(name, "--opening")) opening = (int)number(value);
        else if (!strcmp(name, "--seconds")) seconds = number(value);
        else if (!strcmp(name, "--skip")) skip = number(value);
        else if (!strcmp(name, "--total")) total = (long)number(value);
        else if (!strcmp(name, "--events")) wanted_events = (long)number(value);
        else if (!strcmp(name, "--timeout")) timeout_seconds = number(value);
        else {
            fprintf(stderr, "unknown: %s\n", name);
            exit(2);
        }
    }
    if (!port_count || !request_count || connections < 1) {
        fprintf(stderr, "load needs --port, --requests and --connections\n");
        exit(2);
    }
}

int main(int count, char **words) {
    read_arguments(count, words);
    if (!seconds && !total) total = connections;
    all = calloc((size_t)connections, sizeof(Connection));
    for (int k = 0; k < connections; k++) all[k].fd = -1;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    double started = now(), deadline = started + timeout_seconds;
    if (!seconds) {
        counting = 1;
        opening = connections;
        server_before = server_cpu();
        counting_since = started;
    }
    open_all(deadline);
    double opening_seconds = now() - started;
    if (seconds) run_window(deadline);
    else run_requests(deadline);
    double elapsed = now() - counting_since, server = server_cpu() - server_before;
    printf("{\"answered\": %ld, \"finished\": %ld, \"failed\": %ld, \"unfinished\": %ld, \"status\": %d,"
           " \"opening_s\": %.6f, \"seconds\": %.6f, \"events\": %ld, \"bytes\": %ld, \"cpu_s\": %.6f, \"server_cpu_s\": %.2f,"
           " \"slowest\": %ld",
           answered, finished, failed, seconds ? 0 : open_now, first_status, opening_seconds, elapsed, events, bytes,
           cpu() - cpu_before, server, slowest_reader());
    print_series("age_ms", &ages);
    print_series("first_ms", &firsts);
    print_series("end_ms", &ends);
    printf("}\n");
    return 0;
}
