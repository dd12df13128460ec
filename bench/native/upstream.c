/* A model API of the benchmark: speaks OpenAI's chat completions, streamed, one HTTP chunk an event, pre-encoded.
 *
 *   upstream PORT TOKENS
 *
 * TOKENS has the text, a line a token, each as the inside of a JSON string. What is answered stands in the prompt:
 * "bench: chunks=500 every_us=2000 start=7"; left out, a number is 0:
 *   chunks    how many deltas
 *   start     where in the text to begin; also the phase of the pace
 *   every_us  the time between two deltas; 0: as fast as the socket takes them
 *   delay_ms  the time before the first one
 *   hold_ms   the time between the last one and the end
 *   stamped   each delta begins with "@<ns of CLOCK_MONOTONIC>@"
 *   size      bytes of each delta; 0: one token
 *   batch     deltas in one write, where every_us is 0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { OUT = 1 << 16, IN = 1 << 18, MOST = 65536, FRAME = 512 };

#define BEFORE                                                                                     \
    "data: {\"id\":\"chatcmpl-CqH3fVqkYw8bN0c2aBenchmark\",\"object\":\"chat.completion.chunk\","   \
    "\"created\":1764000000,\"model\":\"gpt-4o-mini\",\"service_tier\":\"default\","               \
    "\"system_fingerprint\":\"fp_560af6e559\",\"choices\":["
#define ROLE "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}"
#define DELTA "{\"index\":0,\"delta\":{\"content\":\""
#define AFTER "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"
#define FINISH "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"

typedef struct {
    char *text;
    int length;
    char *frame; /* the whole HTTP chunk */
    int frame_length;
} Token;

typedef struct Client {
    int fd, in_length, out_length, out_sent, streaming, writable_wanted;
    char *in, *out;
    long chunks, start, every_us, delay_ms, hold_ms, stamped, size, batch, sent;
    long long due; /* ns */
    struct Client *next;
} Client;

static Token tokens[MOST];
static int token_count, epoll_fd, timer_fd;
static Client *clients;

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

/* An event as an HTTP chunk, at `to`; its length. */
static int encode(char *to, const char *body, const char *content, int length) {
    int size = (int)strlen(BEFORE) + (int)strlen(body);
    if (content) size += length + (int)strlen(AFTER);
    int n = sprintf(to, "%x\r\n%s%s", size, BEFORE, body);
    if (content) {
        memcpy(to + n, content, (size_t)length);
        n += length;
        n += sprintf(to + n, "%s", AFTER);
    }
    return n + sprintf(to + n, "\r\n");
}

static void load_tokens(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL, frame[8192];
    size_t room = 0;
    ssize_t n;
    if (!file) fail(path);
    while (token_count < MOST && (n = getline(&line, &room, file)) > 1) {
        if (n > 2000) continue;
        Token *token = &tokens[token_count++];
        token->length = (int)n - 1;
        token->text = strndup(line, (size_t)n - 1);
        token->frame_length = encode(frame, DELTA, token->text, token->length);
        token->frame = strndup(frame, (size_t)token->frame_length);
    }
    fclose(file);
    free(line);
    if (!token_count) fail("no tokens");
}

static void want_writable(Client *c, int wanted) {
    if (c->writable_wanted == wanted) return;
    c->writable_wanted = wanted;
    struct epoll_event events = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &events);
}

static void leave(Client *c) {
    close(c->fd);
    c->fd = -1; /* freed at the end of the turn */
}

static void flush(Client *c) {
    while (c->out_sent < c->out_length) {
        ssize_t n = send(c->fd, c->out + c->out_sent, (size_t)(c->out_length - c->out_sent), MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) want_writable(c, 1);
            else leave(c);
            return;
        }
        c->out_sent += (int)n;
    }
    c->out_length = c->out_sent = 0;
}

static void add_delta(Client *c) {
    long k = c->start + c->sent++;
    Token *token = &tokens[k % token_count];
    if (!c->stamped && !c->size) {
        memcpy(c->out + c->out_length, token->frame, (size_t)token->frame_length);
        c->out_length += token->frame_length;
        return;
    }
    static char content[OUT / 2];
    int length = c->stamped ? sprintf(content, "@%lld@ ", now()) : 0;
    do {
        token = &tokens[k++ % token_count];
        memcpy(content + length, token->text, (size_t)token->length);
        length += token->length;
    } while (length < c->size && length < OUT / 4);
    c->out_length += encode(c->out + c->out_length, DELTA, content, length);
}

static void add_end(Client *c) {
    char usage[200];
    c->out_length += encode(c->out + c->out_length, FINISH, NULL, 0);
    sprintf(usage, "],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n", c->chunks,
            c->chunks + 20);
    c->out_length += encode(c->out + c->out_length, usage, NULL, 0);
    c->out_length += sprintf(c->out + c->out_length, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    c->streaming = 0;
}

/* Send what is due; ask to be woken for the rest. */
static void go_on(Client *c) {
    long long time = now();
    while (c->fd >= 0 && c->streaming && !c->out_length && c->due <= time) {
        if (c->sent == c->chunks && c->hold_ms) {
            c->due = time + c->hold_ms * 1000000LL;
            c->hold_ms = 0;
            break;
        }
        if (c->sent == c->chunks) {
            add_end(c);
        } else if (c->every_us) {
            add_delta(c);
            c->due += c->every_us * 1000;
        } else {
            for (long k = 0; k < c->batch && c->sent < c->chunks && c->out_length < OUT / 2; k++) add_delta(c);
        }
        flush(c);
        if (!c->every_us) break; /* the others' turn */
    }
    if (c->fd < 0) return;
    want_writable(c, c->out_length || (c->streaming && !c->every_us && c->due <= time));
}

static long number(const char *body, const char *name) {
    const char *at = strstr(body, name);
    return at ? atol(at + strlen(name)) : 0;
}

static void begin(Client *c, const char *body) {
    c->chunks = number(body, "chunks=");
    c->start = number(body, "start=");
    c->every_us = number(body, "every_us=");
    c->delay_ms = number(body, "delay_ms=");
    c->hold_ms = number(body, "hold_ms=");
    c->stamped = number(body, "stamped=");
    c->size = number(body, "size=");
    c->batch = number(body, "batch=");
    if (!c->batch) c->batch = 1;
    c->sent = 0;
    c->streaming = 1;
    c->due = now() + c->delay_ms * 1000000LL + (c->every_us ? c->start * 7919 % c->every_us * 1000 : 0);
    c->out_length = sprintf(c->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                                    "Transfer-Encoding: chunked\r\n\r\n");
    c->out_length += encode(c->out + c->out_length, ROLE "],\"usage\":null}\n\n", NULL, 0);
    flush(c);
    if (c->fd >= 0) go_on(c);
}

static void answer(Client *c, const char *text) {
    c->out_length = sprintf(c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                            strlen(text), text);
    flush(c);
}

static void take(Client *c) {
    ssize_t n = recv(c->fd, c->in + c->in_length, (size_t)(IN - 1 - c->in_length), 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        leave(c);
        return;
    }
    c->in_length += (int)n;
    c->in[c->in_length] = 0;
    char *blank = strstr(c->in, "\r\n\r\n");
    if (!blank) return;
    char *field = strcasestr(c->in, "content-length:");
    long length = field && field < blank ? atol(field + 15) : 0;
    if (c->in + c->in_length < blank + 4 + length) return;
    c->in_length = 0;
    if (!strncmp(c->in, "POST ", 5)) begin(c, blank + 4);
    else answer(c, "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\"}]}");
}

static void admit(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Client *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->in = malloc(IN);
        c->out = malloc(OUT);
        c->next = clients;
        clients = c;
        struct epoll_event events = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &events);
    }
}

/* Free those that left; set the timer to what is due next. */
static void tidy(void) {
    long long next = 0;
    for (Client **at = &clients; *at;) {
        Client *c = *at;
        if (c->fd < 0) {
            *at = c->next;
            free(c->in);
            free(c->out);
            free(c);
            continue;
        }
        if (c->streaming && !c->out_length && !c->writable_wanted && (!next || c->due < next)) next = c->due;
        at = &c->next;
    }
    struct itimerspec at = {.it_value = {next / 1000000000LL, next % 1000000000LL}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void send_due(void) {
    long long time = now();
    for (Client *c = clients; c; c = c->next)
        if (c->fd >= 0 && c->streaming && !c->out_length && c->due <= time && !c->writable_wanted) go_on(c);
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) fail("listen");
    return listener;
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "upstream PORT TOKENS\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    load_tokens(words[2]);
    int listener = listen_on(atoi(words[1]));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event events = {.events = EPOLLIN, .data.ptr = &listener}, ready[512];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &events);
    events.data.ptr = &timer_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &events);
    for (;;) {
        int n = epoll_wait(epoll_fd, ready, 512, -1);
        for (int i = 0; i < n; i++) {
            Client *c = ready[i].data.ptr;
            long long expirations;
            if (ready[i].data.ptr == &listener) {
                admit(listener);
            } else if (ready[i].data.ptr == &timer_fd) {
                if (read(timer_fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) fail("timer");
            } else if (c->fd >= 0 && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                take(c);
            } else if (c->fd >= 0) {
                if (c->out_length) flush(c);
                if (c->fd >= 0) go_on(c);
            }
        }
        send_due();
        tidy();
    }
}
